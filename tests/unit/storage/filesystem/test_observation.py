"""What the store tells its observer: syncs, waits for locks, stages, uploads."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from s3gate.core.observation import LockWait, StageEnd, Synced, UploadEvent
from s3gate.core.values import Bucket
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.durability import Level
from s3gate.storage.filesystem.lock_choice import KINDS
from s3gate.storage.filesystem.locks import KeyLocks
from support.stores import ALICE, REGION, complete, put, put_part, start_upload, unchanged


class Noted:
    """Keeps count of what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.longest = 0

    def lock_waited(self, whom: LockWait, ns: int) -> None:
        self.counts[whom] += 1
        self.longest = max(self.longest, ns)

    def synced(self, what: Synced, ns: int) -> None:
        assert ns >= 0
        self.counts[what] += 1

    def stage_begun(self) -> None:
        self.counts["begun"] += 1

    def stage_ended(self, how: StageEnd) -> None:
        self.counts[how] += 1

    def upload(self, event: UploadEvent) -> None:
        self.counts[event] += 1


def noted(
    root: Path, work: Callable[[FilesystemBackend, Bucket], Awaitable[None]], durability: Level = "none"
) -> Counter[str]:
    """What is told of `work`."""
    observer = Noted()

    async def run() -> None:
        backend = FilesystemBackend(str(root), durability=durability, observer=observer)
        await backend.start()
        try:
            bucket = await backend.create_bucket("bucket", ALICE, REGION)
            observer.counts.clear()
            await work(backend, bucket)
        finally:
            await backend.stop()

    asyncio.run(run())
    return observer.counts


@pytest.mark.parametrize(
    ("durability", "files", "directories"), [("full", 1, True), ("data", 1, False), ("none", 0, False)]
)
def test_a_write_tells_of_its_syncs(tmp_path: Path, durability: Level, files: int, directories: bool):
    async def work(backend: FilesystemBackend, bucket: Bucket) -> None:
        await put(backend, bucket, "k", b"abc")

    counts = noted(tmp_path, work, durability)
    assert (counts["file"], counts["directory"] > 0) == (files, directories)


def test_what_is_staged_is_committed_or_discarded(tmp_path: Path):
    async def work(backend: FilesystemBackend, bucket: Bucket) -> None:
        await put(backend, bucket, "k", b"abc")
        async with backend.stage(bucket) as stage:
            await stage.write([b"abc"], unchanged)

    counts = noted(tmp_path, work)
    assert (counts["begun"], counts["committed"], counts["discarded"]) == (2, 1, 1)


def test_uploads_and_their_parts_are_told(tmp_path: Path):
    async def work(backend: FilesystemBackend, bucket: Bucket) -> None:
        upload = await start_upload(backend, bucket, "k")
        part = await put_part(backend, bucket, upload, 1, b"abc")
        await complete(backend, bucket, upload, [part])
        await backend.abort_upload(bucket, await start_upload(backend, bucket, "other"))

    counts = noted(tmp_path, work)
    assert (counts["created"], counts["completed"], counts["aborted"]) == (2, 1, 1)
    assert counts["begun"] == counts["committed"] == 1


def test_a_lock_that_is_free_is_no_wait_and_others_are_told_by_whom(tmp_path: Path):
    observer = Noted()
    kind = KINDS["ofd"]

    async def work() -> None:
        directory = Path(tmp_path)
        fd = os.open(directory, os.O_RDONLY)
        one, other = KeyLocks(kind.names(fd, b"keys"), observer), KeyLocks(kind.names(fd, b"keys"), observer)
        async with one.hold(b"key", b"k"):
            assert not observer.counts
            waiting = [asyncio.create_task(hold(locks)) for locks in (one, other)]
            await asyncio.sleep(0.01)
        await asyncio.gather(*waiting)
        one.close()
        other.close()
        os.close(fd)

    async def hold(locks: KeyLocks) -> None:
        async with locks.hold(b"key", b"k"):
            pass

    asyncio.run(work())
    assert observer.counts["task"] == 1
    assert observer.counts["process"] >= 1
    assert observer.longest > 5_000_000
