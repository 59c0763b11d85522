"""Keys become pages: roll-up, paging, and what happens when an object vanishes between the walk and its record."""

from __future__ import annotations

from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.values import ObjectRecord
from s3gate.storage.backend import ListPage, ListQuery
from s3gate.storage.rollup import collect

RECORD = ObjectRecord("etag", 1, 0)


class Walk:
    """A cursor over a list of keys that remembers what it gave and what it was told to skip."""

    def __init__(self, names: list[str], query: ListQuery) -> None:
        lower = max(query.after.encode() + b"\0", query.prefix.encode()) if query.after else query.prefix.encode()
        self.left = [key for key in sorted(name.encode() for name in names) if key >= lower]
        self.given: list[str] = []
        self.skipped: list[str] = []

    def next(self) -> bytes | None:
        if not self.left:
            return None
        self.given.append(self.left[0].decode())
        return self.left.pop(0)

    def skip(self, prefix: bytes) -> None:
        self.skipped.append(prefix.decode())
        del self.left[: len(list(takewhile(lambda key: key.startswith(prefix), self.left)))]


def load_all(names: list[str]) -> list[ObjectRecord | None]:
    return [RECORD] * len(names)


def page_of(names: list[str], query: ListQuery) -> ListPage:
    return collect(Walk(names, query), query, load_all)


def names_of(page: ListPage) -> list[str]:
    return [listed.key for listed in page.objects]


def test_keys_with_the_delimiter_behind_the_prefix_become_one_common_prefix() -> None:
    page = page_of(["p/a", "p/b/1", "p/b/2", "p/c/", "p/d", "q"], ListQuery(prefix="p/", delimiter="/"))
    assert names_of(page) == ["p/a", "p/d"]
    assert page.prefixes == ["p/b/", "p/c/"]
    assert (page.truncated, page.last, page.last_is_prefix) == (False, "p/d", False)


def test_a_common_prefix_is_given_without_reading_the_keys_below_it_or_their_records() -> None:
    loaded: list[str] = []

    def load(names: list[str]) -> list[ObjectRecord | None]:
        loaded.extend(names)
        return load_all(names)

    query = ListQuery(delimiter="/")
    walk = Walk(["a/1", "a/2", "a/3", "b"], query)
    page = collect(walk, query, load)
    assert page.prefixes == ["a/"]
    assert walk.given == ["a/1", "b"]
    assert walk.skipped == ["a/"]
    assert loaded == ["b"]


@pytest.mark.parametrize(
    ("delimiter", "prefixes"),
    [("é", ["aé", "bxé"]), ("xé", ["bxé"]), ("é1", ["aé1", "bxé1"]), ("\U0001f600", [])],
)
def test_a_delimiter_may_be_any_text(delimiter: str, prefixes: list[str]) -> None:
    assert page_of(["aé1", "bxé1", "c"], ListQuery(delimiter=delimiter)).prefixes == prefixes


def test_the_delimiter_inside_the_prefix_does_not_count() -> None:
    page = page_of(["a/b", "a/b/c"], ListQuery(prefix="a/b", delimiter="/"))
    assert names_of(page) == ["a/b"]
    assert page.prefixes == ["a/b/"]


def test_a_page_that_the_last_entries_just_fill_is_not_truncated() -> None:
    page = page_of(["a", "b/1", "b/2"], ListQuery(delimiter="/", limit=2))
    assert (page.truncated, page.last, page.last_is_prefix) == (False, "b/", True)


def test_a_page_is_truncated_when_one_more_entry_follows() -> None:
    page = page_of(["a", "b/1", "c"], ListQuery(delimiter="/", limit=2))
    assert (page.truncated, page.last, page.last_is_prefix) == (True, "b/", True)


def test_what_follows_behind_the_prefix_does_not_truncate_a_page() -> None:
    assert not page_of(["p1", "p2", "q"], ListQuery(prefix="p", limit=2)).truncated


def test_keys_below_past_are_neither_given_nor_walked() -> None:
    query = ListQuery(delimiter="/", after="a/", past="a/")
    walk = Walk(["a/1", "a/2", "b"], query)
    page = collect(walk, query, load_all)
    assert (names_of(page), page.prefixes) == (["b"], [])
    assert walk.given == ["a/1", "b"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_without_room_is_empty_and_not_truncated(limit: int) -> None:
    query = ListQuery(limit=limit)
    walk = Walk(["a"], query)
    assert collect(walk, query, load_all) == ListPage()
    assert walk.given == []


def test_keys_that_vanished_are_replaced_by_those_that_follow() -> None:
    query = ListQuery(limit=3)
    gone = {"b", "c", "e"}
    page = collect(
        Walk(list("abcdefgh"), query), query, lambda names: [None if name in gone else RECORD for name in names]
    )
    assert names_of(page) == ["a", "d", "f"]
    assert page.truncated


def test_a_page_is_not_truncated_when_all_that_follows_has_vanished() -> None:
    query = ListQuery(limit=1)
    page = collect(Walk(["a", "b", "c"], query), query, lambda names: [RECORD if n == "a" else None for n in names])
    assert names_of(page) == ["a"]
    assert not page.truncated


def test_the_walk_ends_at_the_entry_that_decides() -> None:
    query = ListQuery(limit=2)
    walk = Walk(list("abcdefgh"), query)
    collect(walk, query, load_all)
    assert walk.given == ["a", "b", "c"]


def test_the_walk_ends_at_the_first_key_behind_the_prefix() -> None:
    query = ListQuery(prefix="p")
    walk = Walk(["p1", "q1", "q2"], query)
    collect(walk, query, load_all)
    assert walk.given == ["p1", "q1"]


def test_records_are_loaded_in_batches() -> None:
    sizes: list[int] = []

    def load(names: list[str]) -> list[ObjectRecord | None]:
        sizes.append(len(names))
        return load_all(names)

    query = ListQuery(limit=100)
    collect(Walk([f"{n:04}" for n in range(500)], query), query, load)
    assert sizes == [101]


TEXT = st.text("ab/é", min_size=1, max_size=5)


@given(
    alive=st.sets(TEXT, max_size=12),
    gone=st.sets(TEXT, max_size=6),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "é", "a/"]),
    limit=st.integers(1, 5),
)
def test_following_the_pages_gives_every_entry_once(
    alive: set[str], gone: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    """Entries of objects that vanish while loaded are missing, but for the common prefixes they were seen in."""
    expected: list[tuple[str, bool]] = []
    for name in sorted(alive | gone, key=str.encode):
        if not name.startswith(prefix):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        entry = (name[: at + len(delimiter)], True) if at >= 0 else (name, False)
        if entry not in expected and (entry[1] or name not in gone - alive):
            expected.append(entry)

    found: list[tuple[str, bool]] = []
    query = ListQuery(prefix, delimiter, limit=limit)
    while True:
        page = collect(
            Walk(list(alive | gone), query), query, lambda names: [RECORD if n in alive else None for n in names]
        )
        given_entries = [(name, False) for name in names_of(page)] + [(name, True) for name in page.prefixes]
        found += sorted(given_entries, key=lambda entry: entry[0].encode())
        if not page.truncated:
            break
        assert len(given_entries) == limit
        assert found[-1] == (page.last, page.last_is_prefix)
        query = ListQuery(prefix, delimiter, page.last, page.last if page.last_is_prefix else "", limit)
    assert found == expected
