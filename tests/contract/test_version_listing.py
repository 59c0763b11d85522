"""A listing of versions is what sorting all of them would give, page by page."""

from __future__ import annotations

from itertools import groupby

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend, ListedVersion, ListQuery, VersionPage, VersionQuery
from support.stores import error_code, in_order, keys, put, remove_versions, set_versioning, versions

NAMES = ["a", "a/", "a/b", "a/b/c", "a/b/d", "a//b", "a0", "b/only-a-marker", "c", "é/1", "é/2", "é0"]
PREFIXES = ["", "a", "a/", "a/b", "a/b/", "b", "é", "é/", "nothing", "a/b/c/"]
DELIMITERS = ["", "/", "b", "é", "/b"]

# A version by its key and id, or a common prefix with None.
Entry = tuple[str, str | None]


async def fill(backend: Backend, bucket: Bucket) -> list[ListedVersion]:
    """Histories of every kind: from one version to five, the version "null" first, last and in the middle."""
    for name in NAMES[::2]:
        await put(backend, bucket, name, b"null")
    await set_versioning(backend, bucket, "Enabled")
    for n, name in enumerate(NAMES):
        if name == "b/only-a-marker":
            await backend.delete_object(bucket, name, NO_CONDITION)
        else:
            for m in range(1 + n % 3):
                await put(backend, bucket, name, b"%d" % m)
    for name in NAMES[1::3]:
        await backend.delete_object(bucket, name, NO_CONDITION)
    await set_versioning(backend, bucket, "Suspended")
    for name in NAMES[3::4]:
        await put(backend, bucket, name, b"suspended")
    await backend.delete_object(bucket, NAMES[0], NO_CONDITION)
    await set_versioning(backend, bucket, "Enabled")
    for name in NAMES[::5]:
        await put(backend, bucket, name, b"last")
    return await versions(backend, bucket)


def expected_entries(everything: list[ListedVersion], query: VersionQuery) -> list[Entry]:
    """All that a query without a limit gives, by looking at every version; its marker must be there."""
    found: dict[Entry, None] = {}
    passed = not query.after_version
    for each in everything:
        if each.key.encode() < query.after_key.encode():
            continue
        if each.key == query.after_key and (not query.after_version or not passed):
            passed = passed or each.record.version_id == query.after_version
            continue
        if not each.key.startswith(query.prefix) or (query.past and each.key.startswith(query.past)):
            continue
        head, cut, _ = each.key[len(query.prefix) :].partition(query.delimiter or "\0\0none")
        found[(query.prefix + head + cut, None) if cut else (each.key, each.record.version_id)] = None
    return list(found)


def page_entries(page: VersionPage) -> list[Entry]:
    """What a page gives, in order."""
    found: list[Entry] = [(each.key, each.record.version_id) for each in page.versions]
    found += [(prefix, None) for prefix in page.prefixes]
    return sorted(found, key=lambda entry: entry[0].encode())  # stable: versions of a key stay in their order


def check_page(page: VersionPage, everything: list[ListedVersion], query: VersionQuery) -> None:
    expected = expected_entries(everything, query)
    wanted = expected[: query.limit]
    assert page_entries(page) == wanted
    assert page.prefixes == [name for name, version_id in wanted if version_id is None]
    assert all(each in everything for each in page.versions)
    assert page.truncated == (len(expected) > query.limit)
    last = wanted[-1] if wanted else ("", None)
    assert (page.last, page.last_version) == (last[0], last[1] or "")


def following(query: VersionQuery, page: VersionPage) -> VersionQuery:
    past = "" if page.last_version else page.last
    return VersionQuery(query.prefix, query.delimiter, page.last, page.last_version, past, query.limit)


