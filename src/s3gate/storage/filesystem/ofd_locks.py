"""Locks of open file descriptions (F_OFD_SETLK): one file, one byte of it for each name.

They belong to the descriptor, so that two holders in one process keep each other out as well, and end with it.
"""

from __future__ import annotations

import fcntl
import os

from s3gate.storage.filesystem.lock_kinds import (
    LOCK_FILE,
    FileLock,
    NameLocks,
    byte_of,
    is_locked_byte,
    lock_byte,
    unlock_byte,
)

__all__ = ["OfdLocks"]


class _Locked:
    """An open lock file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def slot(self, space: bytes, name: bytes) -> int:
        return byte_of(space, name)

    def try_lock(self, slot: int) -> bool:
        return lock_byte(self.fd, fcntl.F_OFD_SETLK, slot)

    def unlock(self, slot: int) -> None:
        unlock_byte(self.fd, fcntl.F_OFD_SETLK, slot)

    def close(self) -> None:
        os.close(self.fd)


class OfdLocks:
    """Implements LockKind."""

    name = "ofd"
    excludes = True

    def names(self, directory: int, path: bytes) -> NameLocks:
        return _Locked(os.open(path, LOCK_FILE, 0o600, dir_fd=directory))

    def take(self, directory: int, path: bytes) -> FileLock | None:
        file = _Locked(os.open(path, LOCK_FILE, 0o600, dir_fd=directory))
        try:
            if file.try_lock(0):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def is_taken(self, directory: int, path: bytes) -> bool:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            return is_locked_byte(fd, fcntl.F_OFD_GETLK, 0)
        finally:
            os.close(fd)
