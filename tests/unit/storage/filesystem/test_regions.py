"""Parts at their places: nothing is copied, nobody writes twice, and nothing comes behind the completion."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, Part, Upload
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem import assembly, regions, staging
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.forks import fork, in_child, status_of
from support.mutations import LocalBackend, on
from support.processes import own_descriptors
from support.stores import (
    REGION,
    complete,
    error_code,
    get,
    get_with_record,
    put,
    put_part,
    set_versioning,
    start_upload,
    unchanged,
    versions,
)

KIB = 1024


@pytest.fixture
def backend(root: Path, runner: asyncio.Runner) -> Iterator[FilesystemBackend]:
    backend = FilesystemBackend(str(root), durability="none", region=REGION, upload_parts="in-place")
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


def joint(root: Path, upload: Upload) -> Path:
    return root / "bucket/.s3gate/mpu" / upload.id / "data"


def names(root: Path, upload: Upload) -> list[str]:
    return sorted(os.listdir(joint(root, upload).parent))


def part(number: int, data: bytes) -> Part:
    return Part(number, len(data), hashlib.md5(data).hexdigest(), 0)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all that is copied from file to file."""
    lengths: list[int] = []
    copy_range = staging.copy_range

    def counting(source: int, target: int, start: int, length: int) -> None:
        lengths.append(length)
        copy_range(source, target, start, length)

    monkeypatch.setattr(staging, "copy_range", counting)
    monkeypatch.setattr(assembly, "copy_range", counting)
    return lengths


async def test_the_file_of_the_parts_becomes_the_object(backend, bucket, root, copied):
    upload = await start_upload(backend, bucket, "joined")
    pieces = {n: bytes([n]) * 64 * KIB for n in range(1, 9)} | {9: b"end"}
    parts = {n: await put_part(backend, bucket, upload, n, pieces[n]) for n in (1, 9, 4, 2, 3, 8, 7, 6, 5)}
    file = joint(root, upload).stat()

    stored = await complete(backend, bucket, upload, [parts[n] for n in range(1, 10)])

    after = (root / "bucket/joined").stat()
    assert (after.st_ino, after.st_size, after.st_nlink) == (file.st_ino, 8 * 64 * KIB + 3, 1)
    assert after.st_mtime_ns > file.st_mtime_ns
    assert copied == []
    assert await get_with_record(backend, bucket, "joined") == (b"".join(pieces[n] for n in range(1, 10)), stored)
    assert os.listdir(root / "bucket/.s3gate/mpu") == []


async def test_a_part_sent_again_is_all_that_is_copied(backend, bucket, root, copied):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, bytes([64 + n]) * 1000) for n in (1, 2, 3)]
    parts[1] = await put_part(backend, bucket, upload, 2, b"again" * 200)
    inode = joint(root, upload).stat().st_ino

    await complete(backend, bucket, upload, parts)

    assert copied == [1000]
    assert (root / "bucket/joined").stat().st_ino == inode
    assert await get(backend, bucket, "joined") == b"A" * 1000 + b"again" * 200 + b"C" * 1000


async def test_a_part_that_is_not_named_is_not_lost_when_the_completion_is_refused(backend, bucket, root):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, bytes([64 + n]) * 1000) for n in (1, 2, 3)]
    present = WriteCondition(if_match="*")
    for listed in (parts[:1], parts[:2], parts[1:], parts[::2]):
        assert await error_code(complete(backend, bucket, upload, listed, condition=present)) == "NoSuchKey"
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "joined") == b"A" * 1000 + b"B" * 1000 + b"C" * 1000


async def test_what_a_failed_part_wrote_is_given_back_and_its_place_taken_by_the_next(backend, bucket, root, copied):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 64 * KIB)]

    async def fail() -> None:
        async with backend.stage_part(bucket, upload, 2, 64 * KIB) as stage:
            await stage.write([b"x" * 64 * KIB], unchanged)
            os.fsync(stage.fd)
            raise S3Error("BadDigest")

    assert await error_code(fail()) == "BadDigest"
    with joint(root, upload).open("rb") as file, pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        file.seek(64 * KIB, os.SEEK_DATA)
    assert not [name for name in names(root, upload) if name.startswith("claim-00002")]
    parts.append(await put_part(backend, bucket, upload, 2, b"2" * KIB))
    await complete(backend, bucket, upload, parts)
    assert copied == []
    assert await get(backend, bucket, "joined") == b"1" * 64 * KIB + b"2" * KIB


