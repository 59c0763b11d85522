"""Pages of the objects and of the versions in a bucket."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from s3gate.core.values import ObjectRecord
from s3gate.storage.backend import ListPage, ListQuery, VersionPage, VersionQuery
from s3gate.storage.filesystem import reading
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.metadata import XattrMetadata
from s3gate.storage.filesystem.name_cache import NameCache
from s3gate.storage.filesystem.nonempty import NonEmptyDirectories
from s3gate.storage.filesystem.page_records import PageRecords
from s3gate.storage.filesystem.paths import HISTORIES, directory_of, history_of_ordinary, is_ordinary
from s3gate.storage.filesystem.recent_records import RecentRecords
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.filesystem.tree_cursor import NO_KEYS, TreeCursor, Union, Walk
from s3gate.storage.rollup import collect, collect_versions

__all__ = ["Memory", "list_page", "version_page"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_THREADS = 4  # more would only wait for one another

_Load = Callable[[list[str]], list[ObjectRecord | None]]


class Memory:
    """What listings keep in memory from page to page, each part in bounds, and their threads. Thread-safe."""

    def __init__(self, *, follow_links: bool = False) -> None:
        self.names = NameCache(follow_links=follow_links)
        self.nonempty = NonEmptyDirectories()
        self.records = RecentRecords()
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3gate-list")

    def close(self) -> None:
        """Let go of everything."""
        self.threads.shutdown(wait=True)
        self.names.close()


def list_page(bucket: BucketDirectory, memory: Memory, query: ListQuery) -> ListPage:
    """See Backend.list_objects. Blocks."""
    after = query.after.encode()
    cursor = TreeCursor(
        _walk(bucket, memory),
        query.prefix.encode(),
        after + b"\0" if after else b"",
        rolled_up=query.delimiter == "/",
    )
    with _loading(bucket, memory) as load:
        return collect(cursor, query, load)


def version_page(bucket: BucketDirectory, memory: Memory, query: VersionQuery) -> VersionPage:
    """See Backend.list_versions. Blocks."""
    walk, prefix, lower = _walk(bucket, memory), query.prefix.encode(), query.after_key.encode()
    cursor = Union(TreeCursor(walk, prefix, lower), TreeCursor(walk, prefix, lower, top=HISTORIES))
    with _loading(bucket, memory) as load:
        return collect_versions(cursor, query, lambda keys: _versions(bucket, keys, load))


def _walk(bucket: BucketDirectory, memory: Memory) -> Walk:
    def is_object(key: bytes) -> bool:
        return _record(bucket, key.decode()) is not None

    check = is_object if bucket.follows_links else None
    return Walk(bucket.fd, memory.names, memory.nonempty, time.monotonic(), check)


@contextlib.contextmanager
def _loading(bucket: BucketDirectory, memory: Memory) -> Iterator[_Load]:
    """What loads the records of keys for a page."""

    def look(key: str) -> ObjectRecord | None:
        return _record(bucket, key)

    if not isinstance(bucket.metadata, XattrMetadata):
        yield lambda keys: [look(key) for key in keys]
        return
    with PageRecords(bucket.fd, memory.records, look) as records:
        yield records.load


def _record(bucket: BucketDirectory, key: str) -> ObjectRecord | None:
    """The record for a listing: one bad entry never fails a page, but a sick disk or machine does.

    A page that left out what could not be read for such a reason would be taken for the truth by who mirrors a bucket.
    """
    try:
        return reading.current_record(bucket, key)
    except OSError as error:
        if error.errno in NO_KEYS:
            return None
        raise


def _versions(bucket: BucketDirectory, keys: list[str], load: _Load) -> list[list[ObjectRecord]]:
    """The versions of each key, as reading.all_versions gives them.

    Most keys have one version. When no history stands beside a record that was read before, there was none when it was
    read: what was replaced then is in the history by now.
    """
    if bucket.follows_links:
        return [reading.all_versions(bucket, key) for key in keys]
    current = load(keys)
    found = []
    with _Histories(bucket.fd) as histories:
        for key, record in zip(keys, current, strict=True):
            if record is None or histories.may_have(key):
                found.append(reading.all_versions(bucket, key))
            else:
                found.append([record])
    return found


class _Histories:
    """Tells which keys have a history; for one batch, whose keys come in order."""

    def __init__(self, bucket_fd: int) -> None:
        self._bucket_fd = bucket_fd
        self._base: str | None = None
        self._fd: int | None = None

    def __enter__(self) -> _Histories:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def may_have(self, key: str) -> bool:
        """False: it has none, and had none at one instant since this was entered."""
        start = key.rfind("/") + 1
        base, name = key[:start], key[start:]
        if base != self._base:
            self._close()
            self._base = base
            path = b"/".join(filter(None, (HISTORIES, directory_of(base.encode()))))
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._fd = open_beneath(self._bucket_fd, path, _DIRECTORY)
        if self._fd is None:
            return False
        if not name or not is_ordinary(name):
            return True
        return os.access(history_of_ordinary(name), os.F_OK, dir_fd=self._fd, follow_symlinks=False)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._base = None
