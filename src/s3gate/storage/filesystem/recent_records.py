"""Records that were read a short time ago, by the state of their file: for listings that come again and again."""

from __future__ import annotations

import os
import time

from s3gate.core.values import ObjectRecord

__all__ = ["RecentRecords"]

_SETTLED_NS = 2_000_000_000
_GENERATION_BYTES = 8 << 20
_RECORD_BYTES = 700  # that a small record takes in memory

_State = tuple[int, int]


class RecentRecords:
    """A cache of records in two generations, each of a bounded size. Thread-safe.

    A file is known by its inode and its time of change, which every change of contents, attributes and names sets, and
    no program can put back. A record is kept only when that time is old enough for every later change to have another,
    by the clock of this machine: for files of local filesystems.
    """

    def __init__(self, generation_bytes: int = _GENERATION_BYTES) -> None:
        self._most = generation_bytes
        self._used = 0
        self._new: dict[_State, tuple[int, ObjectRecord]] = {}
        self._old: dict[_State, tuple[int, ObjectRecord]] = {}

    def find(self, stat: os.stat_result) -> ObjectRecord | None:
        """The record of the file, if it is in memory and holds."""
        key = stat.st_ino, stat.st_dev
        kept = self._new.get(key)
        if kept is None:
            kept = self._old.get(key)
            if kept is None:
                return None
            self._new[key] = kept
            self._used += _RECORD_BYTES
        return kept[1] if kept[0] == stat.st_ctime_ns else None

    def keep(self, stat: os.stat_result, record: ObjectRecord, size: int) -> None:
        """Remember what was read after this look at the file; `size` bytes are what it took on the disk."""
        if time.time_ns() - stat.st_ctime_ns < _SETTLED_NS:
            return
        self._used += size + _RECORD_BYTES
        if self._used > self._most:
            self._old, self._new, self._used = self._new, {}, 0
        self._new[stat.st_ino, stat.st_dev] = stat.st_ctime_ns, record
