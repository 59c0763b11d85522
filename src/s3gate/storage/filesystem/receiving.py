"""Uploads that are received in another directory than the bucket's, and come to it when they are whole.

There they have no name, so that nothing of them stays when the process is killed. On the bucket's own filesystem they
are given their name in its staging directory; from another one they are copied.
"""

from __future__ import annotations

import asyncio
import errno
import os
from concurrent.futures import Executor
from dataclasses import dataclass

from s3gate.core.checksums import Buffer
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem.os_errors import seam
from s3gate.storage.filesystem.staging import FileStage, Home, OpenStage, copy_range, next_name
from s3gate.storage.filesystem.threads import close_file

__all__ = ["NOWHERE_ELSE", "ReceivedStage", "Receivers", "open_receivers"]

_NO_NAMELESS_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
# link() of an open file: it is on another filesystem, was removed from a directory, or may not be linked
_CANNOT_LINK = frozenset({errno.EXDEV, errno.ENOENT, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class Receivers:
    """The open directories in which objects and parts are received; None for the bucket's own."""

    objects: int | None = None
    parts: int | None = None

    def close(self) -> None:
        """Let go of them."""
        for fd in {self.objects, self.parts} - {None}:
            os.close(fd)  # type: ignore[arg-type]  # None is taken out


NOWHERE_ELSE = Receivers()


def open_receivers(objects: str | None, parts: str | None) -> Receivers:
    """Open them, made when missing and tried out. Raises StartError with the remedy."""
    opened = None if objects is None else _open("put_temp_dir", objects)
    try:
        return Receivers(opened, opened if parts == objects or parts is None else _open("multipart_temp", parts))
    except BaseException:
        if opened is not None:
            os.close(opened)
        raise


def _open(setting: str, path: str) -> int:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(_nameless(fd))
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise StartError(
            f"Cannot receive uploads in {path}: {error.strerror or error}. "
            f"Mend that, name another directory by {setting}, or unset it: uploads are received beside the data then."
        ) from error
    return fd


def _nameless(directory: int) -> int:
    """A new file without a name."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=directory)
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
    name = f".s3gate-{os.urandom(16).hex()}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    os.unlink(name, dir_fd=directory)
    return fd


class ReceivedStage(FileStage):
    """A staged file that has no name in the bucket's staging directory before `arrive`."""

    def __init__(self, receiver: int, directory: int, executor: Executor, home: Home) -> None:
        super().__init__(directory, executor, home, (b"", _nameless(receiver)))
        self._arriving = asyncio.Lock()

    def _take(self, pieces: list[Buffer]) -> None:
        OpenStage._take(self, pieces)  # it may be written once more: nothing is forced to the medium yet

    async def append_file(self, source: int, start: int, length: int) -> None:
        """Append bytes of an open file, which lies with the bucket mostly: what is empty yet goes there first."""
        if not self.size:
            await self.arrive()
        await super().append_file(source, start, length)

    @seam
    async def arrive(self) -> None:
        """Give the file its name in the staging directory, and the bytes a place on the bucket's filesystem."""
        async with self._arriving:
            if not self.name:
                await self.run(self._arrive, next_name())

    def _arrive(self, name: bytes) -> None:
        try:
            os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=self.directory, follow_symlinks=True)
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            self._copy(name)
        self.name = name

    def _copy(self, name: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        copy = os.open(name, flags, 0o666, dir_fd=self.directory)
        try:
            copy_range(self.fd, copy, 0, self.size)
        except BaseException:
            os.close(copy)
            os.unlink(name, dir_fd=self.directory)
            raise
        received, self.fd = self.fd, copy
        os.close(received)

    def discard(self) -> None:
        """Close, and remove the file unless it was committed."""
        if self.name:
            super().discard()
        else:
            close_file(self._executor, self.fd, self.size)
