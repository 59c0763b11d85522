"""Quotas of buckets: what is admitted, what is refused, and what makes room."""

from __future__ import annotations

import pytest

from s3gate.core.bucket_properties import QUOTA, Quota, quota_document
from s3gate.core.conditions import WriteCondition
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from support.stores import (
    complete,
    delete,
    error_code,
    get,
    put,
    put_part,
    record_of,
    set_versioning,
    start_upload,
    unchanged,
    versions,
)


async def set_quota(backend: Backend, bucket: Bucket, **limits: int) -> None:
    await backend.put_document(bucket, QUOTA, quota_document(Quota(**limits)))
    await backend.recount(await backend.find_bucket(bucket.name))


async def held(backend: Backend, bucket: Bucket) -> tuple[int, int]:
    sizes = [each.record.size for each in await versions(backend, bucket) if not each.record.delete_marker]
    return sum(sizes), len(sizes)


async def test_bytes_are_bounded_to_the_last_one(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "there", b"1234")
    await set_quota(backend, bucket, bytes=10)
    await put(backend, bucket, "a", b"123456")
    assert await error_code(put(backend, bucket, "b", b"1")) == "QuotaExceeded"
    await put(backend, bucket, "empty", b"")
    assert await held(backend, bucket) == (10, 3)


async def test_objects_are_bounded(backend: Backend, bucket: Bucket) -> None:
    await set_quota(backend, bucket, objects=2)
    await put(backend, bucket, "a", b"1")
    await put(backend, bucket, "b", b"1")
    assert await error_code(put(backend, bucket, "c", b"")) == "QuotaExceeded"
    await put(backend, bucket, "b", b"much longer than before")
    assert await held(backend, bucket) == (24, 2)


async def test_what_is_refused_changes_nothing(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "k", b"1234")
    await set_quota(backend, bucket, bytes=5)
    assert await error_code(put(backend, bucket, "k", b"123456")) == "QuotaExceeded"
    assert await get(backend, bucket, "k") == b"1234"


async def test_what_is_replaced_or_deleted_makes_room(backend: Backend, bucket: Bucket) -> None:
    await set_quota(backend, bucket, bytes=10)
    await put(backend, bucket, "k", b"1234567890")
    await put(backend, bucket, "k", b"0987654321")
    await put(backend, bucket, "k", b"123")
    await put(backend, bucket, "other", b"1234567")
    assert await error_code(put(backend, bucket, "k", b"1234")) == "QuotaExceeded"
    await delete(backend, bucket, "other")
    await put(backend, bucket, "k", b"1234567890")


async def test_a_bucket_that_is_too_full_can_only_get_smaller(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "a", b"1234567890")
    await put(backend, bucket, "b", b"1234567890")
    await set_quota(backend, bucket, bytes=5, objects=1)
    assert await error_code(put(backend, bucket, "c", b"")) == "QuotaExceeded"
    await put(backend, bucket, "a", b"123456789")
    assert await error_code(put(backend, bucket, "a", b"1234567890")) == "QuotaExceeded"
    await delete(backend, bucket, "b")
    await put(backend, bucket, "a", b"12345")


async def test_a_condition_is_decided_before_the_quota(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "k", b"1")
    await set_quota(backend, bucket, bytes=0)
    async with backend.stage(bucket) as stage:
        await stage.write([b"12"], unchanged)
        refused = backend.commit_object(bucket, stage, "k", record_of(b"12"), WriteCondition(if_none_match="*"))
        assert await error_code(refused) == "PreconditionFailed"


async def test_older_versions_count_and_delete_markers_do_not(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await set_quota(backend, bucket, bytes=9, objects=3)
    first = await put(backend, bucket, "k", b"123")
    await put(backend, bucket, "k", b"123")
    await delete(backend, bucket, "k")
    await delete(backend, bucket, "never there")
    await put(backend, bucket, "k", b"123")
    assert await error_code(put(backend, bucket, "k", b"")) == "QuotaExceeded"
    await delete(backend, bucket, "k", first.version_id)
    await put(backend, bucket, "k", b"123")
    assert await held(backend, bucket) == (9, 3)


async def test_a_suspended_bucket_replaces_its_null_version(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "k", b"null")
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "k", b"version")
    await set_versioning(backend, bucket, "Suspended")
    await set_quota(backend, bucket, bytes=11, objects=2)
    await put(backend, bucket, "k", b"NULL")
    assert await error_code(put(backend, bucket, "k", b"NULL!")) == "QuotaExceeded"
    await delete(backend, bucket, "k")
    await put(backend, bucket, "other", b"1234")
    assert await held(backend, bucket) == (11, 2)


async def test_an_upload_counts_when_it_is_completed(backend: Backend, bucket: Bucket) -> None:
    await set_quota(backend, bucket, bytes=6)
    upload = await start_upload(backend, bucket, "k")
    part = await put_part(backend, bucket, upload, 1, b"1234567")
    assert await error_code(complete(backend, bucket, upload, [part])) == "QuotaExceeded"
    part = await put_part(backend, bucket, upload, 1, b"123456")
    await complete(backend, bucket, upload, [part])
    assert await error_code(put(backend, bucket, "other", b"1")) == "QuotaExceeded"


async def test_without_its_quota_a_bucket_takes_everything(backend: Backend, bucket: Bucket) -> None:
    await set_quota(backend, bucket, objects=0)
    assert await error_code(put(backend, bucket, "k", b"1")) == "QuotaExceeded"
    await backend.delete_document(bucket, QUOTA)
    await backend.recount(await backend.find_bucket(bucket.name))
    await put(backend, bucket, "k", b"1")
    await set_quota(backend, bucket, objects=1)
    assert await error_code(put(backend, bucket, "other", b"1")) == "QuotaExceeded"


async def test_a_damaged_quota_refuses_writes_and_no_deletes(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "k", b"1")
    await set_quota(backend, bucket, objects=5)
    await backend.put_document(bucket, QUOTA, b"{")
    assert await error_code(put(backend, bucket, "other", b"1")) == "InternalError"
    await delete(backend, bucket, "k")


@pytest.mark.parametrize("key", ["plain", "dir/", "dir/a/b", ".s3gate/x", "a//b", "x" * 300, "ü"])
async def test_every_key_is_counted_again_as_it_was_entered(backend: Backend, bucket: Bucket, key: str) -> None:
    await set_quota(backend, bucket, bytes=8)
    await put(backend, bucket, key, b"1234")
    await put(backend, bucket, key + "/deeper", b"123")
    await backend.recount(bucket)
    assert await error_code(put(backend, bucket, "z", b"12")) == "QuotaExceeded"
    await put(backend, bucket, "z", b"1")
