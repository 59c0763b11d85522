"""An ordered walk over the keys of a bucket, lazily, from any point, without leaving the bucket."""

from __future__ import annotations

import errno
import os
from bisect import bisect_left
from dataclasses import dataclass

from s3gate.core.values import ObjectRecord
from s3gate.storage.backend import ListPage, ListQuery, VersionPage, VersionQuery
from s3gate.storage.filesystem import reading
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.directory_names import NameCache, Names
from s3gate.storage.filesystem.paths import HISTORIES, directory_of
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.rollup import collect, collect_versions

__all__ = ["TreeCursor", "list_page", "version_page"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# An open that fails so says that a directory has no keys that we could serve: it is gone, is something else by now, or
# is closed to us. Any other error fails the page: whoever mirrors a listing would delete what is missing in it.
_NO_KEYS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.ESTALE})


@dataclass(slots=True)
class _Level:
    """One directory on the way: `base` begins every key in it, `path` leads to it, `index` is the next name."""

    base: bytes
    path: bytes
    names: Names
    index: int


class TreeCursor:
    """The keys >= `lower` of a bucket that begin with `prefix`, in byte order. See storage.rollup.KeyCursor.

    `top` is the tree to walk: that of the objects, or HISTORIES for the keys that have a history.
    """

    def __init__(self, bucket_fd: int, cache: NameCache, prefix: bytes, lower: bytes, *, top: bytes = b"") -> None:
        self._fd = bucket_fd
        self._cache = cache
        self._histories = top != b""
        self._prefix = prefix
        self._lower = max(prefix, lower)
        self._stack: list[_Level] = []
        base = prefix[: prefix.rfind(b"/") + 1]
        self._enter(base, b"/".join(filter(None, (top, directory_of(base)))))

    def next(self) -> bytes | None:
        """The next key, or None at the end."""
        while self._stack:
            level = self._stack[-1]
            if level.index >= len(level.names.sorted):
                self._stack.pop()
                continue
            name = level.names.sorted[level.index]
            level.index += 1
            key = level.base + name
            if not key.startswith(self._prefix) and not self._prefix.startswith(key):
                return None  # beyond the prefix: what is below it comes in one run
            if not name.endswith(b"/"):
                return key
            physical = level.names.physical.get(name, name[:-1])
            self._enter(key, level.path + b"/" + physical if level.path else physical)
        return None

    def skip(self, prefix: bytes) -> None:
        """Go past every key that begins with `prefix`."""
        self._lower = prefix + b"\xff"  # no UTF-8 has that byte: greater than every key with the prefix
        while self._stack and self._stack[-1].base.startswith(prefix):
            self._stack.pop()
        if self._stack:
            level = self._stack[-1]
            level.index = max(level.index, self._position(level.base, level.names))

    def _enter(self, base: bytes, path: bytes) -> None:
        try:
            fd = open_beneath(self._fd, path, _DIRECTORY) if path else os.dup(self._fd)
            try:
                names = self._cache.get(fd, histories=self._histories)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in _NO_KEYS:
                return
            raise
        self._stack.append(_Level(base, path, names, self._position(base, names)))

    def _position(self, base: bytes, names: Names) -> int:
        """The index of the first name that can lead to a key >= lower."""
        lower = self._lower
        if lower <= base:
            return 0
        if not lower.startswith(base):
            return 0 if lower < base else len(names.sorted)
        rest = lower[len(base) :]
        index = bisect_left(names.sorted, rest)
        directory = rest[: rest.find(b"/") + 1]
        if directory and index > 0 and names.sorted[index - 1] == directory:
            return index - 1  # the directory that `lower` itself lies in
        return index


class _Union:
    """The keys of two cursors as one: those that have an object, a history, or both."""

    def __init__(self, *cursors: TreeCursor) -> None:
        self._cursors = cursors
        self._heads = [cursor.next() for cursor in cursors]

    def next(self) -> bytes | None:
        """The next key, or None at the end."""
        key = min((head for head in self._heads if head is not None), default=None)
        for number, head in enumerate(self._heads):
            if head is not None and head == key:
                self._heads[number] = self._cursors[number].next()
        return key

    def skip(self, prefix: bytes) -> None:
        """Go past every key that begins with `prefix`."""
        for number, head in enumerate(self._heads):
            if head is not None and head.startswith(prefix):
                self._cursors[number].skip(prefix)
                self._heads[number] = self._cursors[number].next()


def version_page(bucket: BucketDirectory, cache: NameCache, query: VersionQuery) -> VersionPage:
    """See Backend.list_versions. Blocks."""

    def load(key: str) -> list[ObjectRecord]:
        return reading.all_versions(bucket, key)

    prefix, lower = query.prefix.encode(), query.after_key.encode()
    trees = (b"", HISTORIES)
    cursor = _Union(*(TreeCursor(bucket.fd, cache, prefix, lower, top=top) for top in trees))
    return collect_versions(cursor, query, load)


def list_page(bucket: BucketDirectory, cache: NameCache, query: ListQuery) -> ListPage:
    """See Backend.list_objects. Blocks."""

    def load(keys: list[str]) -> list[ObjectRecord | None]:
        return [_record(bucket, key) for key in keys]

    after = query.after.encode()
    cursor = TreeCursor(bucket.fd, cache, query.prefix.encode(), after + b"\0" if after else b"")
    return collect(cursor, query, load)


def _record(bucket: BucketDirectory, key: str) -> ObjectRecord | None:
    """The record for a listing: one bad entry never fails a page, but a sick disk or machine does.

    A page that left out what could not be read for such a reason would be taken for the truth by who mirrors a bucket.
    """
    try:
        return reading.current_record(bucket, key)
    except OSError as error:
        if error.errno in _NO_KEYS:
            return None
        raise
