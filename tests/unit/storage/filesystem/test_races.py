"""Readers hold no lock: what they see while writers in other processes change the tree under them."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT
from s3gate.storage.backend import ListQuery
from s3gate.storage.filesystem import instance, metadata
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.lock_choice import KINDS
from support.forks import in_child
from support.stores import REGION, error_code, get_with_record, put

_SECONDS = 2.0
_KEYS = ["a", "a/b", "a/b/c", "a/"]


async def started(root: Path) -> tuple[FilesystemBackend, Bucket]:
    backend = FilesystemBackend(str(root), durability="none", region=REGION)
    await backend.start()
    return backend, await backend.find_bucket("bucket")


async def rewrite(root: Path, seed: int) -> int:
    """Overwrite keys that stand in one another's way, and delete all but the first."""
    backend, bucket = await started(root)
    chance = random.Random(seed)
    rounds = 0
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        key = chance.choice(_KEYS)
        if key != "a" and chance.random() < 0.4:
            await backend.delete_object(bucket, key, NO_CONDITION)
        else:
            await put(backend, bucket, key, chance.randbytes(chance.randrange(5000)))
        backend._pruner.flush()  # as often as can be: the races are with this
        rounds += 1
    await backend.stop()
    return rounds


async def read(root: Path, seed: int) -> int:
    """`a` is never deleted: every read finds it, whole and with its own record, and so does every listing."""
    backend, bucket = await started(root)
    rounds = 0
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        data, record = await get_with_record(backend, bucket, "a")
        assert hashlib.md5(data).hexdigest() == record.etag, f"torn read, seed {seed}"
        page = await backend.list_objects(bucket, ListQuery(prefix="a"))
        assert page.objects[0].key == "a", f"a listing lost `a`, seed {seed}"
        rounds += 1
    await backend.stop()
    return rounds


def in_process(work: Callable[..., object], root: Path, seed: int, rounds: Synchronized[int]) -> None:
    rounds.value = asyncio.run(work(root, seed))  # type: ignore[arg-type]


@pytest.mark.parametrize("locks", ["ofd", "posix", "flock"])
def test_an_object_is_never_missing_or_torn_while_names_turn_into_directories(locks: str, tmp_path: Path) -> None:
    async def prepare() -> None:
        backend = FilesystemBackend(str(tmp_path), durability="none", locks=locks)
        await backend.start()
        bucket = await backend.create_bucket("bucket", ROOT, REGION)
        await put(backend, bucket, "a", b"first")
        await backend.stop()

    asyncio.run(prepare())
    context = multiprocessing.get_context("fork")
    seed = random.SystemRandom().randrange(1 << 30)
    counts = [context.Value("i", 0) for _ in range(4)]
    jobs = [rewrite, rewrite, read, read]
    workers = [
        context.Process(target=in_process, args=(job, tmp_path, seed + number, counts[number]))
        for number, job in enumerate(jobs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0], f"seed {seed}"
    assert all(count.value > 20 for count in counts), [count.value for count in counts]


@pytest.mark.parametrize("locks", list(KINDS))
def test_a_bucket_is_deleted_or_written_to_never_both(locks: str, tmp_path: Path) -> None:
    """An acknowledged write is there afterwards, or the bucket was still there; a deleted bucket took nothing along."""

    async def work() -> None:
        one = FilesystemBackend(str(tmp_path), durability="none", locks=locks)
        other = FilesystemBackend(str(tmp_path), durability="none")
        await one.start()
        await other.start()
        outcomes = {"kept": 0, "deleted": 0}
        for number in range(60):
            bucket = await one.create_bucket("bucket", ROOT, REGION)
            seen = await other.find_bucket("bucket")
            written, deleted = await asyncio.gather(
                put(other, seen, f"key-{number}", b"x"), one.delete_bucket(bucket), return_exceptions=True
            )
            if isinstance(written, BaseException):
                assert isinstance(written, S3Error)
                assert written.code == "NoSuchBucket"
                assert deleted is None
                outcomes["deleted"] += 1
                continue
            assert isinstance(deleted, S3Error)
            assert deleted.code == "BucketNotEmpty"
            found = await one.find_bucket("bucket")
            assert (await one.stat_object(found, f"key-{number}")).size == 1
            await one.delete_object(found, f"key-{number}", NO_CONDITION)
            await one.delete_bucket(found)
            outcomes["kept"] += 1
        assert sum(outcomes.values()) == 60
        await one.stop()
        await other.stop()

    asyncio.run(work())


@pytest.mark.parametrize("settings", [{"metadata": "sidecar"}, {"metadata": "xattr", "inline_bytes": 0}], ids=str)
@pytest.mark.parametrize("change", ["overwrite", "delete"])
def test_a_reader_who_has_the_file_but_not_yet_its_record_looks_again_when_it_is_replaced(
    settings: dict[str, Any], change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_whole = metadata._read_whole
    changed: list[str] = []

    async def other() -> None:
        backend, bucket = await started(tmp_path)
        if change == "overwrite":
            await put(backend, bucket, "key", b"newer", user_metadata={"of": "newer"})
        else:
            await backend.delete_object(bucket, "key", NO_CONDITION)
        await backend.stop()

    def between(directory: int, path: bytes) -> bytes:
        if not changed:
            changed.append(change)
            assert in_child(lambda: asyncio.run(other()))[0] == 0
        return read_whole(directory, path)

    async def work() -> None:
        backend = FilesystemBackend(str(tmp_path), durability="none", **settings)
        await backend.start()
        bucket = await backend.create_bucket("bucket", ROOT, REGION)
        await put(backend, bucket, "key", b"older", user_metadata={"of": "older"})
        monkeypatch.setattr(metadata, "_read_whole", between)
        if change == "delete":
            assert await error_code(get_with_record(backend, bucket, "key")) == "NoSuchKey"
        else:
            data, record = await get_with_record(backend, bucket, "key")
            assert (data, record.user_metadata) == (b"newer", {"of": "newer"})
        await backend.stop()

    asyncio.run(work())
    assert changed


def test_a_bucket_that_goes_while_it_is_first_written_to_is_told_as_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = instance.claim

    async def work() -> None:
        one = FilesystemBackend(str(tmp_path), durability="none")
        other = FilesystemBackend(str(tmp_path), durability="none")
        await one.start()
        await other.start()
        bucket = await one.create_bucket("bucket", ROOT, REGION)
        seen = await other.find_bucket("bucket")

        def late(*arguments: Any) -> Any:
            shutil.rmtree(tmp_path / "bucket")
            return claim(*arguments)

        monkeypatch.setattr(instance, "claim", late)
        assert await error_code(put(other, seen, "key", b"x")) == "NoSuchBucket"
        assert await error_code(other.delete_object(bucket, "key", NO_CONDITION)) == "NoSuchBucket"
        await one.stop()
        await other.stop()

    asyncio.run(work())
