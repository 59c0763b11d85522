"""Versions beside the rest of the contract: conditions, records, time, multipart uploads, deletion of the bucket."""

from __future__ import annotations

import hashlib
import re
import sys

import pytest
from msgspec.structs import replace

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.storage.backend import Backend
from support.stores import (
    Store,
    complete,
    delete,
    error_code,
    get,
    get_with_record,
    put,
    put_part,
    record_of,
    set_versioning,
    start_upload,
    version_ids,
    versions,
)

VERSION_ID = re.compile(r"[0-9a-f]{24}")
ABSENT = WriteCondition(if_none_match="*")
LARGE = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(50_000))

each_state = pytest.mark.parametrize("state", ["Enabled", "Suspended"])


def match(record: ObjectRecord) -> WriteCondition:
    return WriteCondition(if_match=f'"{record.etag}"')


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Make every module of the package that asks for the time find this one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("s3gate.") and hasattr(module, "now_ns"):
            monkeypatch.setattr(module, "now_ns", lambda: seconds * 10**9)


# --- conditions
async def test_a_first_write_succeeds_over_a_marker(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"first", condition=ABSENT)
    assert await error_code(put(backend, bucket, "key", b"second", condition=ABSENT)) == "PreconditionFailed"
    await delete(backend, bucket, "key")
    await put(backend, bucket, "key", b"third", condition=ABSENT)
    assert await get(backend, bucket, "key") == b"third"
    assert len(await version_ids(backend, bucket, "key")) == 3


