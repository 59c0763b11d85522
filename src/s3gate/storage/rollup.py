"""Ordered keys become a page of a listing: here and nowhere else, for every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from s3gate.core.values import ObjectRecord
from s3gate.storage.backend import Listed, ListPage, ListQuery

__all__ = ["KeyCursor", "collect"]


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


def _entries(cursor: KeyCursor, query: ListQuery) -> Iterator[tuple[str, bool]]:
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
