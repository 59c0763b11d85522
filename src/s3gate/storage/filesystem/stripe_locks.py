"""Locks of whole files (flock): a name is one of 1,024 files, chosen by a hash, that is open while it is locked.

For mounts that lock files and no parts of them. Two names that share a file wait for each other, which is slow at
worst; each space has files of its own, so that a holder of two locks never waits for itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os

from s3gate.storage.filesystem.lock_kinds import LOCK_FILE, FileLock, NameLocks

__all__ = ["StripeLocks"]

_STRIPES = 1024


def _try_flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_locked(directory: int, path: bytes) -> int | None:
    """The open file, locked; None when another holder has it."""
    fd = os.open(path, LOCK_FILE, 0o600, dir_fd=directory)
    try:
        if _try_flock(fd, fcntl.LOCK_EX):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


class _Stripes:
    """The files of one place; `path-SPACE-NUMBER`, made when they are first needed."""

    def __init__(self, directory: int, path: bytes) -> None:
        place, _, self._name = path.rpartition(b"/")
        self._directory = os.open(place or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        self._open: dict[int, int] = {}

    def slot(self, space: bytes, name: bytes) -> int:
        spaces = hashlib.blake2b(space, digest_size=2).digest()
        stripe = hashlib.blake2b(name, digest_size=2).digest()
        return int.from_bytes(spaces, "big") * _STRIPES + int.from_bytes(stripe, "big") % _STRIPES

    def try_lock(self, slot: int) -> bool:
        space, stripe = divmod(slot, _STRIPES)
        fd = _open_locked(self._directory, b"%s-%04x-%03x" % (self._name, space, stripe))
        if fd is None:
            return False
        self._open[slot] = fd
        return True

    def unlock(self, slot: int) -> None:
        os.close(self._open.pop(slot))

    def close(self) -> None:
        os.close(self._directory)


class _LockedFile:
    """A file that is locked while it is open."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)


class StripeLocks:
    """Implements LockKind."""

    name = "flock"
    excludes = True

    def names(self, directory: int, path: bytes) -> NameLocks:
        return _Stripes(directory, path)

    def take(self, directory: int, path: bytes) -> FileLock | None:
        fd = _open_locked(directory, path)
        return None if fd is None else _LockedFile(fd)

    def is_taken(self, directory: int, path: bytes) -> bool:
        """Whether the file is locked; for the instant of the look it is shared, and who takes it then tries again."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            return not _try_flock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)
