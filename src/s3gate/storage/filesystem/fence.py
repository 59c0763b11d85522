"""A lock on a file that its writers share and whoever wants it untouched has alone.

Each holder has an open file of its own, and holds until that is closed or its process ends: so tasks of one process
and other processes keep one another out alike, and no holder outlives its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import uuid

__all__ = ["fences_work", "try_lock"]

_PROBE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def try_lock(fd: int, *, shared: bool) -> bool:
    """Lock an open file (for reading and writing), shared or alone; False where others hold it, or cannot be told.

    Other holders are other openings of the file, in this process or another. Closing `fd` unlocks.
    """
    # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid (0 for locks of open file descriptions)
    request = struct.pack("hhqqi4x", fcntl.F_RDLCK if shared else fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except OSError:
        return False  # held by others, or no such locks here: who is not let in takes the way that needs none
    return True


def fences_work(directory: int) -> bool:
    """Whether such locks are what they should be on the filesystem of an open directory. Raises OSError."""
    name = f"probe-{uuid.uuid4().hex}"
    files: list[int] = []
    try:
        files.append(os.open(name, _PROBE, 0o600, dir_fd=directory))
        files.extend(os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=directory) for _ in range(2))
        one, other, third = files
        if not (try_lock(one, shared=True) and try_lock(other, shared=True)) or try_lock(third, shared=False):
            return False
        os.close(files.pop(0))
        os.close(files.pop(0))
        return try_lock(third, shared=False)
    finally:
        for fd in files:
            os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
