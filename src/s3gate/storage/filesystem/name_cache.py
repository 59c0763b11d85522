"""The names of directories in memory, and how long they hold: whoever asks sees every change that was acknowledged."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from s3gate.storage.filesystem.directory_names import Names, read_names, update_names
from s3gate.storage.filesystem.directory_watch import DirectoryWatch, is_local

__all__ = ["NameCache"]

# What was changed this short a time ago may change again without a new time stamp, on kernels with coarse ones.
_SETTLED_NS = 2_000_000_000
_SETTLED_SECONDS = 2.0
_CACHE_BYTES = 64 << 20
# A smaller directory is read anew in a few milliseconds: the kernel need not watch it, unless that is asked for again
# and again while it changes.
_LARGE = 2000  # names
_SMALL = 64  # names
_AGAIN_SECONDS = 1.0
_LARGE_BYTES = 64 << 10  # the size of a directory that has about as many, on most filesystems
_READINGS = 3
_PAUSES = (0.0, 0.0002, 0.001, 0.005)

_Identity = tuple[int, int]


@dataclass(slots=True)
class _Entry:
    """What is known of a directory. `lock` is held by who reads it: the others wait, and share what was read.

    `ctime_ns` is the time of change that goes with the names, and `seen` when it was first met; `began` is when the
    last reading began (both by the monotonic clock). `settled`: a later change must have another time.
    `busy`: it was read twice in a short time.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    names: Names | None = None
    ctime_ns: int = -1
    seen: float = 0.0
    began: float = -1.0
    settled: bool = False
    large: bool = False
    busy: bool = False
    watch: int | None = None
    counted: Names | None = None
    cost: int = 0
    evicted: bool = False


class NameCache:
    """Sorted names by directory. Thread-safe.

    Names in memory hold for a request in one of three cases. The directory was read after the request began: those
    that wait while it is read share the next reading. Or the kernel watches the directory and told of all that changed;
    where the time of change says that there was more, the directory is read anew. Or its time of change stands as it
    was when it was read, and was old enough then for every later change to have another. (The time of change, because
    any program can set back that of modification.)

    The directory that was asked for last stays in memory whatever its size; `capacity` bounds the others, in bytes.
    """

    def __init__(self, capacity: int = _CACHE_BYTES, *, follow_links: bool = False) -> None:
        self._capacity = capacity
        self._follow_links = follow_links
        self._used = 0
        self._entries: OrderedDict[_Identity, _Entry] = OrderedDict()
        self._watch = DirectoryWatch()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._entries.clear()
            self._used = 0
        self._watch.close()

    def get(self, fd: int, *, since: float, histories: bool = False) -> Names:
        """The names in an open directory; see read_names.

        `since` is when the request began that they are for, by time.monotonic(): every change before that is in them.
        """
        stat = os.fstat(fd)
        identity = stat.st_dev, stat.st_ino
        while True:
            with self._lock:
                entry = self._entries.get(identity)
                if entry is None:
                    entry = self._entries[identity] = _Entry()
                self._entries.move_to_end(identity)
            with entry.lock:
                if entry.evicted:
                    continue
                names = self._held(entry, fd, since, histories=histories) or self._read(entry, fd, histories=histories)
                if names is not entry.counted:
                    entry.counted = names
                    self._make_room(entry, names.cost)
                return names

    def _held(self, entry: _Entry, fd: int, since: float, *, histories: bool) -> Names | None:
        """The names in memory if they hold, after what the kernel told of was put into them."""
        if entry.names is None or entry.began >= since:
            return entry.names
        if entry.watch is not None:
            return entry.names if self._follow(entry, fd, histories=histories) else None
        return entry.names if entry.settled and entry.ctime_ns == os.fstat(fd).st_ctime_ns else None

    def _follow(self, entry: _Entry, fd: int, *, histories: bool) -> bool:
        """Put in the changes that the kernel told of. False where that is not all that changed.

        The time of change is new a moment before the kernel tells why, so that there is reason to wait a little.
        """
        told = False
        for pause in _PAUSES:
            time.sleep(pause)
            ctime_ns = os.fstat(fd).st_ctime_ns
            changed = self._watch.take(entry.watch) if entry.watch is not None else None
            if changed:
                told = True
                names, entry.names = entry.names, None  # what was taken is lost if anything goes wrong from here on
                entry.names = names and update_names(
                    names, fd, changed, histories=histories, follow_links=self._follow_links
                )
            if changed is None or entry.names is None:
                self._unwatch(entry)
                return False
            if (told or ctime_ns == entry.ctime_ns) and ctime_ns == os.fstat(fd).st_ctime_ns:
                break
        if told:
            entry.ctime_ns = ctime_ns
        return told or ctime_ns == entry.ctime_ns

    def _read(self, entry: _Entry, fd: int, *, histories: bool) -> Names:
        """Read the directory.

        A name that is replaced or moved while a directory is read may be missed at its old place and its new one. So
        what changes meanwhile is put right if the kernel tells of it; else a small directory is read again.
        """
        before, entry.began = entry.began, time.monotonic()
        entry.busy = before >= 0 and entry.began - before < _AGAIN_SECONDS
        entry.names = None
        for _ in range(_READINGS):
            if entry.watch is None and self._is_worth_watching(entry, fd):
                entry.watch = self._watch.add(fd)
            stat = os.fstat(fd)
            self._meet(entry, stat, fd)
            entry.names = names = read_names(fd, histories=histories, follow_links=self._follow_links)
            entry.large = len(names.sorted) >= _LARGE
            if not names.flat:
                entry.settled = False
                self._unwatch(entry)
            if entry.watch is not None:
                if self._follow(entry, fd, histories=histories):
                    return entry.names
            elif entry.large or os.fstat(fd).st_ctime_ns == stat.st_ctime_ns:
                break
        entry.names = names
        return names

    def _is_worth_watching(self, entry: _Entry, fd: int) -> bool:
        known = entry.counted
        is_busy = entry.busy and known is not None and len(known.sorted) >= _SMALL
        return (entry.large or is_busy or os.fstat(fd).st_size >= _LARGE_BYTES) and is_local(fd)

    def _meet(self, entry: _Entry, stat: os.stat_result, fd: int) -> None:
        """Note the time of change before a reading.

        It is old enough by the clock of this machine, or, where another may have set it, if it was met long ago.
        """
        now = time.monotonic()
        if entry.ctime_ns != stat.st_ctime_ns:
            entry.ctime_ns, entry.seen = stat.st_ctime_ns, now
        is_old = time.time_ns() - stat.st_ctime_ns > _SETTLED_NS
        entry.settled = now - entry.seen > _SETTLED_SECONDS or (is_old and is_local(fd))

    def _unwatch(self, entry: _Entry) -> None:
        if entry.watch is not None:
            self._watch.remove(entry.watch)
            entry.watch = None

    def _make_room(self, entry: _Entry, cost: int) -> None:
        """Count what an entry takes, and let go of those that were not asked for longest, but of none in use."""
        with self._lock:
            self._used += cost - entry.cost
            entry.cost = cost
            excess = self._used - self._capacity
            victims = []
            for identity, other in self._entries.items():
                if excess <= 0:
                    break
                if other is not entry and other.lock.acquire(blocking=False):
                    victims.append((identity, other))
                    excess -= other.cost
            for identity, other in victims:
                del self._entries[identity]
                self._used -= other.cost
                other.evicted = True
                self._unwatch(other)
                other.lock.release()
