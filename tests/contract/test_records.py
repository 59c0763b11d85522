"""Records come back as they were given, and are replaced without touching the bytes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from s3gate.core.checksums import COMPOSITE, FULL_OBJECT, Checksum
from s3gate.core.conditions import NO_CONDITION
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, ObjectRecord, PartSpan
from s3gate.storage.backend import Backend, ListQuery
from support.stores import (
    ALICE,
    BOB,
    Store,
    error_code,
    essence,
    get,
    get_with_record,
    keys,
    put,
    record_of,
    unchanged,
)

HEADERS = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "max-age=3600, no-transform",
    "content-disposition": 'attachment; filename="naïve \U0001f600.txt"',
    "content-encoding": "gzip",
    "content-language": "de, en",
    "expires": "Sat, 21 Nov 2026 08:00:00 GMT",
}
EVERYTHING = ObjectRecord(
    etag="0123456789abcdef0123456789abcdef-2",
    size=4,
    modified_ns=0,
    headers=HEADERS,
    user_metadata={"name": "José", "empty": "", "signs": "\"'=&%,;:\\ \t\U0001f600", "ünïcode": "\x01\x7f\x80\n"},
    checksum=Checksum("CRC32C", "AAAAAA==-2", COMPOSITE),
    parts=(PartSpan(1, 3, "AAAAAA=="), PartSpan(10_000, 1, "")),
    storage_class="GLACIER_IR",
    owner=BOB,
    tags={"project": "Größe", "a=b": "c&d", "empty": ""},
    upload_id="0123456789abcdefghjkmnpqrs",
)


def with_spans(count: int) -> ObjectRecord:
    """A record of an object of many parts, each with its SHA-256."""
    value = base64.b64encode(hashlib.sha256(b"part").digest()).decode()
    return record_of(b"data", parts=tuple(PartSpan(n, 5 * 1024**2 + n, value) for n in range(1, count + 1)))


RECORDS = {
    "bare": record_of(b"data"),
    "everything": EVERYTHING,
    "2 KB of metadata": record_of(b"data", user_metadata={f"name-{n}": "é\U0001f600" * 16 for n in range(20)}),
    "one value of 2 KB": record_of(b"data", user_metadata={"name": "é" * 1000}),
    "all tags": record_of(b"data", tags={f"{n}" + "k" * 126: "ü" * 256 for n in range(10)}),
    "1 part": with_spans(1),
    "100 parts": with_spans(100),
    "10,000 parts": with_spans(10_000),
    "large numbers": record_of(b"data", parts=(PartSpan(1, 5 * 1024**4),)),
    "full-object checksum": record_of(b"data", checksum=Checksum("CRC64NVME", "AAAAAAAAAAA=", FULL_OBJECT)),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
async def test_a_record_comes_back_as_it_was_given(
    backend: Backend, another: Backend, bucket: Bucket, record: ObjectRecord
) -> None:
    async with backend.stage(bucket) as stage:
        await stage.write([b"data"], unchanged)
        stored = await backend.commit_object(bucket, stage, "dir/key", record, NO_CONDITION)
    assert essence(stored) == essence(record)
    for each in (backend, another):
        assert await each.stat_object(bucket, "dir/key") == stored
        assert await get_with_record(each, bucket, "dir/key") == (b"data", stored)
        page = await each.list_objects(bucket, ListQuery())
        assert [(listed.key, listed.record) for listed in page.objects] == [("dir/key", stored)]


async def test_a_record_outlives_the_backend(store: Store, backend: Backend, bucket: Bucket) -> None:
    async with backend.stage(bucket) as stage:
        await stage.write([b"data"], unchanged)
        stored = await backend.commit_object(bucket, stage, "key", EVERYTHING, NO_CONDITION)
    await backend.stop()
    later = store()
    await later.start()
    assert await later.stat_object(bucket, "key") == stored
    await later.stop()
    await backend.start()


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
MAPPING = st.dictionaries(TEXT, TEXT, max_size=4)


def test_any_text_survives_in_a_record(runner: asyncio.Runner, backend: Backend, bucket: Bucket) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(headers=MAPPING, user_metadata=MAPPING, tags=MAPPING)
    def check(headers: dict[str, str], user_metadata: dict[str, str], tags: dict[str, str]) -> None:
        fields: dict[str, Any] = {"headers": headers, "user_metadata": user_metadata, "tags": tags}
        runner.run(put(backend, bucket, "key", b"data", **fields))
        found = runner.run(backend.stat_object(bucket, "key"))
        assert essence(found) == essence(record_of(b"data", **fields))

    check()


# --- update_object
async def test_an_update_replaces_the_record_and_leaves_the_bytes(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    stored = await put(backend, bucket, "key", b"data", headers=HEADERS, user_metadata={"n": "1"}, owner=ALICE)
    updated = await another.update_object(bucket, "key", lambda record: replace(record, tags={"t": "ü"}))
    assert updated == replace(stored, tags={"t": "ü"})
    for each in (backend, another):
        assert await get_with_record(each, bucket, "key") == (b"data", updated)


async def test_an_update_gives_what_is_read_afterwards(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data", headers=HEADERS)
    later = stored.modified_ns + 5 * 10**9
    updated = await backend.update_object(
        bucket, "key", lambda record: replace(record, headers={}, user_metadata={"n": "2"}, modified_ns=later)
    )
    assert (updated.headers, updated.user_metadata, updated.etag) == ({}, {"n": "2"}, stored.etag)
    assert await get_with_record(backend, bucket, "key") == (b"data", updated)


def exchange(new: ObjectRecord, _old: ObjectRecord) -> ObjectRecord:
    return new


async def test_a_record_may_grow_and_shrink(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    stored = await backend.stat_object(bucket, "key")
    for given_record in [*RECORDS.values(), *reversed(RECORDS.values())]:
        new = replace(given_record, etag=stored.etag, size=4, modified_ns=stored.modified_ns, sequence=stored.sequence)
        updated = await backend.update_object(bucket, "key", partial(exchange, new))
        assert essence(updated) == essence(new)
        assert await get_with_record(backend, bucket, "key") == (b"data", updated)
    assert await keys(backend, bucket) == ["key"]
    await backend.delete_object(bucket, "key", NO_CONDITION)
    await backend.delete_bucket(bucket)


async def test_an_update_that_is_refused_changes_nothing(backend: Backend, bucket: Bucket) -> None:
    def refuse(_record: ObjectRecord) -> ObjectRecord:
        raise S3Error("AccessDenied")

    stored = await put(backend, bucket, "key", b"data", tags={"t": "1"})
    assert await error_code(backend.update_object(bucket, "key", refuse)) == "AccessDenied"
    assert await get_with_record(backend, bucket, "key") == (b"data", stored)
    await backend.update_object(bucket, "key", lambda record: replace(record, tags={}))
    assert (await backend.stat_object(bucket, "key")).tags == {}


async def test_an_update_of_what_is_not_there_finds_no_key(backend: Backend, bucket: Bucket) -> None:
    called = []

    def note(record: ObjectRecord) -> ObjectRecord:
        called.append(record)
        return record

    assert await error_code(backend.update_object(bucket, "key", note)) == "NoSuchKey"
    assert called == []
    assert await keys(backend, bucket) == []


async def test_no_concurrent_update_is_lost(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")

    async def add(n: int) -> None:
        await [backend, another][n % 2].update_object(
            bucket, "key", lambda record: replace(record, tags={**record.tags, str(n): "x"})
        )

    await asyncio.gather(*[add(n) for n in range(20)])
    assert (await backend.stat_object(bucket, "key")).tags == {str(n): "x" for n in range(20)}
    assert await get(backend, bucket, "key") == b"data"
