"""The sorted names of one directory, and a bounded cache of them.

A name's sort key is what it adds to a key: `x` for a file, `x/` for a directory. Sorted by bytes, a walk that goes
into each directory where it stands gives the keys of a bucket in S3's order.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from s3gate.storage.filesystem import paths
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = ["NameCache", "Names", "read_names"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A directory changed this short a time ago may change again without a new time stamp, on kernels with coarse ones.
_SETTLED_NS = 2_000_000_000
_CACHE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Names:
    """Sort keys in order; `physical` has the path, relative to this directory, of those whose name differs."""

    sorted: list[bytes]
    physical: Mapping[bytes, bytes]
    flat: bool  # no continuation directory below: its names depend on this directory alone

    @property
    def cost(self) -> int:
        """Bytes of memory, about."""
        return sum(map(sys.getsizeof, self.sorted)) + 8 * len(self.sorted) + 200 * len(self.physical)


def read_names(fd: int, *, histories: bool = False) -> Names:
    """The names in an open directory. Entries that no key can have, links and special files are left out.

    With `histories` the directory is one of the tree of histories, where the history of a key stands for its object.
    """
    found: set[bytes] = set()
    physical: dict[bytes, bytes] = {}
    flat = _scan(fd, b"", b"", found, physical, histories=histories)
    return Names(sorted(found), physical, flat)


def _scan(
    fd: int, before: bytes, path: bytes, found: set[bytes], physical: dict[bytes, bytes], *, histories: bool
) -> bool:
    """Collect the names of one directory, `before` being the part of the component that its own name holds."""
    flat = True
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            meaning = paths.decode(name)
            if meaning is None or not _is_text(name):
                continue
            is_directory = entry.is_dir(follow_symlinks=False)
            if meaning.continuation:
                if is_directory:
                    flat = False
                    try:
                        inner = open_beneath(fd, name, _DIRECTORY)
                    except (FileNotFoundError, NotADirectoryError):
                        continue  # gone meanwhile
                    try:
                        _scan(
                            inner, before + meaning.component, path + name + b"/", found, physical, histories=histories
                        )
                    finally:
                        os.close(inner)
                continue
            if histories:
                is_object = is_directory and meaning.history
            else:
                is_object = not is_directory and not meaning.history and entry.is_file(follow_symlinks=False)
            if not is_object and (not is_directory or meaning.shadow or meaning.history):
                continue
            sort_key = before + meaning.component + (b"" if is_object else b"/")
            found.add(sort_key)
            if not is_object and (path or meaning.component != name):
                physical[sort_key] = path + name
    return flat


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


class NameCache:
    """Sorted names by directory, valid while its modification time stands and was not too recent. Thread-safe."""

    def __init__(self, capacity: int = _CACHE_BYTES) -> None:
        self._capacity = capacity
        self._used = 0
        self._entries: OrderedDict[tuple[int, int], tuple[int, Names, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, fd: int, *, histories: bool = False) -> Names:
        """The names in an open directory, from memory where they still hold; see read_names."""
        stat = os.fstat(fd)
        identity = stat.st_dev, stat.st_ino
        with self._lock:
            entry = self._entries.get(identity)
            if entry is not None and entry[0] == stat.st_mtime_ns:
                self._entries.move_to_end(identity)
                return entry[1]
        names = read_names(fd, histories=histories)
        if names.flat and time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
            self._put(identity, stat.st_mtime_ns, names)
        return names

    def _put(self, identity: tuple[int, int], mtime_ns: int, names: Names) -> None:
        cost = names.cost
        with self._lock:
            old = self._entries.pop(identity, None)
            self._used += cost - (old[2] if old else 0)
            self._entries[identity] = mtime_ns, names, cost
            while self._used > self._capacity and len(self._entries) > 0:
                self._used -= self._entries.popitem(last=False)[1][2]
