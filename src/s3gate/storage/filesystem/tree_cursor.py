"""An ordered walk over the keys of a bucket, lazily, from any point, without leaving the bucket."""

from __future__ import annotations

import errno
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Set
from dataclasses import dataclass

from s3gate.storage.filesystem import links
from s3gate.storage.filesystem.directory_names import Names
from s3gate.storage.filesystem.name_cache import NameCache
from s3gate.storage.filesystem.nonempty import NonEmptyDirectories
from s3gate.storage.filesystem.paths import directory_of
from s3gate.storage.filesystem.sorted_names import Position
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = ["NO_KEYS", "TreeCursor", "Union", "Walk"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BEHIND = b"\xff"  # no UTF-8 has that byte: greater than every key with the prefix that it is appended to
# An open that fails so says that a directory has no keys that we could serve: it is gone, is something else by now, or
# is closed to us. Any other error fails the page: whoever mirrors a listing would delete what is missing in it.
NO_KEYS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.ESTALE})


@dataclass(frozen=True, slots=True)
class Walk:
    """What the cursors of one page have in common.

    `since` is when the request began, by time.monotonic(). `is_object` tells of a key whose name is a link whether it
    has an object; None where links are not followed.
    """

    bucket_fd: int
    cache: NameCache
    nonempty: NonEmptyDirectories
    since: float
    is_object: Callable[[bytes], bool] | None = None

    def open(self, path: bytes) -> int | None:
        """The open directory at a path below the bucket, or None where there is none that has keys."""
        try:
            return self._open(path)
        except OSError as error:
            if error.errno in NO_KEYS:
                return None
            raise

    def _open(self, path: bytes) -> int:
        if not path:
            return os.dup(self.bucket_fd)
        try:
            return open_beneath(self.bucket_fd, path, _DIRECTORY)
        except OSError as error:
            through_link = self.is_object is not None and error.errno in (errno.ELOOP, errno.ENOTDIR)
            real = links.real_directory(self.bucket_fd, path) if through_link else None
            if real is None:
                raise
            return open_beneath(self.bucket_fd, real, _DIRECTORY)


@dataclass(slots=True)
class _Level:
    """One directory on the way: `base` begins every key in it, `path` leads to it."""

    base: bytes
    path: bytes
    names: Names
    position: Position