async def test_a_writer_that_is_at_work_makes_the_completion_copy_and_never_reaches_the_object(
    backend, bucket, root, copied, monkeypatch
):
    monkeypatch.setattr(assembly, "_PATIENCE", 0.0)
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, bytes([64 + n]) * 1000) for n in (1, 2)]
    whole = b"A" * 1000 + b"B" * 1000
    async with backend.stage_part(bucket, upload, 3, 1000) as late:
        await late.write([b"x" * 500], unchanged)
        written = os.fstat(late.fd).st_ino
        await complete(backend, bucket, upload, parts)
        assert copied == [1000, 1000]
        assert (root / "bucket/joined").stat().st_ino != written
        os.lseek(late.fd, 0, os.SEEK_SET)  # the worst that it could do
        await late.write([b"y" * 500], unchanged)
        assert await error_code(backend.commit_part(bucket, upload, late, part(3, b"x" * 1000))) == "NoSuchUpload"
    assert await get(backend, bucket, "joined") == whole
    assert os.listdir(root / "bucket/.s3gate/mpu") == []


async def test_the_completion_waits_a_little_for_a_writer_that_is_about_to_end(backend, bucket, root, copied):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 1000)]
    async with backend.stage_part(bucket, upload, 2, 1000) as late:
        await late.write([b"x" * 500], unchanged)
        completing = asyncio.create_task(complete(backend, bucket, upload, parts))
        await asyncio.sleep(0.01)
        assert not completing.done()
    await completing
    assert copied == []
    assert await get(backend, bucket, "joined") == b"1" * 1000


async def test_a_part_that_begins_while_the_completion_is_at_work_goes_elsewhere(backend, bucket, monkeypatch):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 1000)]
    begun: list[str] = []
    finish = assembly._finish_in_place
    loop = asyncio.get_running_loop()

    async def begin() -> None:
        async with backend.stage_part(bucket, upload, 2, 1000) as stage:
            begun.append(type(stage).__name__)

    def finishing(*arguments: object) -> None:
        asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(assembly, "_finish_in_place", finishing)
    await complete(backend, bucket, upload, parts)
    assert begun == ["FileStage"]


async def test_a_cancelled_writer_is_done_with_the_file_before_it_lets_go(backend, bucket, root, monkeypatch):
    """The thread that writes is waited for; the fence is held until then."""
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 200 * KIB)]
    order: list[str] = []
    loop = asyncio.get_running_loop()
    started, go_on = asyncio.Event(), asyncio.Event()
    writev = os.writev

    def slow(fd: int, pieces: list[bytes]) -> int:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        order.append("written")
        return writev(fd, pieces)

    async def write() -> None:
        async with backend.stage_part(bucket, upload, 2, 200 * KIB) as stage:
            await stage.write([b"x" * 200 * KIB], unchanged)

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", slow)
        writer = asyncio.create_task(write())
        await started.wait()
        writer.cancel()
        await asyncio.sleep(0.01)
        assert not writer.done()
        fd = os.open(joint(root, upload).parent / "upload", os.O_RDWR)
        assert not assembly.try_lock(fd, shared=False)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await writer
        assert order == ["written"]
        assert assembly.try_lock(fd, shared=False)
        os.close(fd)
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "joined") == b"1" * 200 * KIB


async def test_a_part_cannot_be_longer_than_its_place(backend, bucket):
    """Behind it is that of the next."""
    upload = await start_upload(backend, bucket, "joined")
    await put_part(backend, bucket, upload, 1, b"first")
    third = await put_part(backend, bucket, upload, 3, b"third")
    await put(backend, bucket, "source", b"x" * 6)
    source = await backend.open_object(bucket, "source")

    async def write() -> None:
        async with backend.stage_part(bucket, upload, 2, 5) as stage:
            await stage.write([b"xxx"], unchanged)
            await stage.write([b"xxx"], unchanged)

    async def copy() -> None:
        async with backend.stage_part(bucket, upload, 2, 5) as stage:
            await stage.copy(source, 0, 6)

    assert [await error_code(work()) for work in (write, copy)] == ["InternalError"] * 2
    await source.close()
    await complete(backend, bucket, upload, [third])
    assert await get(backend, bucket, "joined") == b"third"


