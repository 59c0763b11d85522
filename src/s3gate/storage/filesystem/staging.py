"""Bytes on their way in: a file in a directory of this process, outside every listing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from itertools import count
from typing import Protocol, TypeVar

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.core.observation import UNOBSERVED, StoreObserver
from s3gate.core.values import Bucket
from s3gate.storage.backend import Beside, ObjectReader, Through
from s3gate.storage.filesystem.durability import Durability
from s3gate.storage.filesystem.os_errors import seam
from s3gate.storage.filesystem.reader import FileReader
from s3gate.storage.filesystem.syscalls import begin_writeback
from s3gate.storage.filesystem.threads import close_file, run_to_end

__all__ = ["FileStage", "Home", "OpenStage", "StageHolder", "copy_range", "next_name"]

_INLINE_BYTES = 64 << 10  # below this a hop to another thread costs more than the work
_MAX_VECTORS = 512  # IOV_MAX is 1024
_COPY_BYTES = 64 << 20
# What will have to be synced goes to the medium while the rest is received: the sync at the end is short then.
_WRITEBACK_BYTES = 32 << 20
# copy_file_range is not for this pair of files: read and write instead
_CANNOT_CLONE = frozenset({errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO, errno.ESTALE})
_numbers = count()
_T = TypeVar("_T")


def next_name() -> bytes:
    """A name that no other stage of this process has."""
    return b"%x" % next(_numbers)


def _write_all(fd: int, pieces: list[Buffer]) -> int:
    """Append all pieces; a short write (a disk filling up, a signal) goes on until the kernel says why."""
    total = 0
    for start in range(0, len(pieces), _MAX_VECTORS):
        vectors = pieces[start : start + _MAX_VECTORS]
        size = sum(len(piece) for piece in vectors)
        written = os.writev(fd, vectors)
        if written < size:
            rest = memoryview(b"".join(vectors))[written:]
            while rest:
                rest = rest[os.write(fd, rest) :]
        total += size
    return total


def copy_range(source: int, target: int, start: int, length: int) -> None:
    """Append `length` bytes of one file to another in the kernel, sharing blocks where the filesystem can. Blocks."""
    end = start + length
    while start < end:
        try:
            done = os.copy_file_range(source, target, min(end - start, _COPY_BYTES), offset_src=start)
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                raise
            done = 0
        if done == 0:
            piece = os.pread(source, min(end - start, 1 << 20), start)
            if not piece:
                raise S3Error("InternalError", "The source became shorter while it was copied")
            done = _write_all(target, [piece])
        start += done


class Home(Protocol):
    """The open bucket that a stage is for: it holds the staging directory open. `stat` tells it from any other."""

    @property
    def stat(self) -> os.stat_result:
        """Of the bucket's directory."""

    @property
    def durability(self) -> Durability:
        """What an acknowledged write has on the medium."""


class OpenStage(ABC):
    """A file that is written from its current place on: what all stages have in common.

    The stage keeps its `home`, so that the directories of a bucket stay open when it is removed under an upload.
    """

    def __init__(self, home: Home, executor: Executor, fd: int) -> None:
        self.home = home
        self.fd = fd
        self.committed = False
        self._size = 0
        self._storing = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._under_way = 0  # writes that have not ended; a lock is free for a moment while the next one is woken
        self._executor = executor

    @property
    def size(self) -> int:
        """Bytes stored so far."""
        return self._size

    @seam
    async def write(self, pieces: list[Buffer], through: Through, beside: Beside | None = None) -> None:
        """See Stage.write."""
        if sum(map(len, pieces)) <= _INLINE_BYTES and not self._under_way:
            stored = self._append(pieces, through)
            if beside is not None:
                beside(stored)
            return
        self._under_way += 1
        try:
            await self._write_in_thread(pieces, through, beside)
        finally:
            self._under_way -= 1

    async def _write_in_thread(self, pieces: list[Buffer], through: Through, beside: Beside | None) -> None:
        # The locks are taken in the order of the calls: whoever waits longest gets them.
        async with self._storing:
            stored = await self.run(self._append, pieces, through)
        if beside is not None:
            async with self._looking:
                await self.run(beside, stored)

    def _append(self, pieces: list[Buffer], through: Through) -> list[Buffer]:
        stored = through(pieces)
        self._take(stored)
        return stored

    def _take(self, pieces: list[Buffer]) -> None:
        self._size += _write_all(self.fd, pieces)

    @seam
    async def copy(self, source: ObjectReader, start: int, length: int) -> None:
        """See Stage.copy."""
        if not isinstance(source, FileReader):
            raise TypeError("a stage copies from objects of its own backend")
        await self.append_file(source.fd, start, length)

    @seam
    async def append_file(self, source: int, start: int, length: int) -> None:
        """Append bytes of an open file."""
        await self.run(copy_range, source, self.fd, start, length)
        self._size += length

    async def run(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Run blocking work on this stage in a thread, and wait for its end even when this task is cancelled."""
        return await run_to_end(self._executor, work, *arguments)

    @abstractmethod
    def discard(self) -> None:
        """Close, and leave nothing behind that was not committed. No write may be under way."""


class FileStage(OpenStage):
    """A staged file. `directory` is the open staging directory, `name` its name there until it is committed.

    `lends_name`: what it replaces may have this name for an instant, and keep it when the process is killed then.
    """

    lends_name = True

    def __init__(self, directory: int, name: bytes, fd: int, executor: Executor, *, home: Home) -> None:
        super().__init__(home, executor, fd)
        self.directory = directory
        self.name = name
        self._begun = 0

    @classmethod
    def new(cls, directory: int, executor: Executor, home: Home) -> FileStage:
        """A new, empty one."""
        name = next_name()
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=directory)
        return cls(directory, name, fd, executor, home=home)

    def _take(self, pieces: list[Buffer]) -> None:
        super()._take(pieces)
        if self._size - self._begun >= _WRITEBACK_BYTES and self.home.durability.files:
            begin_writeback(self.fd, self._begun, self._size - self._begun)
            self._begun = self._size

    def discard(self) -> None:
        """Close, and remove the file unless it was committed."""
        if not self.committed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.name, dir_fd=self.directory)
        close_file(self._executor, self.fd, self._size)


class StageHolder:
    """A stage for the length of an `async with` block; what is not committed then is removed."""

    __slots__ = ("_bucket", "_make", "_observer", "_stage")

    def __init__(
        self, make: Callable[[Bucket], Awaitable[FileStage]], bucket: Bucket, observer: StoreObserver = UNOBSERVED
    ) -> None:
        self._make = make
        self._observer = observer
        self._bucket = bucket
        self._stage: FileStage | None = None

    async def __aenter__(self) -> FileStage:
        self._stage = await self._make(self._bucket)
        self._observer.stage_begun()
        return self._stage

    async def __aexit__(self, *_: object) -> None:
        if self._stage is not None:
            self._observer.stage_ended("committed" if self._stage.committed else "discarded")
            self._stage.discard()
