"""What a kind of lock offers: how processes keep one another out, for mounts that lack the better ways."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from typing import Protocol

__all__ = ["LOCK_FILE", "FileLock", "LockKind", "NameLocks", "byte_of", "is_locked_byte", "lock_byte", "unlock_byte"]

# How a file is opened to be locked. No lock file is ever removed or replaced while anybody may hold it.
LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_STRIPES = 1 << 62


class NameLocks(Protocol):
    """The locks of many names, as one holder has them. No method waits; none may be called for a slot twice at once."""

    def slot(self, space: bytes, name: bytes) -> int:
        """What is locked for a name; names of one space may share a slot, those of two spaces never do."""

    def try_lock(self, slot: int) -> bool:
        """Lock; False when another holder has the slot."""

    def unlock(self, slot: int) -> None:
        """Let go of a slot that this holder has."""

    def close(self) -> None:
        """End; nothing may be held any more."""


class FileLock(Protocol):
    """A file of its own that is locked until this is closed or the process ends. `fd` is the open file."""

    @property
    def fd(self) -> int:
        """The open file, which is this lock's: nobody else may close or duplicate it."""

    def close(self) -> None:
        """Unlock."""


class LockKind(Protocol):
    """A kind of lock. Paths are relative to open directories. Everything raises OSError where the mount has no such."""

    name: str
    excludes: bool  # whether it is meant to keep other processes out

    def names(self, directory: int, path: bytes) -> NameLocks:
        """The locks of names that lie in the file `path`, or in files whose names begin so; made when missing."""

    def take(self, directory: int, path: bytes) -> FileLock | None:
        """Lock a file, made when missing; None when another holder has it."""

    def is_taken(self, directory: int, path: bytes) -> bool:
        """Whether somebody has locked a file by `take`. Changes nothing, and needs no more than the right to read."""


def byte_of(space: bytes, name: bytes) -> int:
    """The byte of a lock file that stands for a name; each space has bytes of its own."""
    digest = hashlib.blake2b(name, digest_size=8, person=space).digest()
    return int.from_bytes(digest, "big") % _STRIPES


# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid (0 for OFD locks)
_flock = struct.Struct("hhqqi4x").pack


def lock_byte(fd: int, command: int, offset: int) -> bool:
    """Lock one byte of a file by F_SETLK or F_OFD_SETLK; False when another holder has it."""
    try:
        fcntl.fcntl(fd, command, _flock(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock_byte(fd: int, command: int, offset: int) -> None:
    """Unlock one byte by the same command."""
    fcntl.fcntl(fd, command, _flock(fcntl.F_UNLCK, os.SEEK_SET, offset, 1, 0))


def is_locked_byte(fd: int, command: int, offset: int) -> bool:
    """Whether another holder has locked a byte, by F_GETLK or F_OFD_GETLK."""
    found: int = struct.unpack_from("h", fcntl.fcntl(fd, command, _flock(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)))[0]
    return found != fcntl.F_UNLCK
