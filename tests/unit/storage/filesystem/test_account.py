"""The account of a bucket with a quota: beside other writers, counts, killed processes and other programs."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.bucket_properties import QUOTA, Held, Quota, quota_document
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from s3gate.storage.filesystem import account, counting
from s3gate.storage.filesystem.account import Count, Ledger, counted_just_now, read_ledger, write_ledger
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.stores import ALICE, REGION, delete, error_code, put, set_versioning, versions


@pytest.fixture(params=["xattr", "sidecar"])
def backends(
    request: pytest.FixtureRequest, tmp_path: Path, runner: asyncio.Runner
) -> Iterator[list[FilesystemBackend]]:
    """Two backends of one directory, which know nothing of each other; it has the bucket `bucket`."""
    made = [FilesystemBackend(str(tmp_path), durability="none", metadata=request.param) for _ in range(2)]
    for each in made:
        runner.run(each.start())
    runner.run(made[0].create_bucket("bucket", ALICE, REGION))
    yield made
    for each in made:
        runner.run(each.stop())


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """The open directory of the bucket."""
    fd = os.open(tmp_path / "bucket", os.O_RDONLY)
    yield fd
    os.close(fd)


async def set_quota(backend: Backend, *, counted: bool = True, **limits: int) -> Bucket:
    await backend.put_document(await backend.find_bucket("bucket"), QUOTA, quota_document(Quota(**limits)))
    bucket = await backend.find_bucket("bucket")
    if counted:
        await backend.recount(bucket)
    return bucket


async def really(backend: Backend, bucket: Bucket) -> Held:
    sizes = [each.record.size for each in await versions(backend, bucket) if not each.record.delete_marker]
    return Held(sum(sizes), len(sizes))


def noted(directory: int) -> Held | None:
    ledger = read_ledger(directory)
    assert ledger is not None
    return ledger.held


async def test_of_many_writers_just_as_many_as_fit_succeed(backends: list[FilesystemBackend], directory: int) -> None:
    bucket = await set_quota(backends[0], objects=25)
    codes = await asyncio.gather(
        *(
            error_code_or_none(put(backends[number % 2], bucket, f"dir{number % 3}/{number}", b"1"))
            for number in range(60)
        )
    )
    assert codes.count(None) == 25
    assert codes.count("QuotaExceeded") == 35
    assert noted(directory) == Held(25, 25) == await really(backends[1], bucket)


async def error_code_or_none(work: object) -> str | None:
    try:
        await work  # type: ignore[misc]
    except S3Error as error:
        return error.code
    return None


@pytest.mark.parametrize("versioned", [False, True])
async def test_a_count_beside_writers_and_deleters_is_right_to_the_byte(
    backends: list[FilesystemBackend], directory: int, monkeypatch: pytest.MonkeyPatch, versioned: bool
) -> None:
    monkeypatch.setattr(counting, "_BATCH", 2)
    bucket = await backends[0].find_bucket("bucket")
    if versioned:
        await set_versioning(backends[0], bucket, "Enabled")
    names = [f"{number % 4}/{number}" for number in range(40)] + ["0", "1"]
    for name in names:
        await put(backends[0], bucket, name, b"123")
    bucket = await set_quota(backends[0], bytes=1 << 40)
    rng = random.Random(7)

    async def work(backend: Backend, counting: asyncio.Task[None]) -> int:
        done = 0
        while not counting.done():
            name = rng.choice(names)
            if rng.random() < 0.4:
                await delete(backend, bucket, name)
            else:
                await put(backend, bucket, name, bytes(rng.randrange(50)))
            done += 1
            await asyncio.sleep(0)
        return done

    done = 0
    for _ in range(4):
        recount = asyncio.create_task(backends[1].recount(bucket))
        done += sum(await asyncio.gather(*(work(backends[number % 2], recount) for number in range(4))))
        assert noted(directory) == await really(backends[0], bucket)
    assert done > 30


async def test_files_of_other_programs_count_from_the_next_count_on(
    backends: list[FilesystemBackend], directory: int, tmp_path: Path
) -> None:
    bucket = await set_quota(backends[0], bytes=10)
    (tmp_path / "bucket/dir").mkdir()
    (tmp_path / "bucket/dir/foreign").write_bytes(b"1234567890")
    await put(backends[0], bucket, "k", b"1")
    assert noted(directory) == Held(1, 1)
    await backends[0].sweep()
    assert noted(directory) == Held(11, 2)
    assert await error_code(put(backends[0], bucket, "k2", b"1")) == "QuotaExceeded"
    await delete(backends[1], bucket, "dir/foreign")
    assert noted(directory) == Held(1, 1)


async def test_what_a_killed_writer_entered_is_put_right_by_the_next_sweep(
    backends: list[FilesystemBackend], directory: int
) -> None:
    bucket = await set_quota(backends[0], bytes=10)
    await put(backends[0], bucket, "k", b"123")
    write_ledger(directory, Ledger(Held(10, 2)))
    assert await error_code(put(backends[0], bucket, "k2", b"1")) == "QuotaExceeded"
    await backends[1].sweep()
    await put(backends[0], bucket, "k2", b"1234567")


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "other bytes"])
async def test_without_an_account_everything_is_admitted_until_it_is_counted(
    backends: list[FilesystemBackend], directory: int, tmp_path: Path, damage: str
) -> None:
    bucket = await set_quota(backends[0], objects=1)
    path = tmp_path / "bucket/.s3gate/account"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": data[:8], "other bytes": data[:6] + b"\0" + data[7:]}[damage])
    await put(backends[0], bucket, "a", b"1")
    await put(backends[0], bucket, "b", b"1")
    assert read_ledger(directory) is None
    await backends[1].sweep()
    assert noted(directory) == Held(2, 2)
    assert await error_code(put(backends[0], bucket, "c", b"1")) == "QuotaExceeded"


async def test_a_quota_is_in_force_when_the_first_count_has_ended(
    backends: list[FilesystemBackend], directory: int
) -> None:
    bucket = await set_quota(backends[0], counted=False, objects=1)
    await put(backends[0], bucket, "a", b"1")
    await put(backends[0], bucket, "b", b"1")
    await backends[0].recount(bucket)
    assert await error_code(put(backends[1], bucket, "c", b"1")) == "QuotaExceeded"


async def test_of_two_counts_the_later_one_goes_on(
    backends: list[FilesystemBackend], directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_BATCH", 2)
    bucket = await set_quota(backends[0], objects=100)
    for number in range(20):
        await put(backends[0], bucket, str(number), b"1")
    first = asyncio.create_task(backends[0].recount(bucket))
    await asyncio.sleep(0.01)
    await backends[1].recount(bucket)
    await first
    ledger = read_ledger(directory)
    assert ledger == Ledger(Held(20, 20))


async def test_a_sweep_leaves_a_count_that_is_at_work(backends: list[FilesystemBackend], directory: int) -> None:
    await set_quota(backends[0], objects=100)
    at_work = Ledger(Held(1, 1), Count("x", b"k", Held(1, 1)))
    write_ledger(directory, at_work)
    assert counted_just_now(directory)
    await backends[0].sweep()
    assert read_ledger(directory) == at_work
    os.utime(f"/proc/self/fd/{directory}/.s3gate/account", (0, 0))
    await backends[0].sweep()
    assert read_ledger(directory) == Ledger(Held())


async def test_without_a_quota_there_is_no_account(backends: list[FilesystemBackend], tmp_path: Path) -> None:
    bucket = await set_quota(backends[0], objects=100)
    await backends[0].delete_document(bucket, QUOTA)
    await backends[0].recount(bucket)
    await put(backends[0], bucket, "k", b"1")
    await backends[0].sweep()
    assert not (tmp_path / "bucket/.s3gate/account").exists()


async def test_a_link_that_is_replaced_takes_nothing_along(
    backends: list[FilesystemBackend], directory: int, tmp_path: Path
) -> None:
    await put(backends[0], await backends[0].find_bucket("bucket"), "real", b"12345")
    os.symlink("real", tmp_path / "bucket/link")
    bucket = await set_quota(backends[0], objects=100)
    assert noted(directory) == Held(5, 1)
    await put(backends[0], bucket, "link", b"1")
    assert noted(directory) == Held(6, 2) == await really(backends[0], bucket)


async def test_an_account_that_cannot_be_written_refuses_the_write_before_its_commit(
    backends: list[FilesystemBackend], directory: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket = await set_quota(backends[0], objects=100)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(account, "write_ledger", full)
    assert await error_code(put(backends[0], bucket, "k", b"1")) == "InsufficientStorage"
    assert not (tmp_path / "bucket/k").exists()


@pytest.mark.parametrize(
    "ledger",
    [
        Ledger(),
        Ledger(Held(1 << 62, 1 << 40)),
        Ledger(Held(-3, -1)),
        Ledger(None, Count("id", "ü".encode() * 500, Held(2, 1))),
        Ledger(Held(1, 1), Count("id", b"", Held())),
    ],
)
def test_a_ledger_comes_back_whatever_stood_there_before(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / ".s3gate").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY)
    for each in (Ledger(None, Count("other", b"x" * 1024, Held(5, 5))), ledger):
        write_ledger(fd, each)
        assert read_ledger(fd) == each
    os.close(fd)


def test_only_what_a_count_has_passed_is_added_to_it() -> None:
    ledger = Ledger(Held(10, 2), Count("id", b"m", Held(4, 1)))
    assert ledger.changed(b"m", Held(3, 1)) == Ledger(Held(13, 3), Count("id", b"m", Held(7, 2)))
    assert ledger.changed(b"ma", Held(3, 1)) == Ledger(Held(13, 3), Count("id", b"m", Held(4, 1)))
    assert Ledger().changed(b"m", Held(3, 1)) == Ledger()
