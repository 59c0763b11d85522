"""The janitor: clears away what killed processes left behind, a little at a time, beside the requests.

Nothing depends on it: every leftover is one that readers and writers cope with. One process of all that serve a
directory does the work, so as not to do it twice; what it does is safe beside any number of others.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from itertools import islice

from s3gate.core.errors import S3Error
from s3gate.core.names import RESERVED
from s3gate.storage.backend import Swept
from s3gate.storage.filesystem import leftovers
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.disorder import disorder
from s3gate.storage.filesystem.leftovers import Leftover, Scene, Steps
from s3gate.storage.filesystem.lock_kinds import FileLock, LockKind
from s3gate.storage.filesystem.orphans import orphans
from s3gate.storage.filesystem.records import BrokenRecord
from s3gate.storage.filesystem.threads import run_to_end

__all__ = ["Election", "clear", "filesystem_now", "of_bucket", "sweep"]

_LOCK_FILE = f"{RESERVED}/locks/janitor".encode()
_STAMPED = f"{RESERVED}/locks"
_BATCH = 200  # steps that are taken at a time
_PAUSE = 0.02  # seconds between two batches: at most 10,000 entries a second are looked at

_log = logging.getLogger(__name__)


class Election:
    """Who of all processes is the janitor: the one that has locked a file, for as long as it lives."""

    def __init__(self, root_fd: int, locking: LockKind) -> None:
        self._root_fd = root_fd
        self._locking = locking
        self._lock: FileLock | None = None

    def is_won(self) -> bool:
        """Whether this process is the janitor, or becomes it now."""
        if self._lock is None:
            self._lock = self._locking.take(self._root_fd, _LOCK_FILE)
        return self._lock is not None

    def close(self) -> None:
        """Let another process be the janitor."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def filesystem_now(root_fd: int) -> int:
    """The time in nanoseconds by the clock that stamps the files of all hosts."""
    os.utime(_STAMPED, dir_fd=root_fd)
    return os.stat(_STAMPED, dir_fd=root_fd).st_mtime_ns


def of_bucket(scene: Scene, *, abort_after_days: int = 0, forget: bool = False) -> list[Steps]:
    """The searches for everything that can be cleared away in a bucket, in their order; see leftovers.of_bucket."""
    first = leftovers.of_bucket(scene, abort_after_days=abort_after_days, forget=forget)
    return [first, disorder(scene), orphans(scene)]


async def clear(leftover: Leftover, executor: Executor) -> bool:
    """Remove a leftover under its lock; False when it turned out to be in use. Raises OSError, S3Error (the lock)."""
    async with leftover.guard():
        return await run_to_end(executor, leftover.remove)


async def sweep(
    executor: Executor, root: Steps, buckets: AsyncIterator[BucketDirectory], *, now_ns: int, abort_after_days: int
) -> Swept:
    """Go once through the data directory and all `buckets`, and clear away what is found."""
    counts: Counter[str] = Counter()
    await _clear_all(executor, root, "the data directory", counts)
    async for bucket in buckets:
        for search in of_bucket(Scene(bucket, now_ns), abort_after_days=abort_after_days, forget=True):
            await _clear_all(executor, search, f"bucket {bucket.name}", counts)
    return Swept(dict(counts))


async def _clear_all(executor: Executor, search: Steps, place: str, counts: Counter[str]) -> None:
    """Clear what a search finds. What goes wrong is logged: the next sweep begins anew."""
    try:
        async for leftover in _paced(executor, search):
            try:
                if await clear(leftover, executor):
                    counts[leftover.kind] += 1
                    _log.debug("%s: cleared away %s %r", place, leftover.kind, leftover.path)
            except S3Error:
                continue  # the lock is busy, or the bucket has gone: another time
            except (OSError, BrokenRecord) as error:
                _log.warning("%s: %s %r stays: %s", place, leftover.kind, leftover.path, error)
    except OSError as error:
        _log.warning("%s was not swept to the end: %s", place, error)


async def _paced(executor: Executor, search: Steps) -> AsyncIterator[Leftover]:
    """What a search finds, one at a time; it goes on when the one before is cleared, with a pause after each batch."""
    while True:
        found, is_over = await run_to_end(executor, _take, search)
        if found is not None:
            yield found
        elif is_over:
            return
        else:
            await asyncio.sleep(_PAUSE)


def _take(search: Steps) -> tuple[Leftover | None, bool]:
    """The next steps of a search, up to the first that finds something; and whether it is at its end."""
    steps = 0
    for found in islice(search, _BATCH):
        if found is not None:
            return found, False
        steps += 1
    return None, steps < _BATCH
