"""Any sequence of operations has the outcome that the reference backend gives."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, Bucket, ObjectRecord, Upload
from s3gate.storage.backend import Backend, ListQuery, VersionQuery
from s3gate.storage.memory import MemoryBackend
from support.stores import (
    ALICE,
    REGION,
    STORES,
    complete,
    entries,
    essence,
    get_with_record,
    new_upload,
    put,
    put_part,
    remove_versions,
    set_versioning,
    versions,
)

Operation = tuple[Any, ...]


class Play:
    """Runs operations on a backend and tells what each gave, in a form that is equal for equal stores.

    The bucket stays as it was found at first, before it had any document. A version is named by its number among those
    that its key ever had, as its id is the store's choice; `which` picks one of them, or an id that none has.
    """

    def __init__(self, backend: Backend, bucket: Bucket) -> None:
        self.backend = backend
        self.bucket = bucket
        self.uploads: list[Upload] = []
        self.ids: defaultdict[str, list[str]] = defaultdict(lambda: [NULL_VERSION, "0" * 24, "f" * 24, "../null"])

    def id_of(self, key: str, which: int | None) -> str | None:
        return None if which is None else self.ids[key][which % len(self.ids[key])]

    def number(self, key: str, version_id: str) -> int:
        """The number of a version id, which is noted when it is seen for the first time."""
        if version_id not in self.ids[key]:
            assert version_id
            self.ids[key].append(version_id)
        return self.ids[key].index(version_id)

    def seen(self, key: str, record: ObjectRecord) -> object:
        """A record without what the store chooses."""
        return essence(record), self.number(key, record.version_id)

    async def run(self, operation: Operation) -> object:
        name, *arguments = operation
        play: Callable[..., Awaitable[object]] = getattr(self, name)
        try:
            return await play(*arguments)
        except S3Error as error:
            return error.code

    async def versioning(self, state: str) -> object:
        await set_versioning(self.backend, self.bucket, state)
        return (await self.backend.find_bucket(self.bucket.name)).versioning

    async def put(self, key: str, data: bytes, condition: WriteCondition) -> object:
        stored = await put(self.backend, self.bucket, key, data, condition=condition, tags={"put": key})
        return self.seen(key, stored)

    async def get(self, key: str, which: int | None) -> object:
        data, record = await get_with_record(self.backend, self.bucket, key, self.id_of(key, which))
        return data, self.seen(key, record)

    async def stat(self, key: str, which: int | None) -> object:
        return self.seen(key, await self.backend.stat_object(self.bucket, key, self.id_of(key, which)))

    async def copy(self, source: str, which: int | None, key: str) -> object:
        reader = await self.backend.open_object(self.bucket, source, self.id_of(source, which))
        async with self.backend.stage(self.bucket) as stage:
            await stage.copy(reader, 0, reader.record.size)
            record = await self.backend.commit_object(self.bucket, stage, key, reader.record, NO_CONDITION)
        await reader.close()
        return self.seen(key, record)

    async def tag(self, key: str, which: int | None, value: str) -> object:
        def change(record: ObjectRecord) -> ObjectRecord:
            return replace(record, tags={"t": value})

        return self.seen(key, await self.backend.update_object(self.bucket, key, change, self.id_of(key, which)))

    async def delete(self, key: str, condition: WriteCondition, which: int | None) -> object:
        version_id = self.id_of(key, which)
        deletion = await self.backend.delete_object(self.bucket, key, condition, version_id)
        return deletion.delete_marker, self.number(key, deletion.version_id) if deletion.version_id else None

    async def list(self, query: ListQuery) -> object:
        page = await self.backend.list_objects(self.bucket, query)
        records = [self.seen(listed.key, listed.record) for listed in page.objects]
        return entries(page), records, page.truncated, page.last, page.last_is_prefix

    async def list_versions(self, query: VersionQuery, which: int | None) -> object:
        query = replace(query, after_version=self.id_of(query.after_key, which) or "")
        page = await self.backend.list_versions(self.bucket, query)
        found = [(each.key, self.seen(each.key, each.record), each.latest) for each in page.versions]
        last = self.number(page.last, page.last_version) if page.last_version else None
        return found, page.prefixes, page.truncated, page.last, last

    async def delete_bucket(self) -> object:
        """Only where it is refused: an empty bucket is left, so that the play goes on."""
        if await versions(self.backend, self.bucket):
            await self.backend.delete_bucket(self.bucket)
        return None

    async def create_upload(self, upload: Upload) -> object:
        self.uploads.append(upload)
        await self.backend.create_upload(self.bucket, upload)
        return None

    def upload(self, n: int) -> Upload:
        if not self.uploads:
            raise S3Error("NoSuchUpload")
        return self.uploads[n % len(self.uploads)]

    async def put_part(self, n: int, number: int, data: bytes) -> object:
        part = await put_part(self.backend, self.bucket, self.upload(n), number, data)
        return replace(part, modified_ns=0)

    async def list_parts(self, n: int) -> object:
        return [replace(part, modified_ns=0) for part in await self.backend.list_parts(self.bucket, self.upload(n))]

    async def list_uploads(self, prefix: str) -> object:
        return await self.backend.list_uploads(self.bucket, prefix)

    async def complete(self, n: int, condition: WriteCondition) -> object:
        upload = self.upload(n)
        parts = await self.backend.list_parts(self.bucket, upload)
        joined = await complete(self.backend, self.bucket, upload, parts, condition=condition)
        return self.seen(upload.key, joined)

    async def abort(self, n: int) -> object:
        await self.backend.abort_upload(self.bucket, self.upload(n))
        return None


KEYS = st.sampled_from(["a", "a/", "a/b", "a/b/c", "a//b", "b", "..", ".s3gate", "é", "k" * 300])
DATA = st.sampled_from([b"", b"one", b"two"])
CONDITIONS = st.sampled_from(
    [NO_CONDITION, NO_CONDITION, WriteCondition(if_none_match="*"), WriteCondition(if_match="*")]
    + [WriteCondition(if_match=f'"{etag}"') for etag in ("f97c5d29941bfb1b2fdab0874906ab82", "0" * 32)]  # of "one"
)
PREFIXES = st.sampled_from(["", "a", "a/", "a/b", "k"])
NUMBERS = st.integers(0, 3)
WHICH = st.one_of(st.none(), st.just(0), st.integers(0, 9))


def operations_on(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Operation]:
    return st.one_of(
        st.tuples(st.just("versioning"), st.sampled_from(["Enabled", "Suspended"])),
        st.tuples(st.just("put"), keys, DATA, CONDITIONS),
        st.tuples(st.just("put"), keys, DATA, CONDITIONS),
        st.tuples(st.just("get"), keys, WHICH),
        st.tuples(st.just("stat"), keys, WHICH),
        st.tuples(st.just("copy"), keys, WHICH, keys),
        st.tuples(st.just("tag"), keys, WHICH, st.sampled_from(["", "short", "long" * 2000])),
        st.tuples(st.just("delete"), keys, CONDITIONS, WHICH),
        st.tuples(st.just("delete"), keys, st.just(NO_CONDITION), WHICH),
        st.tuples(
            st.just("list"),
            st.builds(ListQuery, PREFIXES, st.sampled_from(["", "/"]), after=PREFIXES, limit=st.integers(0, 4)),
        ),
        st.tuples(
            st.just("list_versions"),
            st.builds(
                VersionQuery,
                PREFIXES,
                st.sampled_from(["", "/"]),
                after_key=st.one_of(keys, PREFIXES),
                limit=st.integers(0, 6),
            ),
            WHICH,
        ),
        st.tuples(st.just("delete_bucket")),
        st.tuples(st.just("create_upload"), keys.map(new_upload)),
        st.tuples(st.just("put_part"), NUMBERS, st.sampled_from([1, 2, 10]), DATA),
        st.tuples(st.just("list_parts"), NUMBERS),
        st.tuples(st.just("list_uploads"), PREFIXES),
        st.tuples(st.just("complete"), NUMBERS, CONDITIONS),
        st.tuples(st.just("abort"), NUMBERS),
    )


# Many keys with a few operations each, or two with many.
SEQUENCES = st.one_of(
    st.lists(operations_on(KEYS), max_size=30),
    st.lists(operations_on(st.sampled_from(["a", "a/b"])), max_size=40),
)


@pytest.mark.parametrize("state", ["", "Enabled", "Suspended"])
@pytest.mark.parametrize("store", [name for name in STORES if name != "memory"], indirect=True)
def test_a_store_gives_what_the_reference_gives(
    runner: asyncio.Runner, backend: Backend, another: Backend, state: str
) -> None:
    """Operations alternate between two backends of the store, so that neither may rest on what it remembers."""

    async def check(operations: list[Operation]) -> None:
        reference: Backend = MemoryBackend()
        expected = Play(reference, await reference.create_bucket("played", ALICE, REGION))
        played = Play(backend, await backend.create_bucket("played", ALICE, REGION))
        first = [("versioning", state)] if state else []
        last = [("list", ListQuery()), ("list_versions", VersionQuery(), None), ("list_uploads", "")]
        for n, operation in enumerate([*first, *operations, *last]):
            played.backend = [backend, another][n % 2]
            assert await played.run(operation) == await expected.run(operation), operation
        for key, ids in expected.ids.items():
            for which in [None, *range(len(ids))]:
                operation = ("get", key, which)
                assert await played.run(operation) == await expected.run(operation), operation
        await remove_versions(backend, played.bucket)
        await backend.delete_bucket(played.bucket)

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SEQUENCES)
    def each(operations: list[Operation]) -> None:
        runner.run(check(operations))

    each()
