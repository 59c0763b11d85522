"""Which directories hold an object of their own: what a listing by delimiter asks of every directory it shows."""

from __future__ import annotations

import os
import time
from itertools import islice

from s3gate.storage.filesystem.directory_watch import is_local
from s3gate.storage.filesystem.paths import is_ordinary

__all__ = ["NonEmptyDirectories"]

_SETTLED_NS = 2_000_000_000
_MOST_ENTRIES = 100  # that are looked at
_MOST_KNOWN = 100_000


class NonEmptyDirectories:
    """Remembers, by inode and time of change, the directories in which a file was seen. Thread-safe.

    Only a time that was old enough when the directory was read tells of every later change, see NameCache.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int] = {}

    def knows(self, stat: os.stat_result) -> bool:
        """Whether the directory of this status is known to hold an object."""
        return self._known.get((stat.st_ino, stat.st_dev)) == stat.st_ctime_ns

    def has_object(self, fd: int) -> bool:
        """Whether an open directory holds an object; False may be wrong, as for one that holds directories alone."""
        stat = os.fstat(fd)
        with os.scandir(fd) as entries:
            if not any(
                is_ordinary(entry.name) and entry.name.isascii() and entry.is_file(follow_symlinks=False)
                for entry in islice(entries, _MOST_ENTRIES)
            ):
                return False
        if time.time_ns() - stat.st_ctime_ns > _SETTLED_NS and is_local(fd):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[stat.st_ino, stat.st_dev] = stat.st_ctime_ns
        return True
