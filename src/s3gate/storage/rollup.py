"""Ordered keys become a page of a listing: here and nowhere else, for every backend."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.backend import Listed, ListedVersion, ListPage, ListQuery, VersionPage, VersionQuery
from s3gate.storage.versions import version_order

__all__ = ["KeyCursor", "collect", "collect_versions"]

# Of each key all versions and delete markers that are committed and can be read, newest first.
LoadVersions = Callable[[list[str]], Sequence[Sequence[ObjectRecord]]]
# Keys that are looked at together: a few where many may share a common prefix, as all but one are in vain then.
_FEW = 16
_BEHIND = b"\xff"  # no UTF-8 has that byte: greater than every key with the prefix that it is appended to
_VERSIONED_KEYS = 128  # each may have many versions


class KeyCursor(Protocol):
    """The keys of a bucket as bytes of UTF-8, in byte order, each once."""

    def take(self, limit: int) -> list[bytes]:
        """The next keys: at most `limit`, and none only at the end.

        A cursor for a query with a delimiter may give a common prefix in place of the keys below it that follow.
        """

    def skip(self, prefix: bytes) -> None:
        """Go past the keys that begin with `prefix`, which one of those given last did, and no key to come precedes."""


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
    free = query.limit
    if free <= 0:
        return page
    # One entry beyond the page decides whether it is truncated; it has to be loaded too, as it may be gone.
    for run in _runs(cursor, query, free + 1):
        if isinstance(run, str):
            if free == 0:
                page.truncated = True
                return page
            page.prefixes.append(run)
            page.last, page.last_is_prefix = run, True
            free -= 1
        for keys in _slices(run, free + 1) if isinstance(run, list) else ():
            found = [Listed(key, record) for key, record in zip(keys, load(keys), strict=True) if record is not None]
            if kept := found[:free]:
                page.objects += kept
                page.last, page.last_is_prefix = kept[-1].key, False
                free -= len(kept)
            if len(found) > len(kept):
                page.truncated = True
                return page
    return page


def _slices(run: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(run), size):
        yield run[start : start + size]


def collect_versions(cursor: KeyCursor, query: VersionQuery, load: LoadVersions) -> VersionPage:
    """The page of versions that `query` asks for.

    Args:
        cursor: stands before the first key that is not less than `query.after_key` and not less than `query.prefix`.
            It gives every key that has a version or a delete marker, may give others too, and may run on behind the
            keys with the prefix.
        query: what to list. With a limit of 0 the page is empty and not truncated.
        load: gives the versions of each key, none for one that is gone. Such a key is left out and the next one takes
            its place, so that only the last page is short.

    A common prefix is given for the first key below it that has a version, and the cursor skips the others. Memory is
    that of a page and of the versions of some keys.
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
    """A cursor without the keys of which no version is left to be given; it has the versions of the others."""

    def __init__(self, cursor: KeyCursor, query: VersionQuery, load: LoadVersions) -> None:
        self._cursor = cursor
        self._query = query
        self._prefix, self._past = query.prefix.encode(), query.past.encode()
        self._load = load
        self._left: dict[str, list[ListedVersion]] = {}

    def take(self, limit: int) -> list[bytes]:
        while keys := self._cursor.take(limit):
            self._left = self._versions([key.decode() for key in keys if self._is_wanted(key)])
            kept = [key for key in keys if not self._is_wanted(key) or key.decode() in self._left]
            if kept:
                return kept
        return []

    def skip(self, prefix: bytes) -> None:
        self._cursor.skip(prefix)

    def versions(self, key: str) -> list[ListedVersion]:
        """Those of a key that was taken last."""
        return self._left[key]

    def _is_wanted(self, key: bytes) -> bool:
        return key.startswith(self._prefix) and not (self._past and key.startswith(self._past))

    def _versions(self, keys: list[str]) -> dict[str, list[ListedVersion]]:
        left = {}
        for key, records in zip(keys, self._load(keys) if keys else (), strict=True):
            first = _given(records, self._query.after_version) if key == self._query.after_key else 0
            if first < len(records):
                left[key] = [ListedVersion(key, records[n], latest=n == 0) for n in range(first, len(records))]
        return left


def _version_entries(cursor: KeyCursor, query: VersionQuery, load: LoadVersions) -> Iterator[ListedVersion | str]:
    """Versions and common prefixes in order."""
    left = _Left(cursor, query, load)
    for run in _runs(left, query, min(query.limit + 1, _VERSIONED_KEYS)):
        if isinstance(run, str):
            yield run
        else:
            for key in run:
                yield from left.versions(key)


def _given(records: Sequence[ObjectRecord], after_version: str) -> int:
    """How many of a key's versions stand up to the marker `after_version`.

    Ids ascend from the newest version to the oldest, so that one that is gone still has its place. Where the version
    "null" is gone nobody knows its place: no version is left then.
    """
    if after_version in ("", NULL_VERSION):
        found = [n for n, record in enumerate(records, 1) if record.version_id == after_version]
        return found[0] if found else len(records)
    return max((n for n, record in enumerate(records, 1) if version_order(record) <= after_version), default=0)


def _runs(cursor: KeyCursor, query: ListQuery | VersionQuery, most: int) -> Iterator[list[str] | str]:
    """Keys and common prefixes in order: keys that follow one another as a list; `most` are taken at once.

    UTF-8 is self-synchronizing, so that a delimiter found in the bytes is one of the text.
    """
    prefix, delimiter, past = query.prefix.encode(), query.delimiter.encode(), query.past.encode()
    limit = min(most, _FEW) if delimiter else most
    while keys := cursor.take(limit):
        limit = min(2 * limit, most)
        end = len(keys) if keys[-1].startswith(prefix) else bisect_left(keys, prefix + _BEHIND)
        at = 0
        while at < end:
            common = b""
            start = at
            while at < end and not (common := _common_prefix(keys[at], prefix, delimiter, past)):
                at = at + 1 if delimiter or past else end
            if at > start:
                yield [key.decode() for key in keys[start:at]]
            if common:
                if common != past:
                    yield common.decode()
                behind = at + 1
                if behind < len(keys) and keys[behind].startswith(common):
                    behind = bisect_left(keys, common + _BEHIND, lo=behind)
                if behind == len(keys):
                    cursor.skip(common)
                if behind > at + 1:
                    limit = min(most, _FEW)
                at = behind
        if end < len(keys):
            return


def _common_prefix(key: bytes, prefix: bytes, delimiter: bytes, past: bytes) -> bytes:
    """The common prefix that `key` is rolled up into; empty for none."""
    if past and key.startswith(past):
        return past
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: end + len(delimiter)] if end >= 0 else b""
