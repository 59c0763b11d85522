"""How many requests a second are taken, in all and of each access key, counted for all workers together.

The generic cell rate algorithm (ITU-T I.371): of each limited name one time is kept, at which its requests would be
spread out evenly. A name whose time has passed has nothing to remember, so the table needs no more places than there
are names that are busy in the same second. Workers share the table without a lock: two that count the same name in the
same instant may let one request more through.
"""

from __future__ import annotations

import mmap
import secrets
import time
from hashlib import blake2b

from s3gate.core.errors import S3Error

__all__ = ["PLACES", "RateLimits", "Table"]

_NS = 1_000_000_000
PLACES = 1 << 14  # of 16 bytes: names that can be busy at once
_PROBES = 8


class Table:
    """Times of names in memory that processes which are forked later share."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._map = mmap.mmap(-1, places * 16)
        self._words = memoryview(self._map).cast("Q")
        self._seed = secrets.token_bytes(16)  # so that nobody can choose names that share a place

    def place(self, name: str, now: int) -> int:
        """Where the time of a name stands, in words; a new name has the time 0."""
        digest = blake2b(name.encode(), digest_size=16, key=self._seed).digest()
        tag = int.from_bytes(digest[:8], "big") | 1
        first = int.from_bytes(digest[8:], "big")
        free = -1
        for step in range(_PROBES):
            at = (first + step) % self._places * 2
            if self._words[at] == tag:
                return at + 1
            if free < 0 and self._words[at + 1] <= now:
                free = at
        if free < 0:
            free = first % self._places * 2  # a crowd: two names share a place until one of them rests
        else:
            self._words[free + 1] = 0
        self._words[free] = tag
        return free + 1

    def __getitem__(self, place: int) -> int:
        return self._words[place]

    def __setitem__(self, place: int, time_ns: int) -> None:
        self._words[place] = time_ns


class RateLimits:
    """Admits requests, or raises SlowDown. A rate is requests a second, 0 for no limit; a burst is one second's worth.

    Workers share what they count by `table`, which is made before they are forked.
    """

    def __init__(self, table: Table, *, overall: int = 0, per_key: int = 0) -> None:
        self._overall = overall
        self._per_key = per_key
        self._table = table

    def admit(self) -> None:
        """A request has come, of anybody."""
        if self._overall:
            self._count("", self._overall)

    def admit_key(self, access_key: str) -> None:
        """A request of this access key, whose signature was verified; "" for requests without one."""
        if self._per_key:
            self._count(f"key:{access_key}", self._per_key)

    def _count(self, name: str, rate: int) -> None:
        now = time.monotonic_ns()  # one clock for all processes of the machine
        place, interval = self._table.place(name, now), _NS // rate
        due = max(self._table[place], now)
        early = due - now - (_NS - interval)
        if early > 0:
            raise S3Error("SlowDown", headers={"retry-after": str(-(-early // _NS))})
        self._table[place] = due + interval
