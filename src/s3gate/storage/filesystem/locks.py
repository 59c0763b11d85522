"""Locks on keys, between the tasks of this process and between processes.

Tasks of this process wait in a queue; whoever is first in it tries for the lock between processes, of whatever kind the
directory has (see lock_kinds). Nothing is ever removed for a key, and a lock ends with its process. Readers take no
lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque

from s3gate.core.errors import S3Error
from s3gate.core.observation import UNOBSERVED, StoreObserver
from s3gate.storage.filesystem.lock_kinds import NameLocks

__all__ = ["Hold", "KeyLocks", "Lease", "LeaseExpired"]

_TIMEOUT = 30.0  # seconds until a request gives up with SlowDown
_FIRST_WAIT, _LONGEST_WAIT = 0.0002, 0.02
# A server gives a lock to another client when it has not heard of its holder for a while, 90 s for NFS: a process that
# was stopped so long must not go on as if it still had it.
_LEASE = 20.0


class LeaseExpired(Exception):
    """The lock was taken so long ago that it may be another's by now."""


class Lease:
    """That a lock is held, and since when: by the clock that goes on while the machine sleeps."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.clock_gettime(time.CLOCK_BOOTTIME)

    def check(self) -> None:
        """Raise LeaseExpired when the lock may be lost. Called right before what the lock is for."""
        if time.clock_gettime(time.CLOCK_BOOTTIME) - self._since > _LEASE:
            raise LeaseExpired


class Hold:
    """A lock for the length of an `async with` block, whose value is its lease.

    A class, because a generator that is one costs five times as much, on every write.
    """

    __slots__ = ("_locks", "_slot")

    def __init__(self, locks: KeyLocks, slot: int) -> None:
        self._locks = locks
        self._slot = slot

    async def __aenter__(self) -> Lease:
        return self._locks.take_free(self._slot) or await self._locks.take(self._slot)

    async def __aexit__(self, *_: object) -> None:
        self._locks.give_back(self._slot)


class KeyLocks:
    """The locks of one bucket, or of the names of all buckets. `observer` is told of every wait."""

    def __init__(self, locks: NameLocks, observer: StoreObserver = UNOBSERVED) -> None:
        self._locks = locks
        self._observer = observer
        self._queues: dict[int, deque[asyncio.Future[None]]] = {}

    def close(self) -> None:
        """Close; no lock may be held any more."""
        self._locks.close()

    def hold(self, space: bytes, name: bytes) -> Hold:
        """Hold the lock of a name. Raises SlowDown when it cannot be had in time.

        Of two locks the one of an upload is taken before the one of its key, and no others together.
        """
        return Hold(self, self.slot(space, name))

    def slot(self, space: bytes, name: bytes) -> int:
        """What take(), take_free() and give_back() know a name by."""
        return self._locks.slot(space, name)

    def take_free(self, slot: int) -> Lease | None:
        """Take a lock that nobody has, as good as always; None where it has to be waited for."""
        if slot in self._queues:
            return None
        lease = Lease()
        if not self._locks.try_lock(slot):
            return None
        self._queues[slot] = deque()
        return lease

    async def take(self, slot: int) -> Lease:
        """Take a lock; every one that was taken is given back."""
        await self._enter(slot)
        try:
            return await self._lock(slot)
        except BaseException:
            self._leave(slot)
            raise

    def give_back(self, slot: int) -> None:
        """Let go of a lock that was taken."""
        try:
            self._locks.unlock(slot)
        finally:
            self._leave(slot)

    async def _enter(self, slot: int) -> None:
        """Wait for the other tasks of this process: locks of one holder do not exclude each other."""
        queue = self._queues.get(slot)
        if queue is None:
            self._queues[slot] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        begun = time.perf_counter_ns()
        try:
            await asyncio.sleep(0)  # a request may begin without a task, which a time limit needs
            async with asyncio.timeout(_TIMEOUT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(slot)  # the turn came in the same instant: pass it on
            else:
                with contextlib.suppress(ValueError):  # passed over already, by a holder that left in this instant
                    queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise S3Error("SlowDown") from None
            raise
        finally:
            self._observer.lock_waited("task", time.perf_counter_ns() - begun)

    def _leave(self, slot: int) -> None:
        queue = self._queues[slot]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._queues[slot]

    async def _lock(self, slot: int) -> Lease:
        """Lock against other processes without ever blocking a thread: try, and wait a little longer each time."""
        lease = Lease()
        if self._locks.try_lock(slot):
            return lease
        begun = time.perf_counter_ns()
        try:
            return await self._try_again(slot)
        finally:
            self._observer.lock_waited("process", time.perf_counter_ns() - begun)

    async def _try_again(self, slot: int) -> Lease:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TIMEOUT
        wait = _FIRST_WAIT
        while loop.time() < deadline:
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            lease = Lease()
            if self._locks.try_lock(slot):
                return lease
            wait = min(wait * 2, _LONGEST_WAIT)
        raise S3Error("SlowDown")