class TreeCursor:
    """The keys >= `lower` of a bucket that begin with `prefix`, in byte order. See storage.rollup.KeyCursor.

    `top` is the tree to walk: that of the objects, or HISTORIES for the keys that have a history. With `rolled_up`, for
    the delimiter "/", a directory stands for the keys below it: it is looked at only until one is found.
    """

    def __init__(self, walk: Walk, prefix: bytes, lower: bytes, *, top: bytes = b"", rolled_up: bool = False) -> None:
        self._walk = walk
        self._histories = top != b""
        self._rolled_up = rolled_up
        self._prefix = prefix
        self._lower = max(prefix, lower)
        self._stack: list[_Level] = []
        base = prefix[: prefix.rfind(b"/") + 1]
        self._enter(base, b"/".join(filter(None, (top, directory_of(base)))))

    def take(self, limit: int) -> list[bytes]:
        """The next keys: at most `limit`, and none only at the end."""
        while self._stack:
            level = self._stack[-1]
            names = level.position.take(limit)
            if not names:
                self._stack.pop()
                continue
            if level.names.links or b"/" in b"".join(names):
                keys = self._sift(level, names)
            else:
                keys = [level.base + name for name in names] if level.base else names
            if keys and not keys[-1].startswith(self._prefix):
                self._stack.clear()  # beyond the prefix: what is below it comes in one run
                keys = keys[: bisect_left(keys, self._prefix + _BEHIND)]
            if keys:
                return keys
        return []

    def skip(self, prefix: bytes) -> None:
        """Go past every key that begins with `prefix`, and is not given yet."""
        self._lower = prefix + _BEHIND
        while self._stack and self._stack[-1].base.startswith(prefix):
            self._stack.pop()
        if self._stack:
            level = self._stack[-1]
            if self._lower.startswith(level.base):
                level.position.move_to(self._lower[len(level.base) :])

    def _sift(self, level: _Level, names: list[bytes]) -> list[bytes]:
        """The keys among names of which some are directories or links, up to the first directory to go into."""
        keys: list[bytes] = []
        is_object = self._walk.is_object
        nonempty = self._nonempty(level, names) if self._rolled_up else frozenset()
        for number, name in enumerate(names, 1):
            key = level.base + name
            if not name.endswith(b"/"):
                if is_object is None or name not in level.names.links or is_object(key):
                    keys.append(key)
            elif not key.startswith(self._prefix) and not self._prefix.startswith(key):
                return [*keys, key]  # the end, which the caller sees
            elif self._rolled_up and len(key) > len(self._prefix) and key >= self._lower:
                if name in nonempty or self._has_keys(key, self._path(level, name)):
                    keys.append(key)
            elif keys:  # these come first
                level.position.back(len(names) - number + 1)
                return keys
            else:
                level.position.back(len(names) - number)
                self._enter(key, self._path(level, name))
                return []
        return keys

    def _nonempty(self, level: _Level, names: list[bytes]) -> Set[bytes]:
        """Those of the directories among names that are known to hold an object, as they stand now."""
        fd = self._walk.open(level.path)
        if fd is None:
            return frozenset()
        knows, known = self._walk.nonempty.knows, set()
        try:
            for name in names:
                try:
                    if name.endswith(b"/") and knows(os.stat(name[:-1], dir_fd=fd, follow_symlinks=False)):
                        known.add(name)
                except (OSError, ValueError):  # whatever it is, a closer look will tell
                    continue
        finally:
            os.close(fd)
        return known - level.names.physical.keys()

    def _path(self, level: _Level, name: bytes) -> bytes:
        physical = level.names.physical.get(name, name[:-1])
        return level.path + b"/" + physical if level.path else physical

    def _enter(self, base: bytes, path: bytes) -> None:
        fd = self._walk.open(path)
        if fd is None:
            return
        try:
            names = self._walk.cache.get(fd, since=self._walk.since, histories=self._histories)
        finally:
            os.close(fd)
        if self._lower.startswith(base):
            rest = self._lower[len(base) :]
            # the directory that `lower` itself lies in comes before it
            lower = rest[: rest.find(b"/") + 1] or rest
        elif self._lower < base:
            lower = b""
        else:
            return
        self._stack.append(_Level(base, path, names, Position(names.sorted, lower)))

    def _has_keys(self, base: bytes, path: bytes) -> bool:
        """Whether a directory has any key below it."""
        fd = self._walk.open(path)
        if fd is None:
            return False
        try:
            if self._walk.nonempty.has_object(fd):
                return True
        finally:
            os.close(fd)
        return bool(TreeCursor(self._walk, base, b"").take(1))


class Union:
    """The keys of several cursors as one: those that have an object, a history, or both."""

    def __init__(self, *cursors: TreeCursor) -> None:
        self._cursors = cursors
        self._taken: list[list[bytes]] = [[] for _ in cursors]

    def take(self, limit: int) -> list[bytes]:
        """The next keys: at most `limit`, and none only at the end."""
        for number, cursor in enumerate(self._cursors):
            if not self._taken[number]:
                self._taken[number] = cursor.take(limit)
        filled = [keys for keys in self._taken if keys]
        if len(filled) < 2:
            taken = filled[0][:limit] if filled else []
        else:
            # What is greater than the last key of a cursor may have others before it that were not taken yet.
            common = min(keys[-1] for keys in filled)
            taken = sorted({key for keys in filled for key in keys[: bisect_right(keys, common)]})[:limit]
        if taken:
            for keys in filled:
                del keys[: bisect_right(keys, taken[-1])]
        return taken

    def skip(self, prefix: bytes) -> None:
        """Go past every key that begins with `prefix`."""
        for number, keys in enumerate(self._taken):
            del keys[: bisect_left(keys, prefix + _BEHIND)]
            if not keys:
                self._cursors[number].skip(prefix)