async def test_a_stage_is_committed_as_the_part_it_was_opened_for_and_as_nothing_else(backend, bucket):
    upload = await start_upload(backend, bucket, "joined")
    other = await start_upload(backend, bucket, "joined")
    data = b"1" * 1000
    async with backend.stage_part(bucket, upload, 1, 1000) as stage:
        await stage.write([data], unchanged)
        for target, wrong in ((upload, part(2, data)), (other, part(1, data)), (upload, part(1, data[:-1]))):
            with pytest.raises(ValueError, match="opened for"):
                await backend.commit_part(bucket, target, stage, wrong)
        with pytest.raises(TypeError):
            await put_stage(backend, bucket, stage)
        await backend.commit_part(bucket, upload, stage, part(1, data))


async def put_stage(backend: FilesystemBackend, bucket: Bucket, stage: object) -> None:
    record = (await put(backend, bucket, "model", b"x" * 1000)).__class__("0" * 32, 1000, 0)
    await backend.commit_object(bucket, stage, "key", record, WriteCondition())  # type: ignore[arg-type]


async def test_the_first_part_that_may_say_so_says_how_long_parts_are(backend, bucket, root):
    """The last part of all may come first, and says nothing of the others."""
    upload = await start_upload(backend, bucket, "joined")
    await put_part(backend, bucket, upload, 7, b"short")
    assert not joint(root, upload).exists()
    await put_part(backend, bucket, upload, 1, b"x" * 1000)
    await put_part(backend, bucket, upload, 3, b"y" * 1000)
    await put_part(backend, bucket, upload, 5, b"z" * 1001)
    assert joint(root, upload).stat().st_size == 3000
    places = sorted(name.partition("@")[2] for name in names(root, upload) if "@" in name)
    assert places == ["0+3e8", "7d0+3e8"]


async def test_a_large_part_says_how_long_parts_are_whatever_its_number(backend, bucket, root, monkeypatch):
    monkeypatch.setattr(regions, "_NOT_THE_LAST", 1000)
    upload = await start_upload(backend, bucket, "joined")
    await put_part(backend, bucket, upload, 3, b"x" * 1000)
    assert joint(root, upload).stat().st_size == 3000


async def test_a_place_behind_the_end_of_the_longest_object_is_not_used(backend, bucket, root, monkeypatch):
    monkeypatch.setattr(regions, "_LONGEST", 3000)
    upload = await start_upload(backend, bucket, "joined")
    for number in (1, 3, 4, 10_000):
        await put_part(backend, bucket, upload, number, b"x" * 1000)
    assert joint(root, upload).stat().st_size == 3000


async def test_a_length_that_cannot_be_read_is_not_guessed(backend, bucket, root):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 1000)]
    (joint(root, upload).parent / "size").write_bytes(b"broken")
    parts.append(await put_part(backend, bucket, upload, 2, b"2" * 100))
    assert joint(root, upload).stat().st_size == 1000
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "joined") == b"1" * 1000 + b"2" * 100


async def test_once_the_file_is_an_object_no_part_is_written_beside_it(backend, bucket, root, monkeypatch):
    """As after a kill between the commit and its being noted; the object may be gone by then."""
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, bytes([64 + n]) * 1000) for n in (1, 2)]
    os.rename(joint(root, upload), root / "bucket/elsewhere")
    parts.append(await put_part(backend, bucket, upload, 3, b"C" * 1000))
    assert not joint(root, upload).exists()
    assert await error_code(complete(backend, bucket, upload, parts)) == "NoSuchUpload"
    assert await error_code(backend.stat_object(bucket, "joined")) == "NoSuchKey"
    await backend.abort_upload(bucket, upload)


@pytest.mark.parametrize("state", ["", "Enabled"])
async def test_the_name_of_the_joint_file_never_leads_to_what_the_object_replaces(
    backend, bucket, root, monkeypatch, state
):
    """A process that is killed then would leave an older version where parts are written."""
    if state:
        await set_versioning(backend, bucket, state)
    await put(backend, bucket, "joined", b"old")
    old = (root / "bucket/joined").stat().st_ino
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 1000)]
    seen: list[int] = []
    unlink = os.unlink

    def unlinking(path: bytes, **options: int) -> None:
        """Whatever had that name, it would have to be removed."""
        seen.extend(path.stat().st_ino for path in root.glob("bucket/.s3gate/mpu/*/data"))
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", unlinking)
    await complete(backend, bucket, upload, parts)
    assert old not in seen


