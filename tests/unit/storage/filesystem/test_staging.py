"""Stages while the world changes under them, and records that belong to a stage."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.disk import control_files, staged
from support.stores import REGION, complete, error_code, get, keys, put, put_part, read_all, start_upload, unchanged

# A record with it does not fit into an extended attribute.
LONG = {"headers": {"content-disposition": "x" * 8000}}


async def commit_after(backend: FilesystemBackend, bucket: Bucket, change: Callable[[], Awaitable[Bucket]]) -> str:
    """Stage an object, make a change, and commit to the bucket that `change` gives; the code of the error."""
    async with backend.stage(bucket) as stage:
        await stage.write([b"staged"], unchanged)
        target = await change()
        gc.collect()
        # Whatever is opened now could get the number of a descriptor that was closed too early.
        for number in range(10):
            await put(backend, target, f"key-{number}", b"other")
        record = ObjectRecord("0" * 32, 6, 0)
        return await error_code(backend.commit_object(target, stage, "key", record, NO_CONDITION))


async def test_a_stage_outlives_its_bucket_and_is_not_committed_to_the_next_one_of_that_name(backend, bucket, root):
    async def change() -> Bucket:
        await backend.delete_bucket(bucket)
        return await backend.create_bucket("bucket", ROOT, REGION)

    assert await commit_after(backend, bucket, change) == "NoSuchBucket"
    assert await keys(backend, bucket) == [f"key-{number}" for number in range(10)]
    assert staged(root) == []


async def test_a_stage_of_a_bucket_that_another_program_replaced_is_not_committed(backend, bucket, root):
    async def change() -> Bucket:
        (root / "bucket").rename(root / "renamed")
        (root / "bucket").mkdir()
        return await backend.find_bucket("bucket")

    assert await commit_after(backend, bucket, change) == "NoSuchBucket"
    assert staged(root) == []
    assert not (root / "renamed/key").exists()
    assert not (root / "bucket/key").exists()


async def test_a_download_goes_on_when_its_bucket_is_removed(backend, bucket, root):
    await put(backend, bucket, "key", b"x" * 3_000_000)
    reader = await backend.open_object(bucket, "key")
    await backend.delete_object(bucket, "key", NO_CONDITION)
    await backend.delete_bucket(bucket)
    gc.collect()

    assert await read_all(reader) == b"x" * 3_000_000
    await reader.close()


@pytest.mark.parametrize("metadata", ["xattr", "sidecar"])
async def test_writes_that_are_refused_leave_no_record_of_their_own(tmp_path: Path, metadata: str, runner):
    backend = FilesystemBackend(str(tmp_path), durability="none", metadata=metadata, region=REGION)
    await backend.start()
    bucket = await backend.create_bucket("bucket", ROOT, REGION)
    await put(backend, bucket, "key", b"old", **LONG)
    (tmp_path / "bucket/link").symlink_to(tmp_path)
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"new")
    kept = control_files(tmp_path)
    absent = WriteCondition(None, "*")

    assert await error_code(put(backend, bucket, "key", b"new", condition=absent, **LONG)) == "PreconditionFailed"
    assert await error_code(put(backend, bucket, "link/key", b"new", **LONG)) == "AccessDenied"
    assert await error_code(complete(backend, bucket, upload, [part], condition=absent)) == "PreconditionFailed"

    assert control_files(tmp_path) == kept
    assert await get(backend, bucket, "key") == b"old"
    await backend.abort_upload(bucket, upload)
    await backend.delete_object(bucket, "key", NO_CONDITION)
    assert [path for path in control_files(tmp_path) if "/meta/" in path or "/x/" in path] == []
    await backend.stop()


async def test_a_record_that_is_written_a_second_time_for_a_clock_that_went_back_is_there_once(
    backend, bucket, root, monkeypatch
):
    await put(backend, bucket, "key", b"old", **LONG)
    monkeypatch.setattr("s3gate.core.clock.now_ns", lambda: 1)

    record = await put(backend, bucket, "key", b"new", **LONG)

    assert record.headers == LONG["headers"]
    assert await get(backend, bucket, "key") == b"new"
    assert len([path for path in control_files(root) if "/x/" in path]) == 1
