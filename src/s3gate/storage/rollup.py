"""Ordered keys become a page of a listing: here and nowhere else, for every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Protocol

from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.backend import Listed, ListedVersion, ListPage, ListQuery, VersionPage, VersionQuery
from s3gate.storage.versions import version_order

__all__ = ["KeyCursor", "collect", "collect_versions"]

# All versions and delete markers of a key that are committed and can be read, newest first.
LoadVersions = Callable[[str], Sequence[ObjectRecord]]


class KeyCursor(Protocol):
    """The keys of a bucket as bytes of UTF-8, in byte order, each once."""

    def next(self) -> bytes | None:
        """The next key, or None at the end."""

    def skip(self, prefix: bytes) -> None:
        """Go past every key that begins with `prefix`, which the key given last does."""


def collect(cursor: KeyCursor, query: ListQuery, load: Callable[[list[str]], list[ObjectRecord | None]]) -> ListPage:
    """The page that `query` asks for.

    Args:
        cursor: stands before the first key that is greater than `query.after` and not less than `query.prefix`. It may
            run on behind the keys with the prefix: the page ends at the first of them.
        query: what to list. With a limit of 0 the page is empty and not truncated.
        load: gives the record of each key, or None for one that is gone or cannot be read. Such a key is left out and
            the next one takes its place, so that only the last page is short.

    A common prefix is given without loading a record, and the cursor skips what is below it. Memory is that of a page.
    """
    page = ListPage()
    if query.limit <= 0:
        return page
    entries = _entries(cursor, query)
    free = query.limit
    # One entry beyond the page decides whether it is truncated; it has to be loaded too, as it may be gone.
    while batch := list(islice(entries, free + 1)):
        keys = [name for name, is_prefix in batch if not is_prefix]
        records = iter(load(keys) if keys else ())
        for name, is_prefix in batch:
            record = None if is_prefix else next(records)
            if record is None and not is_prefix:
                continue
            if free == 0:
                page.truncated = True
                return page
            free -= 1
            page.last, page.last_is_prefix = name, is_prefix
            if record is None:
                page.prefixes.append(name)
            else:
                page.objects.append(Listed(name, record))
    return page


def collect_versions(cursor: KeyCursor, query: VersionQuery, load: LoadVersions) -> VersionPage:
    """The page of versions that `query` asks for.

    Args:
        cursor: stands before the first key that is not less than `query.after_key` and not less than `query.prefix`.
            It gives every key that has a version or a delete marker, may give others too, and may run on behind the
            keys with the prefix.
        query: what to list. With a limit of 0 the page is empty and not truncated.
        load: gives the versions of a key, none for one that is gone. Such a key is left out and the next one takes its
            place, so that only the last page is short.

    A common prefix is given for the first key below it that has a version, and the cursor skips the others. Memory is
    that of a page and of the versions of one key.
    """
    page = VersionPage()
    if query.limit <= 0:
        return page
    for entry in _version_entries(cursor, query, load):
        if len(page.versions) + len(page.prefixes) == query.limit:
            page.truncated = True
            return page
        if isinstance(entry, str):
            page.last, page.last_version = entry, ""
            page.prefixes.append(entry)
        else:
            page.last, page.last_version = entry.key, entry.record.version_id
            page.versions.append(entry)
    return page


class _Left:
    """A cursor that leaves out the keys without a version that is left to be given."""

    def __init__(self, cursor: KeyCursor, query: VersionQuery, left: Callable[[str], Sequence[ListedVersion]]) -> None:
        self._cursor = cursor
        self._prefix, self._past = query.prefix.encode(), query.past.encode()
        self._left = left

    def next(self) -> bytes | None:
        while (key := self._cursor.next()) is not None:
            unwanted = not key.startswith(self._prefix) or (self._past and key.startswith(self._past))
            if unwanted or self._left(key.decode()):
                return key
        return None

    def skip(self, prefix: bytes) -> None:
        self._cursor.skip(prefix)


def _version_entries(cursor: KeyCursor, query: VersionQuery, load: LoadVersions) -> Iterator[ListedVersion | str]:
    """Versions and common prefixes in order."""

    @lru_cache(maxsize=1)  # each key is asked for twice: whether it counts, and for its versions
    def left(key: str) -> list[ListedVersion]:
        records = load(key)
        first = _given(records, query.after_version) if key == query.after_key else 0
        return [ListedVersion(key, records[n], latest=n == 0) for n in range(first, len(records))]

    for name, is_prefix in _entries(_Left(cursor, query, left), query):
        if is_prefix:
            yield name
        else:
            yield from left(name)


def _given(records: Sequence[ObjectRecord], after_version: str) -> int:
    """How many of a key's versions stand up to the marker `after_version`.

    Ids ascend from the newest version to the oldest, so that one that is gone still has its place. Where the version
    "null" is gone nobody knows its place: no version is left then.
    """
    if after_version in ("", NULL_VERSION):
        found = [n for n, record in enumerate(records, 1) if record.version_id == after_version]
        return found[0] if found else len(records)
    return max((n for n, record in enumerate(records, 1) if version_order(record) <= after_version), default=0)


def _entries(cursor: KeyCursor, query: ListQuery | VersionQuery) -> Iterator[tuple[str, bool]]:
    """Keys and common prefixes in order, each with whether it is a common prefix.

    UTF-8 is self-synchronizing, so that a delimiter found in the bytes is one of the text.
    """
    prefix, delimiter, past = query.prefix.encode(), query.delimiter.encode(), query.past.encode()
    while (key := cursor.next()) is not None:
        if not key.startswith(prefix):
            return
        if past and key.startswith(past):
            cursor.skip(past)
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            yield key.decode(), False
            continue
        common = key[: at + len(delimiter)]
        yield common.decode(), True
        cursor.skip(common)
