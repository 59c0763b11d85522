"""Locks on keys, between the tasks of this process and between processes.

One lock file a bucket; a key is one byte of it, chosen by a hash, locked by open file description (OFD). Nothing is
ever created or removed for a key, and a lock ends with its process. Readers take no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import random
import struct
from collections import deque
from collections.abc import AsyncIterator

from s3gate.core.errors import S3Error

__all__ = ["KeyLocks", "is_locked", "locks_exclude_processes", "offset_of", "try_lock_file"]

_STRIPES = 1 << 62
_TIMEOUT = 30.0  # seconds until a request gives up with SlowDown
_FIRST_WAIT, _LONGEST_WAIT = 0.0002, 0.02


def offset_of(space: bytes, name: bytes) -> int:
    """The byte that stands for a name; each `space` has names of its own."""
    digest = hashlib.blake2b(name, digest_size=8, person=space).digest()
    return int.from_bytes(digest, "big") % _STRIPES


def _flock(kind: int, offset: int) -> bytes:
    # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid (0 for OFD locks)
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)


def _try_lock(fd: int, offset: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, offset))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def try_lock_file(fd: int) -> bool:
    """Lock a file of its own for as long as its open description lives; False when another one has it."""
    return _try_lock(fd, 0)


def is_locked(fd: int) -> bool:
    """Whether another open description has locked this file by try_lock_file. Changes nothing; reading is enough."""
    found: int = struct.unpack_from("h", fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, 0)))[0]
    return found != fcntl.F_UNLCK


class KeyLocks:
    """The locks of one bucket, on an open descriptor of its lock file that this process alone has."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queues: dict[int, deque[asyncio.Future[None]]] = {}

    def close(self) -> None:
        """Close the descriptor, for an owner that has no other way to."""
        os.close(self._fd)

    @contextlib.asynccontextmanager
    async def hold(self, space: bytes, name: bytes) -> AsyncIterator[None]:
        """Hold the lock of a name. Raises SlowDown when it cannot be had in time.

        Of two locks the one of an upload is taken before the one of its key, and no others together.
        """
        offset = offset_of(space, name)
        await self._enter(offset)
        try:
            await self._lock(offset)
            try:
                yield
            finally:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, offset))
        finally:
            self._leave(offset)

    async def _enter(self, offset: int) -> None:
        """Wait for the other tasks of this process: locks of one open file description do not exclude each other."""
        queue = self._queues.get(offset)
        if queue is None:
            self._queues[offset] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(_TIMEOUT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(offset)  # the turn came in the same instant: pass it on
            else:
                with contextlib.suppress(ValueError):  # passed over already, by a holder that left in this instant
                    queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise S3Error("SlowDown") from None
            raise

    def _leave(self, offset: int) -> None:
        queue = self._queues[offset]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._queues[offset]

    async def _lock(self, offset: int) -> None:
        """Lock against other processes without ever blocking a thread: try, and wait a little longer each time."""
        if _try_lock(self._fd, offset):
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TIMEOUT
        wait = _FIRST_WAIT
        while loop.time() < deadline:
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            if _try_lock(self._fd, offset):
                return
            wait = min(wait * 2, _LONGEST_WAIT)
        raise S3Error("SlowDown")


def locks_exclude_processes(path: bytes) -> bool:
    """Whether an OFD lock on a new file at `path` keeps another process out. The file is removed again.

    Forks a child that tries to take the lock this process holds; call it before any thread or event loop runs.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(fd, 0):
            return False
        child = os.fork()
        if child == 0:
            status = 2
            with contextlib.suppress(OSError):
                other = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                status = 1 if _try_lock(other, 0) else 0
            os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    except OSError:
        return False
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