@each_state
@pytest.mark.parametrize("if_match", ["*", '"d41d8cd98f00b204e9800998ecf8427e"', '""'])
async def test_if_match_finds_no_key_under_a_marker(
    backend: Backend, bucket: Bucket, state: str, if_match: str
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key")
    await set_versioning(backend, bucket, state)
    marker = await delete(backend, bucket, "key")
    before = await version_ids(backend, bucket, "key")
    condition = WriteCondition(if_match=if_match)
    assert await error_code(put(backend, bucket, "key", b"new", condition=condition)) == "NoSuchKey"
    assert await error_code(backend.delete_object(bucket, "key", condition)) == "NoSuchKey"
    assert await error_code(backend.delete_object(bucket, "key", condition, marker.version_id)) == "NoSuchKey"
    assert await version_ids(backend, bucket, "key") == before


async def test_conditions_of_writes_look_at_the_current_version_alone(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    old = await put(backend, bucket, "key", b"old")
    new = await put(backend, bucket, "key", b"new")
    before = await version_ids(backend, bucket, "key")
    assert await error_code(put(backend, bucket, "key", b"x", condition=match(old))) == "PreconditionFailed"
    assert await error_code(backend.delete_object(bucket, "key", match(old))) == "PreconditionFailed"
    assert await version_ids(backend, bucket, "key") == before
    newest = await put(backend, bucket, "key", b"x", condition=match(new))
    deletion = await backend.delete_object(bucket, "key", match(newest))
    assert await version_ids(backend, bucket, "key") == [f"-{deletion.version_id}", newest.version_id, *before]


async def test_the_condition_of_a_delete_by_id_looks_at_that_version(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    old = await put(backend, bucket, "key", b"old")
    new = await put(backend, bucket, "key", b"new")
    for record, other in ((old, new), (new, old)):
        work = backend.delete_object(bucket, "key", match(other), record.version_id)
        assert await error_code(work) == "PreconditionFailed"
    assert await error_code(backend.delete_object(bucket, "key", match(new), "0" * 24)) == "NoSuchKey"
    assert await version_ids(backend, bucket, "key") == [new.version_id, old.version_id]
    await backend.delete_object(bucket, "key", match(old), old.version_id)
    await backend.delete_object(bucket, "key", match(new), new.version_id)
    assert await versions(backend, bucket) == []


@each_state
async def test_a_write_that_is_refused_leaves_every_version(backend: Backend, bucket: Bucket, state: str) -> None:
    stored = await put(backend, bucket, "key", b"null")
    await set_versioning(backend, bucket, state)
    assert await error_code(put(backend, bucket, "key", b"x", condition=ABSENT)) == "PreconditionFailed"
    wrong = WriteCondition(if_match='"x"')
    assert await error_code(put(backend, bucket, "key", b"x", condition=wrong)) == "PreconditionFailed"
    assert await error_code(backend.delete_object(bucket, "key", wrong)) == "PreconditionFailed"
    assert await version_ids(backend, bucket, "key") == ["null"]
    assert await get_with_record(backend, bucket, "key") == (b"null", stored)


# --- records
async def test_the_record_of_any_version_may_be_updated(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """A long one and a short one in turn, so that a record that is kept elsewhere comes and goes."""
    null = await put(backend, bucket, "key", b"null")
    await set_versioning(backend, bucket, "Enabled")
    stored = [null] + [await put(backend, bucket, "key", b"%d" % n) for n in range(2)]
    data = [b"null", b"0", b"1"]
    for size in (1, 20_000, 2):
        for n, record in enumerate(stored):
            tags = {"n": str(n) * size}
            updated = await backend.update_object(
                bucket, "key", lambda there, tags=tags: replace(there, tags=tags), record.version_id
            )
            assert updated == replace(record, tags=tags)
            stored[n] = updated
        for each in (backend, another):
            for n, record in enumerate(stored):
                assert await get_with_record(each, bucket, "key", record.version_id) == (data[n], record)
            assert [found.record for found in await versions(each, bucket)] == stored[::-1]
            assert await each.stat_object(bucket, "key") == stored[-1]


async def test_an_update_without_an_id_changes_the_current_version(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    old = await put(backend, bucket, "key", b"old")
    new = await put(backend, bucket, "key", b"new")
    updated = await backend.update_object(bucket, "key", lambda record: replace(record, tags={"t": "1"}))
    assert updated == replace(new, tags={"t": "1"})
    assert [each.record for each in await versions(backend, bucket)] == [updated, old]


async def test_an_update_leaves_a_version_its_id_and_its_place(backend: Backend, bucket: Bucket) -> None:
    """Even where the new record was made from nothing."""
    await put(backend, bucket, "key", b"null")
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"second")
    await put(backend, bucket, "key", b"third")
    before = [each.record for each in await versions(backend, bucket)]
    for record in before:
        fresh = record_of(b"", etag=record.etag, size=record.size, tags={"t": "1"})
        updated = await backend.update_object(bucket, "key", lambda _, fresh=fresh: fresh, record.version_id)
        assert (updated.version_id, updated.sequence, updated.tags) == (record.version_id, record.sequence, {"t": "1"})
    after = [each.record for each in await versions(backend, bucket)]
    assert [(each.version_id, each.sequence) for each in after] == [(each.version_id, each.sequence) for each in before]
    assert await get(backend, bucket, "key") == b"third"


async def test_an_updated_record_moves_with_its_version(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """Into the history, under a marker, and back again."""
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "key", b"data")
    tags = {"t": "long" * 5000}
    updated = await backend.update_object(bucket, "key", lambda record: replace(record, tags=tags))
    above = await put(another, bucket, "key", b"above")
    assert await get_with_record(another, bucket, "key", stored.version_id) == (b"data", updated)
    await delete(another, bucket, "key", above.version_id)
    assert await get_with_record(backend, bucket, "key") == (b"data", updated)
    marker = await delete(another, bucket, "key")
    assert await get_with_record(another, bucket, "key", stored.version_id) == (b"data", updated)
    await delete(another, bucket, "key", marker.version_id)
    assert await get_with_record(backend, bucket, "key") == (b"data", updated)


@each_state
async def test_an_old_version_is_copied_over_the_current_one(
    backend: Backend, another: Backend, bucket: Bucket, state: str
) -> None:
    """The way to restore it: the copy is a version of its own, with the bytes and the record of the source."""
    await set_versioning(backend, bucket, "Enabled")
    old = await put(backend, bucket, "key", LARGE, user_metadata={"n": "1"}, tags={"t": "1"})
    new = await put(backend, bucket, "key", b"new")
    await set_versioning(backend, bucket, state)
    reader = await backend.open_object(bucket, "key", old.version_id)
    async with backend.stage(bucket) as stage:
        await stage.copy(reader, 0, reader.record.size)
        copied = await backend.commit_object(bucket, stage, "key", reader.record, NO_CONDITION)
    await reader.close()
    assert (copied.user_metadata, copied.tags, copied.etag) == ({"n": "1"}, {"t": "1"}, old.etag)
    assert copied.version_id not in (old.version_id, new.version_id)
    assert await version_ids(another, bucket, "key") == [copied.version_id, new.version_id, old.version_id]
    await delete(backend, bucket, "key", old.version_id)
    assert await get_with_record(another, bucket, "key") == (LARGE, copied)


async def test_versions_outlive_their_backend(store: Store, backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    for n in range(3):
        await put(backend, bucket, "key", b"%d" % n, tags={"n": str(n)})
    await delete(backend, bucket, "key")
    before = await versions(backend, bucket)
    await backend.stop()
    later = store()
    await later.start()
    assert await versions(later, bucket) == before
    assert await get(later, bucket, "key", before[-1].record.version_id) == b"0"
    await later.stop()
    await backend.start()


# --- time
async def test_the_last_write_is_the_newest_version_even_when_the_clock_goes_back(
    backend: Backend, another: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, 4_000_000_000)
    stored = [await put(backend, bucket, "key", b"null")]
    await set_versioning(backend, bucket, "Enabled")
    expected = ["null"]
    for n, seconds in enumerate([4_000_000_000, 3_000_000_000, 3_000_000_000, 1_000_000_000, 2_000_000_000]):
        set_clock(monkeypatch, seconds)
        record = await put([backend, another][n % 2], bucket, "key", b"%d" % n)
        assert record.modified_ns == seconds * 10**9
        assert record.sequence > stored[-1].sequence
        assert await get_with_record(another, bucket, "key") == (b"%d" % n, record)
        stored.append(record)
        expected.insert(0, record.version_id)
        assert await version_ids(another, bucket, "key") == expected
    set_clock(monkeypatch, 1_500_000_000)
    deletion = await delete(another, bucket, "key")
    assert await error_code(backend.stat_object(bucket, "key")) == "NoSuchKey"
    expected.insert(0, f"-{deletion.version_id}")
    assert await version_ids(backend, bucket, "key") == expected
    set_clock(monkeypatch, 1_400_000_000)
    record = await put(backend, bucket, "key", b"last")
    assert await version_ids(another, bucket, "key") == [record.version_id, *expected]
    assert await get(another, bucket, "key") == b"last"


async def test_where_suspended_the_last_write_is_the_newest_version_even_when_the_clock_goes_back(
    backend: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    set_clock(monkeypatch, 4_000_000_000)
    kept = await put(backend, bucket, "key", b"kept")
    await set_versioning(backend, bucket, "Suspended")
    last = kept.sequence
    for seconds in (3_000_000_000, 2_000_000_000, 1_000_000_000):
        set_clock(monkeypatch, seconds)
        stored = await put(backend, bucket, "key", b"%d" % seconds)
        assert stored.sequence > last
        assert await get(backend, bucket, "key") == b"%d" % seconds
        assert await version_ids(backend, bucket, "key") == ["null", kept.version_id]
        last = stored.sequence
    set_clock(monkeypatch, 900_000_000)
    await delete(backend, bucket, "key")
    assert await version_ids(backend, bucket, "key") == ["-null", kept.version_id]
    set_clock(monkeypatch, 800_000_000)
    await put(backend, bucket, "key", b"again")
    assert await version_ids(backend, bucket, "key") == ["null", kept.version_id]
    assert await get(backend, bucket, "key") == b"again"


# --- multipart uploads
async def test_a_completed_upload_is_a_version(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, LARGE)
    old = await put(backend, bucket, "key", b"old")
    await set_versioning(another, bucket, "Enabled")
    joined = await complete(backend, bucket, upload, [part])
    assert VERSION_ID.fullmatch(joined.version_id)
    assert await version_ids(another, bucket, "key") == [joined.version_id, "null"]
    assert await get_with_record(another, bucket, "key", joined.version_id) == (LARGE, joined)
    assert await get_with_record(another, bucket, "key", "null") == (b"old", old)
    await put(backend, bucket, "key", b"above")
    assert await get_with_record(another, bucket, "key", joined.version_id) == (LARGE, joined)


async def test_where_suspended_a_completed_upload_is_the_version_null(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"before")
    await set_versioning(backend, bucket, "Enabled")
    kept = await put(backend, bucket, "key", b"kept")
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    await set_versioning(backend, bucket, "Suspended")
    await complete(backend, bucket, upload, [part])
    assert await version_ids(backend, bucket, "key") == ["null", kept.version_id]
    assert await get(backend, bucket, "key", "null") == b"part"


async def test_the_condition_of_a_completion_looks_at_the_current_version(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"data")
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    assert await error_code(complete(backend, bucket, upload, [part], condition=ABSENT)) == "PreconditionFailed"
    await delete(backend, bucket, "key")
    any_object = WriteCondition(if_match="*")
    assert await error_code(complete(backend, bucket, upload, [part], condition=any_object)) == "NoSuchKey"
    joined = await complete(backend, bucket, upload, [part], condition=ABSENT)
    assert (await version_ids(backend, bucket, "key"))[0] == joined.version_id
    assert len(await version_ids(backend, bucket, "key")) == 3


# --- the bucket
@each_state
async def test_a_bucket_with_a_marker_is_not_deleted(backend: Backend, bucket: Bucket, state: str) -> None:
    await set_versioning(backend, bucket, state)
    marker = await delete(backend, bucket, "deep/down/key")
    assert await error_code(backend.delete_bucket(bucket)) == "BucketNotEmpty"
    assert await version_ids(backend, bucket, "deep/down/key") == [f"-{marker.version_id}"]
    await delete(backend, bucket, "deep/down/key", marker.version_id)
    await backend.delete_bucket(bucket)


@pytest.mark.parametrize("key", ["key", "a/", "..", ".s3gate/x", "deep/down/key", "k" * 1024])
async def test_a_bucket_with_old_versions_is_not_deleted(
    backend: Backend, another: Backend, bucket: Bucket, key: str
) -> None:
    await put(backend, bucket, key, b"null")
    await set_versioning(backend, bucket, "Enabled")
    second = await put(backend, bucket, key, b"second")
    marker = await delete(backend, bucket, key)
    for version_id in (second.version_id, "null", marker.version_id):
        assert await error_code(another.delete_bucket(bucket)) == "BucketNotEmpty"
        await delete(backend, bucket, key, version_id)
    await another.delete_bucket(bucket)
    assert await error_code(backend.find_bucket("bucket")) == "NoSuchBucket"
