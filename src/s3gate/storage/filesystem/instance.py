"""The staging directory of one process in one bucket, and how others know that the process is gone.

The directory holds a file `alive` that its process keeps locked for as long as it lives. A directory whose lock can be
taken belongs to nobody: the age of what is in it says nothing, for an upload may be slow, and the clocks of hosts
differ.
"""

from __future__ import annotations

import contextlib
import os
import time

from s3gate.storage.filesystem.locks import is_locked, try_lock_file

__all__ = ["claim", "is_deserted", "release", "remove_deserted"]

_ALIVE = b"alive"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 100


def claim(tmp: int, name: bytes) -> tuple[int, int]:
    """Descriptors of the staging directory `name` in the open directory `tmp`, made here, and of its locked file.

    Between the making and the lock the directory looks deserted; whoever clears it away meanwhile has it made again.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=tmp)
        with contextlib.suppress(FileNotFoundError):
            directory = os.open(name, _DIRECTORY, dir_fd=tmp)
            try:
                alive = _take(directory)
                if alive is not None and _stands(tmp, name, directory):
                    return os.dup(directory), alive
                if alive is not None:
                    os.close(alive)
            finally:
                os.close(directory)
        time.sleep(0.001)
    raise FileNotFoundError(f"the staging directory {name.decode()} is removed as often as it is made")


def _take(directory: int) -> int | None:
    """The locked file of a staging directory, or None when another process has it."""
    alive = os.open(_ALIVE, _OWN, 0o600, dir_fd=directory)
    try:
        if try_lock_file(alive) and os.path.samestat(
            os.fstat(alive), os.stat(_ALIVE, dir_fd=directory, follow_symlinks=False)
        ):
            return os.dup(alive)
        return None
    except FileNotFoundError:
        return None
    finally:
        os.close(alive)


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


def is_deserted(tmp: int, name: bytes) -> bool:
    """Whether no process holds this staging directory. Changes nothing."""
    try:
        alive = os.open(name + b"/" + _ALIVE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tmp)
    except FileNotFoundError:
        return True
    try:
        return not is_locked(alive)
    finally:
        os.close(alive)


def remove_deserted(tmp: int, name: bytes) -> bool:
    """Remove a staging directory that no process holds, with what is staged in it; False when one holds it."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=tmp)
    except FileNotFoundError:
        return False
    try:
        alive = _take(directory)
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
            os.close(alive)
    finally:
        os.close(directory)
    return True
