"""Stages while the world changes under them, and records that belong to a stage."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from s3gate.core.checksums import Buffer
from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem import syscalls
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.disk import control_files, staged
from support.stores import (
    REGION,
    complete,
    error_code,
    get,
    get_with_record,
    keys,
    put,
    put_part,
    read_all,
    start_upload,
    unchanged,
)

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


@pytest.mark.parametrize("said", [{}, LONG], ids=["short", "long"])
@pytest.mark.parametrize("condition", [NO_CONDITION, WriteCondition(if_match="*")], ids=["always", "if-match"])
@pytest.mark.parametrize("known", [True, False])
async def test_a_commit_to_a_bucket_that_is_gone_finds_no_bucket(backend, root, known, condition, said):
    """Whatever is looked at first, and whether this or another gateway removed it while the body was received."""
    another = FilesystemBackend(str(root), durability="none", region=REGION)
    await another.start()
    bucket = await backend.create_bucket("bucket", ROOT, REGION)
    async with backend.stage(bucket) as stage:
        await stage.write([b"staged"], unchanged)
        remover = backend if known else another
        await remover.delete_bucket(await remover.find_bucket("bucket"))
        record = ObjectRecord("0" * 32, 6, 0, **said)
        assert await error_code(backend.commit_object(bucket, stage, "key", record, condition)) == "NoSuchBucket"
    assert not (root / "bucket").exists()
    await another.stop()


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


@dataclass
class Closes:
    """Stands in front of os.close: notes which threads close files of at least `size` bytes that have no name."""

    size: int
    threads: list[str] = field(default_factory=list)

    def __call__(self, fd: int) -> None:
        stat = os.fstat(fd)
        if stat.st_size >= self.size and not stat.st_nlink:
            self.threads.append(threading.current_thread().name)
        _close(fd)


_close = os.close


@pytest.mark.parametrize("how", ["replaced", "deleted", "deleted under a reader", "given up"])
async def test_the_blocks_of_a_large_file_are_not_freed_on_the_event_loop(backend, bucket, root, monkeypatch, how):
    size = 64 << 20
    with (root / "bucket/large").open("wb") as file:
        file.truncate(size)
    closes = Closes(size)
    monkeypatch.setattr(os, "close", closes)

    if how == "replaced":
        await put(backend, bucket, "large", b"small")
    elif how == "deleted":
        await backend.delete_object(bucket, "large", NO_CONDITION)
    elif how == "deleted under a reader":
        reader = await backend.open_object(bucket, "large")
        await backend.delete_object(bucket, "large", NO_CONDITION)
        await reader.close()
    else:
        async with backend.stage(bucket) as stage:
            reader = await backend.open_object(bucket, "large")
            await stage.copy(reader, 0, size)
            await reader.close()
    await backend.stop()

    assert closes.threads
    assert all(name.startswith("s3gate-disk") for name in closes.threads)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(("module", "call"), [(os, "writev"), (os, "setxattr"), (syscalls, "exchange")])
async def test_a_full_disk_or_quota_at_any_step_of_a_write_leaves_the_old_object(
    backend, bucket, root, monkeypatch, module, call, number
):
    old = await put(backend, bucket, "key", b"old")
    kept = control_files(root)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module, call, fail)
        assert await error_code(put(backend, bucket, "key", b"new", **LONG)) == "InsufficientStorage"

    assert await get_with_record(backend, bucket, "key") == (b"old", old)
    assert control_files(root) == kept


@pytest.mark.parametrize("looks", [False, True])
async def test_a_small_write_never_goes_before_a_large_one_that_waits_for_its_turn(backend, bucket, root, looks):
    """It comes in the very turn of the loop in which the write before that one ends."""
    pieces = [b"a" * 200_000, b"b" * 200_000, b"c"]
    go_on = threading.Event()
    seen: list[bytes] = []

    def hold(batch: list[Buffer]) -> list[Buffer]:
        assert go_on.wait(30)
        return batch

    def note(batch: list[Buffer]) -> None:
        seen.extend(map(bytes, hold(batch)))

    async with backend.stage(bucket) as stage:

        async def write(piece: bytes) -> None:
            await stage.write([piece], unchanged if looks else hold, note if looks else None)

        async def first_and_last() -> None:
            await write(pieces[0])
            await write(pieces[2])

        writes = [asyncio.create_task(first_and_last()), asyncio.create_task(write(pieces[1]))]
        await asyncio.sleep(0.05)
        go_on.set()
        await asyncio.gather(*writes)
        assert os.pread(stage.fd, 1_000_000, 0) == b"".join(pieces)
        assert seen == (pieces if looks else [])
