"""When bytes and names are forced to the medium: the one place that calls fsync."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Literal, get_args

from s3gate.core.observation import UNOBSERVED, StoreObserver, Synced
from s3gate.storage.filesystem.threads import run_to_end

__all__ = ["LEVELS", "Durability", "Level"]

Level = Literal["full", "data", "none"]
LEVELS: tuple[str, ...] = get_args(Level)

_Identity = tuple[int, int]


class Durability:
    """What an acknowledged write has on the medium.

    full: the file with its record, and every directory whose names changed. data: the file with its record. none:
    nothing; the kernel writes when it likes. Concurrent requests share the fsync of a directory: at most one runs and
    one waits for each, and who comes while one waits is served by that one. `observer` is told of every fsync.
    """

    def __init__(self, level: Level, executor: Executor, observer: StoreObserver = UNOBSERVED) -> None:
        self.files = level != "none"
        self.directories = level == "full"
        self.observer = observer
        self._executor = executor
        self._running: dict[_Identity, asyncio.Task[None]] = {}
        self._waiting: dict[_Identity, asyncio.Task[None]] = {}

    def sync_file(self, fd: int) -> None:
        """Force a file with its attributes (fsync, not fdatasync). Blocks. An error is never retried on the same fd."""
        if self.files:
            self._fsync(fd, "file")

    def sync_directory(self, fd: int) -> None:
        """Force the names of a directory at once, for code that runs off the event loop. Blocks."""
        if self.directories:
            self._fsync(fd, "directory")

    def _fsync(self, fd: int, what: Synced) -> None:
        begun = time.perf_counter_ns()
        os.fsync(fd)
        self.observer.synced(what, time.perf_counter_ns() - begun)

    async def sync_directories(self, fds: Iterable[int]) -> None:
        """Force the names of directories that were open before the change. Shared with whoever else waits for them."""
        if not self.directories:
            return
        await asyncio.gather(*(self._shared(fd) for fd in fds))

    async def _shared(self, fd: int) -> None:
        stat = os.fstat(fd)
        identity = stat.st_dev, stat.st_ino
        task = self._waiting.get(identity)
        if task is None:
            try:
                own = os.dup(fd)
            except OSError:
                # No descriptor is left, and what was committed must not fail for that: the caller's own will do.
                await run_to_end(self._executor, self._fsync, fd, "directory")
                return
            task = asyncio.create_task(self._sync(identity, own))
            self._waiting[identity] = task
        await asyncio.shield(task)

    async def _sync(self, identity: _Identity, fd: int) -> None:
        try:
            running = self._running.get(identity)
            if running is not None:
                await asyncio.wait([running])
            task = self._waiting.pop(identity)
            self._running[identity] = task
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._fsync, fd, "directory")
            finally:
                if self._running.get(identity) is task:
                    del self._running[identity]
        finally:
            os.close(fd)
