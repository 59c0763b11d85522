"""Keys become pages: roll-up, paging, and what happens when an object vanishes between the walk and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.backend import ListPage, ListQuery, VersionPage, VersionQuery
from s3gate.storage.rollup import collect, collect_versions
from s3gate.storage.versions import new_version_id

RECORD = ObjectRecord("etag", 1, 0)


class Walk:
    """A cursor over a list of keys that remembers what it gave and what it was told to skip."""

    def __init__(self, names: Sequence[str], query: ListQuery | VersionQuery) -> None:
        if isinstance(query, VersionQuery):
            lower = max(query.after_key.encode(), query.prefix.encode())
        else:
            lower = max(query.after.encode() + b"\0" if query.after else b"", query.prefix.encode())
        self.left = [key for key in sorted(name.encode() for name in names) if key >= lower]
        self.given: list[str] = []
        self.skipped: list[str] = []

    def take(self, limit: int) -> list[bytes]:
        taken, self.left = self.left[:limit], self.left[limit:]
        self.given += [key.decode() for key in taken]
        return taken

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


def test_of_the_keys_below_a_common_prefix_few_are_walked_and_none_is_loaded() -> None:
    loaded: list[str] = []

    def load(names: list[str]) -> list[ObjectRecord | None]:
        loaded.extend(names)
        return load_all(names)

    query = ListQuery(delimiter="/")
    walk = Walk([*(f"a/{n:03}" for n in range(1000)), "b", *(f"c/{n:03}" for n in range(1000))], query)
    page = collect(walk, query, load)
    assert page.prefixes == ["a/", "c/"]
    assert len(walk.given) < 50
    assert walk.skipped == ["a/", "c/"]
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
    walk = Walk([*(f"a/{n:03}" for n in range(1000)), "b"], query)
    page = collect(walk, query, load_all)
    assert (names_of(page), page.prefixes) == (["b"], [])
    assert len(walk.given) < 50


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
    walk = Walk(["p1", *(f"q{n:04}" for n in range(3000))], query)
    page = collect(walk, query, load_all)
    assert (names_of(page), page.truncated) == (["p1"], False)
    assert len(walk.given) <= query.limit + 1


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


# --- versions
def version(sequence: int, version_id: str = "") -> ObjectRecord:
    return ObjectRecord("etag", 1, 0, version_id=version_id or new_version_id(sequence), sequence=sequence)


def history(*sequences: int) -> list[ObjectRecord]:
    """Versions in the order given, which is to be newest first; a negative one is the version "null"."""
    return [version(abs(n), NULL_VERSION if n < 0 else "") for n in sequences]


class Store:
    """Versions by key, and which keys were loaded."""

    def __init__(self, by_key: Mapping[str, list[ObjectRecord]]) -> None:
        self.by_key = by_key
        self.loaded: list[str] = []

    def load(self, keys: list[str]) -> list[list[ObjectRecord]]:
        self.loaded += keys
        return [self.by_key[key] for key in keys]

    def page(self, query: VersionQuery) -> VersionPage:
        self.walk = Walk(list(self.by_key), query)
        return collect_versions(self.walk, query, self.load)

    def sequences(self, query: VersionQuery) -> list[tuple[str, int]]:
        return [(each.key, each.record.sequence) for each in self.page(query).versions]


def test_versions_of_a_key_follow_one_another_and_the_first_is_the_latest() -> None:
    page = Store({"a": history(3, -2, 1), "b": history(9)}).page(VersionQuery())
    assert [(each.key, each.record.sequence, each.latest) for each in page.versions] == [
        ("a", 3, True),
        ("a", 2, False),
        ("a", 1, False),
        ("b", 9, True),
    ]
    assert (page.truncated, page.last, page.last_version) == (False, "b", page.versions[-1].record.version_id)


def test_versions_below_a_delimiter_become_one_common_prefix_and_few_keys_of_them_are_loaded() -> None:
    below = {f"p/{n:03}": history(3, 2) for n in range(500)}
    store = Store({"a": history(1), **below, "q": history(5)})
    page = store.page(VersionQuery(delimiter="/"))
    assert ([each.key for each in page.versions], page.prefixes) == (["a", "q"], ["p/"])
    assert store.walk.skipped == ["p/"]
    assert len(store.loaded) < 50


def test_keys_without_versions_are_left_out_and_make_no_common_prefix() -> None:
    store = Store({"a": [], "p/1": [], "q/1": [], "q/2": history(1), "r": history(2)})
    page = store.page(VersionQuery(delimiter="/", limit=1))
    assert (page.prefixes, page.truncated, page.last, page.last_version) == (["q/"], True, "q/", "")
    page = store.page(VersionQuery(delimiter="/", after_key="q/", past="q/", limit=1))
    assert ([each.key for each in page.versions], page.truncated) == (["r"], False)


def test_a_page_of_versions_ends_in_the_middle_of_a_key() -> None:
    store = Store({"a": history(4, 3, 2, 1)})
    page = store.page(VersionQuery(limit=2))
    assert [each.record.sequence for each in page.versions] == [4, 3]
    assert (page.truncated, page.last) == (True, "a")
    page = store.page(VersionQuery(after_key="a", after_version=page.last_version, limit=2))
    assert [(each.record.sequence, each.latest) for each in page.versions] == [(2, False), (1, False)]
    assert not page.truncated


def test_a_key_as_marker_leaves_all_its_versions_behind() -> None:
    store = Store({"a": history(2, 1), "b": history(3)})
    assert store.sequences(VersionQuery(after_key="a")) == [("b", 3)]


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (new_version_id(9), [8, 6, 5, 3]),  # newer than all
        (new_version_id(7), [6, 5, 3]),
        (new_version_id(4), [3]),
        (new_version_id(2), []),
        (NULL_VERSION, [5, 3]),
    ],
    ids=["newest", "between", "oldest but one", "oldest", "null"],  # the ids of versions are never the same twice
)
def test_a_marker_that_is_gone_is_compared_by_its_place(marker: str, expected: list[int]) -> None:
    store = Store({"a": history(8, -6, 5, 3)})
    query = VersionQuery(after_key="a", after_version=marker)
    assert store.sequences(query) == [("a", n) for n in expected]


def test_behind_a_version_null_that_is_gone_the_next_key_follows() -> None:
    store = Store({"a": history(8, 5), "b": history(1)})
    assert store.sequences(VersionQuery(after_key="a", after_version=NULL_VERSION)) == [("b", 1)]


def test_a_file_of_another_program_is_the_newest_and_not_given_again() -> None:
    """Its sequence is 0: it has no place in time."""
    outside = version(0, NULL_VERSION)
    store = Store({"a": [outside, *history(5, 3)]})
    assert store.sequences(VersionQuery()) == [("a", 0), ("a", 5), ("a", 3)]
    assert store.sequences(VersionQuery(after_key="a", after_version=NULL_VERSION)) == [("a", 5), ("a", 3)]
    assert store.sequences(VersionQuery(after_key="a", after_version=new_version_id(6))) == [("a", 5), ("a", 3)]
    assert store.sequences(VersionQuery(after_key="a", after_version=new_version_id(4))) == [("a", 3)]


def test_the_key_of_the_marker_counts_for_a_common_prefix_while_versions_of_it_are_left() -> None:
    records = history(2, 1)
    store = Store({"p/1": records})
    newest, oldest = (record.version_id for record in records)
    assert store.page(VersionQuery("", "/", "p/1", newest)).prefixes == ["p/"]
    assert store.page(VersionQuery("", "/", "p/1", oldest)).prefixes == []
    assert store.page(VersionQuery("", "/", "p/1")).prefixes == []


def test_no_key_is_loaded_below_past_or_behind_the_prefix_and_none_twice() -> None:
    store = Store({"p/1": history(1), "p/2/3": history(2), "p/4": history(4, 3), "q": history(5)})
    page = store.page(VersionQuery("p/", "/", after_key="p/2/", past="p/2/"))
    assert [each.key for each in page.versions] == ["p/4", "p/4"]
    assert store.loaded == ["p/4"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_of_versions_without_room_is_empty(limit: int) -> None:
    store = Store({"a": history(1)})
    assert store.page(VersionQuery(limit=limit)) == VersionPage()
    assert store.loaded == []


@given(
    counts=st.dictionaries(TEXT, st.integers(0, 4), max_size=10),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "é", "a/"]),
    limit=st.integers(1, 5),
)
def test_following_the_pages_of_versions_gives_every_entry_once(
    counts: dict[str, int], prefix: str, delimiter: str, limit: int
) -> None:
    expected: list[tuple[str, int]] = []  # a common prefix has sequence 0
    for name in sorted(counts, key=str.encode):
        if name.startswith(prefix) and counts[name]:
            at = name.find(delimiter, len(prefix)) if delimiter else -1
            common = [(name[: at + len(delimiter)], 0)]
            entries = common if at >= 0 else [(name, n) for n in range(counts[name], 0, -1)]
            expected += [entry for entry in entries if entry not in expected]

    store = Store({name: history(*range(count, 0, -1)) for name, count in counts.items()})
    found: list[tuple[str, int]] = []
    query = VersionQuery(prefix, delimiter, limit=limit)
    while True:
        page = store.page(query)
        given_entries = [(each.key, each.record.sequence) for each in page.versions]
        given_entries += [(name, 0) for name in page.prefixes]
        found += sorted(given_entries, key=lambda entry: entry[0].encode())
        if not page.truncated:
            break
        assert len(given_entries) == limit
        assert (found[-1][0], found[-1][1] == 0) == (page.last, not page.last_version)
        past = "" if page.last_version else page.last
        query = VersionQuery(prefix, delimiter, page.last, page.last_version, past, limit)
    assert found == expected