async def test_all_versions_are_listed_by_key_then_newest_first(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    everything = await fill(backend, bucket)
    assert await versions(another, bucket) == everything
    found = [each.key for each in everything]
    assert found == in_order(found)
    assert sorted(set(found)) == sorted(NAMES)
    for _, group in groupby(everything, key=lambda each: each.key):
        history = list(group)
        sequences = [each.record.sequence for each in history]
        assert sequences == sorted(set(sequences), reverse=True)
        assert [each.latest for each in history] == [n == 0 for n in range(len(history))]


async def test_the_latest_versions_are_what_the_listing_of_objects_shows(backend: Backend, bucket: Bucket) -> None:
    everything = await fill(backend, bucket)
    latest = [(each.key, each.record) for each in everything if each.latest and not each.record.delete_marker]
    page = await backend.list_objects(bucket, ListQuery())
    assert [(listed.key, listed.record) for listed in page.objects] == latest
    assert 0 < len(latest) < len(NAMES)


async def test_a_common_prefix_of_deleted_objects_is_one_of_versions_alone(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    for key in ("a/1", "a/2", "b/1"):
        await put(backend, bucket, key)
    for key in ("a/1", "a/2"):
        await backend.delete_object(bucket, key, NO_CONDITION)
    assert (await backend.list_objects(bucket, ListQuery(delimiter="/"))).prefixes == ["b/"]
    assert await keys(backend, bucket) == ["b/1"]
    page = await backend.list_versions(bucket, VersionQuery(delimiter="/"))
    assert (page.versions, page.prefixes) == ([], ["a/", "b/"])


async def test_keys_whose_versions_are_gone_leave_no_common_prefix(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    for key in ("a/b/1", "a/b/2", "c/1"):
        await put(backend, bucket, key)
        await put(backend, bucket, key)
        await backend.delete_object(bucket, key, NO_CONDITION)
    for each in await versions(backend, bucket, "a/"):
        await backend.delete_object(bucket, each.key, NO_CONDITION, each.record.version_id)
    page = await backend.list_versions(bucket, VersionQuery(delimiter="/", limit=1))
    assert (page.prefixes, page.truncated) == (["c/"], False)
    await remove_versions(backend, bucket)
    assert await backend.list_versions(bucket, VersionQuery(delimiter="/")) == VersionPage()


@pytest.mark.parametrize("delimiter", DELIMITERS)
async def test_following_the_pages_gives_every_version_once(
    backend: Backend, another: Backend, bucket: Bucket, delimiter: str
) -> None:
    """With every prefix and every limit, each page from another backend."""
    everything = await fill(backend, bucket)
    for prefix in PREFIXES:
        whole = expected_entries(everything, VersionQuery(prefix, delimiter))
        for limit in range(1, len(whole) + 2):
            query, found, turn = VersionQuery(prefix, delimiter, limit=limit), list[Entry](), 0
            while True:
                page = await [backend, another][turn % 2].list_versions(bucket, query)
                check_page(page, everything, query)
                found += page_entries(page)
                if not page.truncated:
                    break
                query, turn = following(query, page), turn + 1
            assert found == whole


async def test_a_page_begins_behind_any_version(backend: Backend, bucket: Bucket) -> None:
    everything = await fill(backend, bucket)
    for delimiter in ("", "/"):
        for prefix in ("", "a/", "é"):
            for each in everything:
                for version_id in ("", each.record.version_id):
                    query = VersionQuery(prefix, delimiter, each.key, version_id, limit=3)
                    check_page(await backend.list_versions(bucket, query), everything, query)


async def test_a_page_begins_behind_a_key_that_is_not_there(backend: Backend, bucket: Bucket) -> None:
    everything = await fill(backend, bucket)
    for after_key in ("A", "a!", "a/b/", "a/b/c0", "z", "é", "\U0001f600", "\0", "..", "k" * 2000, "/" * 1500, "a\0"):
        for delimiter in ("", "/"):
            for version_id in ("", "null", "0" * 24, "x"):
                query = VersionQuery("", delimiter, after_key, version_id)
                expected = expected_entries(everything, VersionQuery("", delimiter, after_key))
                assert page_entries(await backend.list_versions(bucket, query)) == expected


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_without_room_is_empty(backend: Backend, bucket: Bucket, limit: int) -> None:
    await put(backend, bucket, "key")
    assert await backend.list_versions(bucket, VersionQuery(limit=limit)) == VersionPage()


async def test_a_version_that_is_gone_still_has_its_place(backend: Backend, bucket: Bucket) -> None:
    """Pages may be followed while the versions they end with are deleted."""
    await put(backend, bucket, "key", b"null")
    await set_versioning(backend, bucket, "Enabled")
    for n in range(4):
        await put(backend, bucket, "key", b"%d" % n)
    await put(backend, bucket, "next", b"next")
    given: list[Entry] = []
    query = VersionQuery(limit=1)
    while True:
        page = await backend.list_versions(bucket, query)
        given += page_entries(page)
        for each in page.versions:
            await backend.delete_object(bucket, each.key, NO_CONDITION, each.record.version_id)
        if not page.truncated:
            break
        query = following(query, page)
    assert [name for name, _ in given] == ["key"] * 5 + ["next"]
    assert len(set(given)) == 6
    assert await versions(backend, bucket) == []


async def test_behind_any_id_come_the_versions_that_are_older(backend: Backend, bucket: Bucket) -> None:
    """The version "null" has its place among the others, where it is as old as they are."""
    await set_versioning(backend, bucket, "Enabled")
    oldest = await put(backend, bucket, "key", b"1")
    below = await put(backend, bucket, "key", b"2")
    await set_versioning(backend, bucket, "Suspended")
    await put(backend, bucket, "key", b"null")
    await set_versioning(backend, bucket, "Enabled")
    above = await put(backend, bucket, "key", b"3")
    newest = await put(backend, bucket, "key", b"4")
    await put(backend, bucket, "next", b"next")

    async def behind(version_id: str) -> list[str]:
        found = (await backend.list_versions(bucket, VersionQuery(after_key="key", after_version=version_id))).versions
        assert [each.key for each in found][-1] == "next"
        assert [each.latest for each in found[:-1]] == [each.record == newest for each in found[:-1]]
        return [each.record.version_id for each in found[:-1]]

    order = [newest.version_id, above.version_id, "null", below.version_id, oldest.version_id]
    assert await behind("0" * 24) == order
    assert await behind("f" * 24) == []
    for n, version_id in enumerate(order):
        assert await behind(version_id) == order[n + 1 :]
    await backend.delete_object(bucket, "key", NO_CONDITION, above.version_id)
    assert await behind(above.version_id) == order[2:]
    await backend.delete_object(bucket, "key", NO_CONDITION, below.version_id)
    assert await behind(below.version_id) == order[4:]
    await backend.delete_object(bucket, "key", NO_CONDITION, "null")
    assert await behind("null") == []
    assert await behind(newest.version_id) == [oldest.version_id]


async def test_a_key_with_many_versions_is_listed_over_many_pages(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = [(await put(backend, bucket, "key", b"%d" % n)).version_id for n in range(60)]
    found: list[Entry] = []
    query = VersionQuery(limit=7)
    while True:
        page = await backend.list_versions(bucket, query)
        assert [each.latest for each in page.versions] == [not found and n == 0 for n in range(len(page.versions))]
        found += page_entries(page)
        if not page.truncated:
            break
        query = following(query, page)
    assert found == [("key", version_id) for version_id in reversed(stored)]


async def test_deleted_keys_do_not_shorten_a_page_of_objects(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    for n in range(30):
        await put(backend, bucket, f"{n:02}")
        if n % 5:
            await backend.delete_object(bucket, f"{n:02}", NO_CONDITION)
    page = await backend.list_objects(bucket, ListQuery(limit=3))
    assert ([listed.key for listed in page.objects], page.truncated) == (["00", "05", "10"], True)
    page = await backend.list_objects(bucket, ListQuery(after="10", limit=3))
    assert ([listed.key for listed in page.objects], page.truncated) == (["15", "20", "25"], False)


async def test_versions_of_a_bucket_that_is_gone_are_not_listed(backend: Backend, bucket: Bucket) -> None:
    await backend.delete_bucket(bucket)
    assert await error_code(backend.list_versions(bucket, VersionQuery())) == "NoSuchBucket"