async def test_a_joint_file_that_is_too_short_makes_no_object(backend, bucket, root):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, b"x" * 1000) for n in (1, 2)]
    os.truncate(joint(root, upload), 1999)
    assert await error_code(complete(backend, bucket, upload, parts)) == "InternalError"
    assert await backend.list_parts(bucket, upload) == parts


async def test_without_locks_that_hold_parts_are_copied_out_of_the_joint_file(backend, bucket, root, copied):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, bytes([64 + n]) * 1000) for n in (1, 2)]
    placement = backend._store.placement
    placement._found = dict.fromkeys(placement._found, False)
    parts.append(await put_part(backend, bucket, upload, 3, b"C" * 1000))
    assert joint(root, upload).stat().st_size == 2000
    await complete(backend, bucket, upload, parts)
    assert copied == [1000] * 3
    assert await get(backend, bucket, "joined") == b"A" * 1000 + b"B" * 1000 + b"C" * 1000


async def test_no_descriptor_and_no_claim_stays_when_a_file_cannot_be_opened(backend, bucket, root, monkeypatch):
    upload = await start_upload(backend, bucket, "joined")
    await put_part(backend, bucket, upload, 1, b"x" * 1000)
    before = len(own_descriptors(root))
    whole = os.open

    def failing(path: bytes, *arguments: object, **options: object) -> int:
        if bytes(path).endswith(b"/data"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return whole(path, *arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        assert await error_code(put_part(backend, bucket, upload, 2, b"y" * 1000)) == "SlowDown"
    assert len(own_descriptors(root)) == before
    assert "claim-00002" not in names(root, upload)


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
async def test_a_version_is_made_without_a_copy_too(backend, bucket, root, copied, state):
    await put(backend, bucket, "joined", b"old")
    await set_versioning(backend, bucket, state)
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, b"x" * 1000) for n in (1, 2)]
    await complete(backend, bucket, upload, parts)
    assert copied == []
    assert len(await versions(backend, bucket)) == (2 if state == "Enabled" else 1)


async def test_ten_thousand_parts_are_listed_by_one_scan_and_joined(backend, bucket, root, monkeypatch):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, n, b"%05d" % n) for n in range(1, 10_001)]
    scans: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scans.append(path) or scandir(path))
    assert await backend.list_parts(bucket, upload) == parts
    assert len(scans) == 1
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "joined") == b"".join(b"%05d" % n for n in range(1, 10_001))


# --- other processes
def test_two_processes_that_write_the_same_part_do_not_mix(tmp_path):
    """One of them has the place; which one counts is decided by who ends last."""

    async def begin(backend: LocalBackend) -> tuple[Bucket, Upload]:
        bucket = await backend.create_bucket("bucket", ROOT, REGION)
        return bucket, await start_upload(backend, bucket, "key")

    bucket, upload = on(tmp_path, begin)

    async def write(backend: LocalBackend, letter: bytes) -> None:
        data = letter * 256 * KIB
        async with backend.stage_part(bucket, upload, 1, len(data)) as stage:
            for start in range(0, len(data), 1000):
                await stage.write([data[start : start + 1000]], unchanged)
            await backend.commit_part(bucket, upload, stage, part(1, data))

    async def join(backend: LocalBackend) -> bytes:
        parts = await backend.list_parts(bucket, upload)
        await complete(backend, bucket, upload, parts)
        data = await get(backend, bucket, "key")
        assert hashlib.md5(data).hexdigest() == parts[0].etag
        return data

    letters = [b"a", b"b", b"c", b"d"]
    children = [fork(lambda letter=letter: on(tmp_path, lambda backend: write(backend, letter))) for letter in letters]
    assert [status_of(child) for child in children] == [0] * 4
    data = on(tmp_path, join)
    assert data in {letter * 256 * KIB for letter in letters}


