"""A listing is what sorting all keys would give, page by page."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend, ListPage, ListQuery
from support.stores import ALICE, REGION, entries, in_order, keys, put

Entry = tuple[str, bool]


def expected_entries(names: list[str], query: ListQuery) -> list[Entry]:
    """All that a query without a limit gives, by looking at every key."""
    found: dict[Entry, None] = {}
    for name in in_order(names):
        if not name.startswith(query.prefix) or name.encode() <= query.after.encode():
            continue
        if query.past and name.startswith(query.past):
            continue
        head, cut, _ = name[len(query.prefix) :].partition(query.delimiter or "\0\0none")
        found[(query.prefix + head + cut, True) if cut else (name, False)] = None
    return list(found)


def check_page(page: ListPage, names: list[str], query: ListQuery) -> None:
    expected = expected_entries(names, query)
    wanted = expected[: query.limit]
    assert entries(page) == wanted
    assert [listed.key for listed in page.objects] == [name for name, is_prefix in wanted if not is_prefix]
    assert page.prefixes == [name for name, is_prefix in wanted if is_prefix]
    assert page.truncated == (query.limit > 0 and len(expected) > query.limit)
    assert (page.last, page.last_is_prefix) == (wanted[-1] if wanted else ("", False))


async def all_pages(backend: Backend, bucket: Bucket, prefix: str, delimiter: str, limit: int) -> list[Entry]:
    found: list[Entry] = []
    query = ListQuery(prefix, delimiter, limit=limit)
    while True:
        page = await backend.list_objects(bucket, query)
        found += entries(page)
        if not page.truncated:
            return found
        assert len(entries(page)) == limit
        query = ListQuery(prefix, delimiter, page.last, page.last if page.last_is_prefix else "", limit)


TREE = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a/b/d",
    "a/c",
    "a-b",
    "a.b",
    "a0",
    "b",
    "b/c/d/e/f",
    "c/",
    "c//",
    "c//d",
    "é/ü",
    "z",
]
QUERIES = {
    "all": ListQuery(),
    "top": ListQuery(delimiter="/"),
    "directory": ListQuery("a/", "/"),
    "directory without its slash": ListQuery("a", "/"),
    "part of a name": ListQuery("a/b"),
    "deep": ListQuery("b/c/d/e", "/"),
    "empty names": ListQuery("c/", "/"),
    "another delimiter": ListQuery(delimiter="b"),
    "a long delimiter": ListQuery(delimiter="/b/"),
    "a delimiter of two bytes": ListQuery(delimiter="ü"),
    "a delimiter that is not there": ListQuery(delimiter="?"),
    "a prefix that is not there": ListQuery("nothing/here", "/"),
    "a prefix below an object": ListQuery("z/", "/"),
    "after a key": ListQuery(after="a/b/c"),
    "after a directory": ListQuery(after="a/"),
    "after a key inside a common prefix": ListQuery(delimiter="/", after="a/b"),
    "after no key": ListQuery(after="a/bb"),
    "after all": ListQuery(after="\U0010ffff"),
    "after, before the prefix": ListQuery("b", after="a"),
    "after, behind the prefix": ListQuery("a/", after="b"),
    "past a common prefix": ListQuery(delimiter="/", after="a/", past="a/"),
    "past the last": ListQuery(delimiter="/", after="é/", past="é/"),
    "past another prefix": ListQuery("a/", "/", after="a/b/", past="a/b/"),
    "just full": ListQuery(limit=len(TREE)),
    "one more": ListQuery(limit=len(TREE) - 1),
    "one": ListQuery(limit=1),
    "none": ListQuery(limit=0),
    "one common prefix": ListQuery("a/b/", "c", limit=1),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_page_is_what_sorting_all_keys_would_give(backend: Backend, bucket: Bucket, query: ListQuery) -> None:
    for name in TREE:
        await put(backend, bucket, name)
    check_page(await backend.list_objects(bucket, query), TREE, query)


async def test_an_empty_bucket_has_an_empty_listing(backend: Backend, bucket: Bucket) -> None:
    assert await backend.list_objects(bucket, ListQuery(delimiter="/")) == ListPage()


async def test_each_key_is_listed_with_its_current_record(backend: Backend, another: Backend, bucket: Bucket) -> None:
    stored = {}
    for round_ in (b"1", b"22"):
        for name in TREE:
            stored[name] = await put(another, bucket, name, name.encode() * len(round_), tags={"n": name})
    page = await backend.list_objects(bucket, ListQuery())
    assert {listed.key: listed.record for listed in page.objects} == stored


async def test_a_listing_shows_every_change_at_once(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """Also one of another backend, and again and again in the same directory."""
    there: set[str] = set()
    chance = random.Random(1)
    for n in range(60):
        name = chance.choice(["", "d/", "d/e/"]) + chance.choice("abcdef")
        if name in there:
            await [backend, another][n % 2].delete_object(bucket, name, NO_CONDITION)
            there.remove(name)
        else:
            await put([backend, another][n % 2], bucket, name)
            there.add(name)
        for each in (backend, another):
            assert await keys(each, bucket) == in_order(list(there))


async def test_a_prefix_whose_last_key_is_gone_is_gone(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "a/b/c/d")
    await put(backend, bucket, "z")
    await backend.delete_object(bucket, "a/b/c/d", NO_CONDITION)
    check_page(await backend.list_objects(bucket, ListQuery(delimiter="/")), ["z"], ListQuery(delimiter="/"))
    check_page(await backend.list_objects(bucket, ListQuery("a/b/", "/")), ["z"], ListQuery("a/b/", "/"))


async def test_a_listing_goes_on_behind_keys_that_were_deleted_between_its_pages(
    backend: Backend, bucket: Bucket
) -> None:
    names = [f"{letter}/{n}" for letter in "abc" for n in range(5)]
    for name in names:
        await put(backend, bucket, name)
    first = await backend.list_objects(bucket, ListQuery(limit=7))
    assert [listed.key for listed in first.objects] == names[:7]
    for name in names[:7]:
        await backend.delete_object(bucket, name, NO_CONDITION)
    query = ListQuery(after=first.last, limit=100)
    check_page(await backend.list_objects(bucket, query), names[7:], query)


@pytest.mark.parametrize("delimiter", ["", "/", "1"])
async def test_the_pages_of_a_larger_bucket_give_every_entry_once(
    backend: Backend, bucket: Bucket, delimiter: str
) -> None:
    names = [f"{n % 3}/{n % 7}/{n}" for n in range(150)] + [f"{n:03}" for n in range(50)]
    await asyncio.gather(*[put(backend, bucket, name) for name in names])
    for limit in (7, 100, 1000):
        found = await all_pages(backend, bucket, "", delimiter, limit)
        assert found == expected_entries(names, ListQuery(delimiter=delimiter))


async def test_a_listing_holds_while_keys_come_and_go(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """What stays is on the page, in order and once, whatever happens around it."""
    stay = [f"{letter}/stay" for letter in "abcdef"]
    for name in stay:
        await put(backend, bucket, name)

    async def churn(letter: str) -> None:
        for _ in range(8):
            for name in (f"{letter}/stay/below", f"{letter}/go", letter):
                await put(another, bucket, name)
            for name in (f"{letter}/stay/below", f"{letter}/go", letter):
                await another.delete_object(bucket, name, NO_CONDITION)

    async def watch() -> None:
        for _ in range(15):
            found = await keys(backend, bucket)
            assert found == in_order(list(set(found)))
            assert [name for name in found if name in stay] == stay

    await asyncio.gather(watch(), *[churn(letter) for letter in "abcdef"])
    assert await keys(backend, bucket) == stay


LETTERS = "ab/é-.%\0"
NAMES = st.sets(st.text(LETTERS, min_size=1, max_size=6), max_size=14)
SHORT = st.text(LETTERS, max_size=3)
QUERY = st.builds(
    ListQuery,
    prefix=SHORT,
    delimiter=st.sampled_from(["", "/", "/", "a", "é", "//", "a/", "-"]),
    after=SHORT,
    past=st.just("") | SHORT,
    limit=st.integers(0, 5) | st.just(1000),
)


def test_any_page_of_any_bucket_is_right(runner: asyncio.Runner, backend: Backend) -> None:
    async def check(names: list[str], queries: list[ListQuery]) -> None:
        bucket = await backend.create_bucket("any-listing", ALICE, REGION)
        for name in names:
            await put(backend, bucket, name)
        for query in queries:
            check_page(await backend.list_objects(bucket, query), names, query)
            if query.limit:
                found = await all_pages(backend, bucket, query.prefix, query.delimiter, query.limit)
                assert found == expected_entries(names, ListQuery(query.prefix, query.delimiter))
        for name in names:
            await backend.delete_object(bucket, name, NO_CONDITION)
        await backend.delete_bucket(bucket)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(names=NAMES, queries=st.lists(QUERY, min_size=1, max_size=8))
    def each(names: set[str], queries: list[ListQuery]) -> None:
        runner.run(check(list(names), queries))

    each()
