"""Deleting many objects: each under the lock of its key, and each directory that lost names synced once for all."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from s3gate.core.errors import S3Error
from s3gate.storage.backend import Deletion, Removal
from s3gate.storage.filesystem import deletion, objects
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.kept_parent import KeptParent
from s3gate.storage.filesystem.objects import Changes
from s3gate.storage.filesystem.os_errors import translate
from s3gate.storage.filesystem.paths import place
from s3gate.storage.filesystem.tree import Found

__all__ = ["delete_many"]

_log = logging.getLogger(__name__)

# Delete markers at once, as many as there are threads: their fsync runs there. Without them nothing is waited for.
_AT_ONCE = 16
_TURN_SECONDS = 0.001  # how long other requests wait for their turn
_MOST_OPEN = 128  # directories that wait to be synced, each with a descriptor
_FILES = 64  # that are closed in one go
_MOST_CLOSING = 4  # such goes at a time

_Identity = tuple[int, int]
_Result = Deletion | S3Error


class _Unsynced:
    """Deletions that are done, and the open directories that have to be synced before they may be told."""

    def __init__(self) -> None:
        self.directories: dict[_Identity, int] = {}
        self._done: list[tuple[int, Deletion, list[bytes], list[_Identity]]] = []

    def add(self, number: int, done: Deletion, changes: Changes) -> None:
        """Take over the directories of a deletion; one that waits already is closed."""
        touched = []
        while changes.directories:
            fd = changes.directories.pop()
            stat = os.fstat(fd)
            identity = stat.st_dev, stat.st_ino
            touched.append(identity)
            if self.directories.setdefault(identity, fd) != fd:
                os.close(fd)
        self._done.append((number, done, changes.garbage, touched))

    async def settle(self, bucket: BucketDirectory, results: list[_Result]) -> None:
        """Sync every directory; a deletion whose directory could not be synced has failed."""
        try:
            errors = await asyncio.gather(
                *(bucket.durability.sync_directories([fd]) for fd in self.directories.values()), return_exceptions=True
            )
        finally:
            self.close()
        failed = {identity: error for identity, error in zip(self.directories, errors, strict=True) if error}
        for number, done, garbage, touched in self._done:
            error = next((failed[identity] for identity in touched if identity in failed), None)
            try:
                if error is not None:
                    raise error
                objects.remove_paths(bucket, garbage)
                results[number] = done
            except Exception as failure:
                results[number] = _s3_error(failure)

    def close(self) -> None:
        """Close the directories."""
        for fd in self.directories.values():
            os.close(fd)
        self.directories = dict.fromkeys(self.directories, -1)


def _s3_error(error: Exception) -> S3Error:
    if isinstance(error, S3Error):
        return error
    if isinstance(error, OSError) and (known := translate(error)) is not None:
        return known
    _log.error("an object cannot be deleted", exc_info=error)
    return S3Error("InternalError")


class _Closing:
    """Deleted files that are still open: closing one frees its blocks, which a thread does while others are deleted."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._fds: list[int] = []
        self._running: set[asyncio.Future[None]] = set()

    def add(self, files: list[Found]) -> None:
        """Take files over."""
        for found in files:
            self._fds.append(found.fd)
        if len(self._fds) >= _FILES:
            self.flush()

    async def wait(self) -> None:
        """Wait while too many are open."""
        if len(self._running) >= _MOST_CLOSING:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    def flush(self) -> None:
        """Have all closed; nobody waits for the end."""
        fds, self._fds = self._fds, []
        if fds:
            closing = asyncio.get_running_loop().run_in_executor(self._executor, _close_all, _runs(fds))
            self._running.add(closing)
            closing.add_done_callback(self._running.discard)


def _runs(fds: list[int]) -> list[range]:
    """Descriptors as ranges of consecutive numbers."""
    runs: list[range] = []
    for fd in sorted(fds):
        if runs and runs[-1].stop == fd:
            runs[-1] = range(runs[-1].start, fd + 1)
        else:
            runs.append(range(fd, fd + 1))
    return runs


def _close_all(runs: list[range]) -> None:
    """Close each range by one system call: a thread that gets its turn for each file takes longer than the kernel."""
    for run in runs:
        os.closerange(run.start, run.stop)


class _Batch:
    """The deletions of one request."""

    def __init__(
        self, bucket: BucketDirectory, removals: Sequence[Removal], after: Callable[[str, Deletion], None]
    ) -> None:
        self.results: list[_Result] = [Deletion()] * len(removals)
        self._bucket = bucket
        self._removals = removals
        self._after = after
        self._chains: dict[str, list[int]] = {}
        for number, removal in enumerate(removals):
            self._chains.setdefault(removal.key, []).append(number)
        # Keys of one directory follow one another, so that few directories wait at a time.
        self._keys = iter(sorted(self._chains, key=lambda key: place(key.encode()).parent))
        self._kept = KeptParent()
        self._closing = _Closing(bucket.store.executor)
        self._unsynced = _Unsynced()
        self._syncing = asyncio.Lock()

    async def run(self) -> None:
        """Delete them all."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, len(self._chains)) if self._bucket.last_versioning else 1):
                    group.create_task(self._work())
            await self._settle()
        finally:
            self._kept.forget()
            self._unsynced.close()
            self._closing.flush()

    async def _work(self) -> None:
        now = asyncio.get_running_loop().time
        turn = now()
        for key in self._keys:
            for number in self._chains[key]:
                await self._delete(key, number)
            if len(self._unsynced.directories) >= _MOST_OPEN:
                self._kept.forget()
                async with self._syncing:  # at most one waits for the disk, and the others for it
                    if len(self._unsynced.directories) >= _MOST_OPEN:
                        await self._settle()
            if now() - turn > _TURN_SECONDS:
                self._kept.forget()
                await self._closing.wait()
                await asyncio.sleep(0)  # other requests have their turn
                turn = now()
        self._kept.forget()  # other tasks go on, and may wait first

    async def _delete(self, key: str, number: int) -> None:
        removal = self._removals[number]
        what = self._bucket, key, removal.condition, removal.version_id
        try:
            deleted = deletion.remove_at_once(*what, self._kept)
            if deleted is None:
                self._kept.forget()
                deleted = await deletion.remove(*what)
        except Exception as error:
            self.results[number] = _s3_error(error)
            return
        done, changes = deleted
        self._unsynced.add(number, done, changes)
        self._closing.add(changes.files)
        self._after(key, done)

    async def _settle(self) -> None:
        self._kept.forget()
        settled, self._unsynced = self._unsynced, _Unsynced()
        await settled.settle(self._bucket, self.results)


async def delete_many(
    bucket: BucketDirectory, removals: Sequence[Removal], after: Callable[[str, Deletion], None]
) -> list[_Result]:
    """See Backend.delete_objects. `after` is called for each key that was deleted."""
    batch = _Batch(bucket, removals, after)
    await batch.run()
    return batch.results
