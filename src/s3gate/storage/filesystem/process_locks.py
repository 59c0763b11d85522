"""Locks of the process: POSIX ones (F_SETLK), and none at all. Within the process a table keeps holders apart.

A POSIX lock belongs to the process, and the kernel drops it when the process closes *any* descriptor of the file
(fcntl(2)). So each lock file is open once, however many holders it has: before it is opened it is looked for by its
identity among those that are, and it is closed when nobody is left who uses it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque

from s3gate.storage.filesystem.lock_kinds import (
    LOCK_FILE,
    FileLock,
    NameLocks,
    byte_of,
    is_locked_byte,
    lock_byte,
    unlock_byte,
)

__all__ = ["NoLocks", "PosixLocks"]

_Identity = tuple[int, int]


class _File:
    """A lock file that this process has open, the one time it may."""

    def __init__(self, fd: int, identity: _Identity) -> None:
        self.fd = fd
        self.identity = identity
        self.users = 0
        self.held: set[int] = set()
        self.others: list[int] = []  # descriptors that must not be closed before this one


class _Table:
    """The lock files of this process."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.files: dict[_Identity, _File] = {}
        # Files that lost a user: a holder may be let go by the garbage collector, which must not wait for the guard.
        self.let_go: deque[_File] = deque()

    def close_unused(self) -> None:
        """Close what nobody uses. Under the guard."""
        while self.let_go:
            file = self.let_go.popleft()
            file.users -= 1
            if not file.users and self.files.get(file.identity) is file:
                del self.files[file.identity]
                for fd in (*file.others, file.fd):
                    os.close(fd)


_table = _Table()


def _begin_anew() -> None:
    """A child has none of its parent's locks, whatever the table says."""
    global _table  # anew, for the guard may be held by a thread that is not here any more
    _table = _Table()


os.register_at_fork(after_in_child=_begin_anew)


def _identity(stat: os.stat_result) -> _Identity:
    return stat.st_dev, stat.st_ino


def _known(directory: int, path: bytes) -> _File | None:
    """The file, when this process has it open already. Under the guard."""
    return _table.files.get(_identity(os.stat(path, dir_fd=directory, follow_symlinks=False)))


def _use(directory: int, path: bytes) -> _File:
    with _table.guard:
        _table.close_unused()
        try:
            file = _known(directory, path)
        except FileNotFoundError:
            file = None
        if file is None:
            fd = os.open(path, LOCK_FILE, 0o600, dir_fd=directory)
            identity = _identity(os.fstat(fd))
            file = _table.files.get(identity)
            if file is None:
                file = _table.files[identity] = _File(fd, identity)
            else:
                file.others.append(fd)  # it got this name between the look and the opening
        file.users += 1
        return file


class _Holder:
    """One holder of locks in a file. `system` tells whether the kernel is asked as well."""

    def __init__(self, file: _File, *, system: bool) -> None:
        self._file = file
        self._system = system

    @property
    def fd(self) -> int:
        return self._file.fd

    def slot(self, space: bytes, name: bytes) -> int:
        return byte_of(space, name)

    def try_lock(self, slot: int) -> bool:
        with _table.guard:
            if slot in self._file.held or (self._system and not lock_byte(self._file.fd, fcntl.F_SETLK, slot)):
                return False
            self._file.held.add(slot)
            return True

    def unlock(self, slot: int) -> None:
        """Without the guard: as long as the slot is in the table, nobody in this process tries to lock it."""
        try:
            if self._system:
                unlock_byte(self._file.fd, fcntl.F_SETLK, slot)
        finally:
            self._file.held.discard(slot)

    def close(self) -> None:
        _table.let_go.append(self._file)
        if _table.guard.acquire(blocking=False):
            try:
                _table.close_unused()
            finally:
                _table.guard.release()


class _HolderOfFile(_Holder):
    """The holder of a file's first byte."""

    def close(self) -> None:
        self.unlock(0)
        super().close()


class _ProcessLocks:
    """What the two kinds have in common."""

    excludes: bool

    def names(self, directory: int, path: bytes) -> NameLocks:
        return _Holder(_use(directory, path), system=self.excludes)

    def take(self, directory: int, path: bytes) -> FileLock | None:
        file = _HolderOfFile(_use(directory, path), system=self.excludes)
        try:
            if file.try_lock(0):
                return file
        except BaseException:
            _Holder.close(file)
            raise
        _Holder.close(file)
        return None


class PosixLocks(_ProcessLocks):
    """Implements LockKind."""

    name = "posix"
    excludes = True

    def is_taken(self, directory: int, path: bytes) -> bool:
        with _table.guard:
            file = _known(directory, path)
            if file is not None:
                return 0 in file.held or is_locked_byte(file.fd, fcntl.F_GETLK, 0)
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                return is_locked_byte(fd, fcntl.F_GETLK, 0)
            finally:
                os.close(fd)


class NoLocks(_ProcessLocks):
    """Implements LockKind where no lock keeps another process out: only one process may work on the directory.

    `alone` tells that this one is it; as long as that is not sure, everything counts as taken.
    """

    name = "none"
    excludes = False

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone

    def is_taken(self, directory: int, path: bytes) -> bool:
        with _table.guard:
            file = _known(directory, path)
            return not self._alone or (file is not None and 0 in file.held)