def test_a_killed_writer_leaves_a_place_that_nobody_uses_and_the_completion_alone(tmp_path):
    async def begin(backend: LocalBackend) -> tuple[Bucket, Upload, Part]:
        bucket = await backend.create_bucket("bucket", ROOT, REGION)
        upload = await start_upload(backend, bucket, "key")
        return bucket, upload, await put_part(backend, bucket, upload, 1, b"1" * 1000)

    bucket, upload, first = on(tmp_path, begin)

    async def die(backend: LocalBackend) -> None:
        async with backend.stage_part(bucket, upload, 2, 1000) as stage:
            await stage.write([b"x" * 900], unchanged)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: on(tmp_path, die))[0] == -signal.SIGKILL

    async def join(backend: LocalBackend) -> bytes:
        inode = joint(tmp_path, upload).stat().st_ino
        second = await put_part(backend, bucket, upload, 2, b"2" * 300)
        await complete(backend, bucket, upload, [first, second])
        assert (tmp_path / "bucket/key").stat().st_ino == inode
        return await get(backend, bucket, "key")

    assert on(tmp_path, join) == b"1" * 1000 + b"2" * 300


MIB = KIB * KIB
EXT4, XFS = 0xEF53, 0x58465342


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Start and end of each range whose blocks are reserved, on what is taken for ext4."""
    ranges: list[tuple[int, int]] = []
    reserve_range = regions.reserve_range

    def noted(fd: int, offset: int, length: int) -> None:
        ranges.append((offset, offset + length))
        reserve_range(fd, offset, length)

    monkeypatch.setattr(regions, "reserve_range", noted)
    monkeypatch.setattr(regions, "filesystem_kind", lambda fd: EXT4)
    return ranges


async def test_blocks_are_reserved_ahead_of_what_comes_and_within_the_region(backend, bucket, root, reserved):
    upload = await start_upload(backend, bucket, "joined")
    data = os.urandom(20 * MIB)
    async with backend.stage_part(bucket, upload, 1, len(data)) as stage:
        for start in range(0, len(data), 512 * KIB):
            await stage.write([data[start : start + 512 * KIB]], unchanged)
        first = await backend.commit_part(bucket, upload, stage, part(1, data))
    assert reserved == [(0, 16 * MIB), (16 * MIB, 20 * MIB)]
    second = await put_part(backend, bucket, upload, 2, data[:MIB])
    assert reserved[2:] == [(20 * MIB, 21 * MIB)]
    last = await put_part(backend, bucket, upload, 3, data[:9])
    assert len(reserved) == 3
    await complete(backend, bucket, upload, [first, second, last])
    assert await get(backend, bucket, "joined") == data + data[:MIB] + data[:9]


async def test_blocks_are_reserved_where_that_helps_alone(backend, bucket, reserved, monkeypatch):
    monkeypatch.setattr(regions, "filesystem_kind", lambda fd: XFS)
    upload = await start_upload(backend, bucket, "joined")
    await complete(backend, bucket, upload, [await put_part(backend, bucket, upload, 1, b"x" * MIB)])
    assert reserved == []
    assert await get(backend, bucket, "joined") == b"x" * MIB


async def test_a_batch_that_is_longer_than_what_is_reserved_ahead_is_stored(backend, bucket, reserved):
    upload = await start_upload(backend, bucket, "joined")
    data = os.urandom(18 * MIB)
    await complete(backend, bucket, upload, [await put_part(backend, bucket, upload, 1, data)])
    assert reserved == [(0, 18 * MIB)]
    assert await get(backend, bucket, "joined") == data


async def test_a_part_that_breaks_off_gives_its_reserved_blocks_back(backend, bucket, root, reserved):
    upload = await start_upload(backend, bucket, "joined")
    first = await put_part(backend, bucket, upload, 1, b"x" * 8 * MIB)
    before = joint(root, upload).stat().st_blocks
    async with backend.stage_part(bucket, upload, 2, 8 * MIB) as stage:
        await stage.write([b"x" * MIB], unchanged)
    assert reserved[1:] == [(8 * MIB, 16 * MIB)]
    assert joint(root, upload).stat().st_blocks <= before + 8  # a block of the filesystem may say where they are
    await complete(backend, bucket, upload, [first])
    assert await get(backend, bucket, "joined") == b"x" * 8 * MIB
    assert (root / "bucket/joined").stat().st_size == 8 * MIB
