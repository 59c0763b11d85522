"""Directories that the gateway made for keys go when their last object has gone. Never those of other programs."""

from __future__ import annotations

import asyncio
import contextlib
import os

from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.filesystem.tree import MADE_BY_US, Directory

__all__ = ["Pruner", "prune"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Long enough that a client which deletes and writes in turn does not make the same directories again and again.
_DELAY = 5.0


def prune(bucket_fd: int, path: bytes) -> None:
    """Remove a directory, and those above it, as long as they are empty and ours. The kernel refuses what is not empty.

    Takes no lock: a write that finds its directory gone makes it again.
    """
    while path:
        above, _, name = path.rpartition(b"/")
        try:
            with _open(bucket_fd, above) as parent:
                fd = os.open(name, _DIRECTORY, dir_fd=parent)
                try:
                    os.getxattr(fd, MADE_BY_US)
                finally:
                    os.close(fd)
                os.rmdir(name, dir_fd=parent)
        except OSError:
            return  # not empty, not ours, or gone already: each is a reason to leave it
        path = above


def _open(bucket_fd: int, path: bytes) -> Directory:
    if not path:
        return Directory(bucket_fd, owned=False)
    return Directory(open_beneath(bucket_fd, path, _DIRECTORY), owned=True)


class Pruner:
    """Collects directories that lost an object, and prunes them a little later."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, bytes], BucketDirectory] = {}
        self._timer: asyncio.TimerHandle | None = None

    def later(self, bucket: BucketDirectory, path: bytes) -> None:
        """Prune this directory of the bucket in a while."""
        if not path:
            return
        self._pending[bucket.name, path] = bucket
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._start, bucket)

    def _start(self, bucket: BucketDirectory) -> None:
        with contextlib.suppress(RuntimeError):  # the executor is closed: stop() has called flush()
            bucket.store.executor.submit(self.flush)

    def flush(self) -> None:
        """Prune everything collected so far. Blocks."""
        self._timer = None
        while self._pending:
            (_, path), bucket = self._pending.popitem()
            prune(bucket.fd, path)
