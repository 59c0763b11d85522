"""The staging directory of one process in one bucket, and how others know that the process is gone.

The directory holds a file `alive` that its process keeps locked for as long as it lives. A directory whose lock can be
taken belongs to nobody: the age of what is in it says nothing, for an upload may be slow, and the clocks of hosts
differ.
"""

from __future__ import annotations

import contextlib
import os
import time

from s3gate.storage.filesystem.lock_kinds import FileLock, LockKind

__all__ = ["claim", "is_deserted", "release", "remove_deserted"]

_ALIVE = b"alive"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 100


def claim(tmp: int, name: bytes, locking: LockKind) -> tuple[int, FileLock]:
    """The staging directory `name` in the open directory `tmp`, made and opened here, and the lock of its file.

    Between the making and the lock the directory looks deserted; whoever clears it away meanwhile has it made again.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=tmp)
        with contextlib.suppress(FileNotFoundError):
            directory = os.open(name, _DIRECTORY, dir_fd=tmp)
            try:
                alive = _take(directory, locking)
                if alive is not None:
                    if _stands(tmp, name, directory):
                        return os.dup(directory), alive
                    alive.close()
            finally:
                os.close(directory)
        time.sleep(0.001)
    raise FileNotFoundError(f"the staging directory {name.decode()} is removed as often as it is made")


def _take(directory: int, locking: LockKind) -> FileLock | None:
    """The lock of the file of a staging directory, or None when another process has it."""
    alive = locking.take(directory, _ALIVE)
    if alive is None:
        return None
    try:
        if os.path.samestat(os.fstat(alive.fd), os.stat(_ALIVE, dir_fd=directory, follow_symlinks=False)):
            return alive
    except FileNotFoundError:
        pass
    alive.close()
    return None


def _stands(tmp: int, name: bytes, directory: int) -> bool:
    try:
        return os.path.samestat(os.fstat(directory), os.stat(name, dir_fd=tmp, follow_symlinks=False))
    except FileNotFoundError:
        return False


def release(tmp: int, name: bytes) -> None:
    """Remove the own staging directory, unless something is staged in it still."""
    with contextlib.suppress(OSError):
        directory = os.open(name, _DIRECTORY, dir_fd=tmp)
        try:
            if os.listdir(directory) == [os.fsdecode(_ALIVE)]:
                os.unlink(_ALIVE, dir_fd=directory)
                os.rmdir(name, dir_fd=tmp)
        finally:
            os.close(directory)


def is_deserted(tmp: int, name: bytes, locking: LockKind) -> bool:
    """Whether no process holds this staging directory. Changes nothing."""
    try:
        return not locking.is_taken(tmp, name + b"/" + _ALIVE)
    except FileNotFoundError:
        return True


def remove_deserted(tmp: int, name: bytes, locking: LockKind) -> bool:
    """Remove a staging directory that no process holds, with what is staged in it; False when one holds it."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=tmp)
    except FileNotFoundError:
        return False
    try:
        alive = _take(directory, locking)
        if alive is None:
            return False
        try:
            for staged in map(os.fsencode, os.listdir(directory)):
                if staged != _ALIVE:
                    os.unlink(staged, dir_fd=directory)
            os.unlink(_ALIVE, dir_fd=directory)  # last: as long as it is there and locked, nobody moves in
            with contextlib.suppress(OSError):  # somebody has moved in behind the unlink
                os.rmdir(name, dir_fd=tmp)
        finally:
            alive.close()
    finally:
        os.close(directory)
    return True
