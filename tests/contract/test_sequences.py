"""Any sequence of operations has the outcome that the reference backend gives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, Upload
from s3gate.storage.backend import Backend, ListQuery
from s3gate.storage.memory import MemoryBackend
from support.stores import (
    ALICE,
    REGION,
    STORES,
    complete,
    entries,
    essence,
    get_with_record,
    keys,
    new_upload,
    put,
    put_part,
)

Operation = tuple[Any, ...]


class Play:
    """Runs operations on a backend and tells what each gave, in a form that is equal for equal stores."""

    def __init__(self, backend: Backend, bucket: Bucket) -> None:
        self.backend = backend
        self.bucket = bucket
        self.uploads: list[Upload] = []

    async def run(self, operation: Operation) -> object:
        name, *arguments = operation
        play: Callable[..., Awaitable[object]] = getattr(self, name)
        try:
            return await play(*arguments)
        except S3Error as error:
            return error.code

    async def put(self, key: str, data: bytes, condition: WriteCondition) -> object:
        return essence(await put(self.backend, self.bucket, key, data, condition=condition, tags={"put": key}))

    async def get(self, key: str) -> object:
        data, record = await get_with_record(self.backend, self.bucket, key)
        return data, essence(record)

    async def stat(self, key: str) -> object:
        return essence(await self.backend.stat_object(self.bucket, key))

    async def copy(self, source: str, key: str) -> object:
        reader = await self.backend.open_object(self.bucket, source)
        async with self.backend.stage(self.bucket) as stage:
            await stage.copy(reader, 0, reader.record.size)
            record = await self.backend.commit_object(self.bucket, stage, key, reader.record, NO_CONDITION)
        await reader.close()
        return essence(record)

    async def tag(self, key: str, value: str) -> object:
        change = await self.backend.update_object(self.bucket, key, lambda record: replace(record, tags={"t": value}))
        return essence(change)

    async def delete(self, key: str, condition: WriteCondition) -> object:
        await self.backend.delete_object(self.bucket, key, condition)
        return None

    async def list(self, query: ListQuery) -> object:
        page = await self.backend.list_objects(self.bucket, query)
        records = [essence(listed.record) for listed in page.objects]
        return entries(page), records, page.truncated, page.last, page.last_is_prefix

    async def delete_bucket(self) -> object:
        """Only where it is refused: an empty bucket is left, so that the play goes on."""
        if await keys(self.backend, self.bucket):
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
        return essence(await complete(self.backend, self.bucket, upload, parts, condition=condition))

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
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.tuples(st.just("put"), KEYS, DATA, CONDITIONS),
    st.tuples(st.just("put"), KEYS, DATA, CONDITIONS),
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("stat"), KEYS),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("tag"), KEYS, st.sampled_from(["", "short", "long" * 2000])),
    st.tuples(st.just("delete"), KEYS, CONDITIONS),
    st.tuples(
        st.just("list"),
        st.builds(ListQuery, PREFIXES, st.sampled_from(["", "/"]), after=PREFIXES, limit=st.integers(0, 4)),
    ),
    st.tuples(st.just("delete_bucket")),
    st.tuples(st.just("create_upload"), KEYS.map(new_upload)),
    st.tuples(st.just("put_part"), NUMBERS, st.sampled_from([1, 2, 10]), DATA),
    st.tuples(st.just("list_parts"), NUMBERS),
    st.tuples(st.just("list_uploads"), PREFIXES),
    st.tuples(st.just("complete"), NUMBERS, CONDITIONS),
    st.tuples(st.just("abort"), NUMBERS),
)


@pytest.mark.parametrize("store", [name for name in STORES if name != "memory"], indirect=True)
def test_a_store_gives_what_the_reference_gives(runner: asyncio.Runner, backend: Backend, another: Backend) -> None:
    """Operations alternate between two backends of the store, so that neither may rest on what it remembers."""

    async def check(operations: list[Operation]) -> None:
        reference: Backend = MemoryBackend()
        expected = Play(reference, await reference.create_bucket("played", ALICE, REGION))
        played = Play(backend, await backend.create_bucket("played", ALICE, REGION))
        for n, operation in enumerate([*operations, ("list", ListQuery()), ("list_uploads", "")]):
            played.backend = [backend, another][n % 2]
            assert await played.run(operation) == await expected.run(operation), operation
        for key in await keys(backend, played.bucket):
            assert await played.get(key) == await expected.get(key)
            await backend.delete_object(played.bucket, key, NO_CONDITION)
        await backend.delete_bucket(played.bucket)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(OPERATIONS, max_size=30))
    def each(operations: list[Operation]) -> None:
        runner.run(check(operations))

    each()
