"""Bytes on their way in: a file in a directory of this process, outside every listing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import count
from typing import Protocol, TypeVar

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.core.observation import UNOBSERVED, StoreObserver
from s3gate.core.values import Bucket
from s3gate.storage.backend import Beside, ObjectReader, Through
from s3gate.storage.filesystem.durability import Durability
from s3gate.storage.filesystem.os_errors import raise_translated, seam
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
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
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
        size = sum(map(len, vectors))
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

    home: Home
    fd: int
    _executor: Executor
    committed = False
    size = 0  # bytes stored so far
    _turns: tuple[asyncio.Lock, asyncio.Lock] | None = None  # of storing and of looking; made when a thread is needed
    _under_way = 0  # writes that have not ended; a lock is free for a moment while the next one is woken

    async def write(self, pieces: list[Buffer], through: Through, beside: Beside | None = None) -> None:
        """See Stage.write."""
        try:
            if sum(map(len, pieces)) > _INLINE_BYTES or self._under_way:
                self._under_way += 1
                try:
                    await self._write_in_thread(pieces, through, beside)
                finally:
                    self._under_way -= 1
                return
            stored = self._append(pieces, through)
            if beside is not None:
                beside(stored)
        except OSError as error:
            raise_translated(error)

    async def _write_in_thread(self, pieces: list[Buffer], through: Through, beside: Beside | None) -> None:
        # The locks are taken in the order of the calls: whoever waits longest gets them.
        if self._turns is None:
            self._turns = asyncio.Lock(), asyncio.Lock()
        storing, looking = self._turns
        async with storing:
            stored = await self.run(self._append, pieces, through)
        if beside is not None:
            async with looking:
                await self.run(beside, stored)

    def _append(self, pieces: list[Buffer], through: Through) -> list[Buffer]:
        stored = through(pieces)
        self._take(stored)
        return stored

    def _take(self, pieces: list[Buffer]) -> None:
        self.size += _write_all(self.fd, pieces)

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
        self.size += length

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
    _begun = 0

    def __init__(self, directory: int, executor: Executor, home: Home, opened: tuple[bytes, int] | None = None) -> None:
        """`opened` is a name and the open file; without it a new file is made."""
        if opened is None:
            name = next_name()
            opened = name, os.open(name, _NEW, 0o666, dir_fd=directory)
        self.name, self.fd = opened
        self.directory = directory
        self.home = home
        self._executor = executor

    def _take(self, pieces: list[Buffer]) -> None:
        super()._take(pieces)
        if self.size - self._begun >= _WRITEBACK_BYTES and self.home.durability.files:
            begin_writeback(self.fd, self._begun, self.size - self._begun)
            self._begun = self.size

    def discard(self) -> None:
        """Close, and remove the file unless it was committed."""
        if not self.committed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.name, dir_fd=self.directory)
        close_file(self._executor, self.fd, self.size)


class StageHolder:
    """A stage for the length of an `async with` block; what is not committed then is removed."""

    __slots__ = ("_bucket", "_make", "_observer", "_stage")

    def __init__(
        self, make: Callable[[Bucket], FileStage], bucket: Bucket, observer: StoreObserver = UNOBSERVED
    ) -> None:
        self._make = make
        self._observer = observer
        self._bucket = bucket
        self._stage: FileStage | None = None

    async def __aenter__(self) -> FileStage:
        try:
            self._stage = stage = self._make(self._bucket)
        except OSError as error:
            raise_translated(error)
        self._observer.stage_begun()
        return stage

    async def __aexit__(self, *_: object) -> None:
        stage = self._stage
        if stage is not None:
            self._observer.stage_ended("committed" if stage.committed else "discarded")
            stage.discard()
