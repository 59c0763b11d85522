"""What a store owes on versions: which one is current, which ones stay, and what a delete does."""

from __future__ import annotations

import hashlib
import random
import re
from itertools import chain

import pytest

from s3gate.core.clock import http_date
from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import NULL_VERSION, Bucket
from s3gate.storage.backend import Backend, Deletion, ListQuery
from support.awkward_keys import AWKWARD
from support.stores import (
    delete,
    error_code,
    error_of,
    get,
    get_with_record,
    in_order,
    keys,
    put,
    read_all,
    remove_versions,
    set_versioning,
    version_ids,
    versions,
)

VERSION_ID = re.compile(r"[0-9a-f]{24}")
LARGE = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(50_000))
UNKNOWN_IDS = [
    *("", "null", "0" * 24, "f" * 24, "F" * 24, "0" * 23, "0" * 25, "x", "..", "/", "../null", "a/b", "\0", "ü", "*"),
    *("null ", "Null", "x" * 5000, "\U0001f600", "null.d", "0" * 16 + "." + "0" * 8),
]

each_state = pytest.mark.parametrize("state", ["Enabled", "Suspended"])


# --- a bucket never versioned
async def test_without_versioning_an_object_is_the_one_version_null(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"first")
    stored = await put(backend, bucket, "key", b"second")
    assert stored.version_id == NULL_VERSION
    assert await get_with_record(backend, bucket, "key", NULL_VERSION) == (b"second", stored)
    assert [(each.key, each.record, each.latest) for each in await versions(backend, bucket)] == [("key", stored, True)]


@pytest.mark.parametrize("version_id", [None, NULL_VERSION])
async def test_without_versioning_a_delete_leaves_nothing_and_tells_nothing(
    backend: Backend, bucket: Bucket, version_id: str | None
) -> None:
    await put(backend, bucket, "key")
    assert await delete(backend, bucket, "key", version_id) == Deletion()
    assert await delete(backend, bucket, "key", version_id) == Deletion()
    assert await versions(backend, bucket) == []
    await backend.delete_bucket(bucket)


async def test_without_versioning_an_unknown_id_deletes_nothing(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key")
    for version_id in UNKNOWN_IDS:
        if version_id != NULL_VERSION:
            assert await delete(backend, bucket, "key", version_id) == Deletion(), version_id
    assert await version_ids(backend, bucket, "key") == ["null"]


# --- Enabled
async def test_each_put_makes_a_version_with_an_id_of_its_own(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = [await put([backend, another][n % 2], bucket, "key", b"%d" % n, tags={"n": str(n)}) for n in range(5)]
    for each in (backend, another):
        assert await version_ids(each, bucket, "key") == [record.version_id for record in reversed(stored)]
        for n, record in enumerate(stored):
            assert await get_with_record(each, bucket, "key", record.version_id) == (b"%d" % n, record)
            assert await each.stat_object(bucket, "key", record.version_id) == record
        assert await get_with_record(each, bucket, "key") == (b"4", stored[-1])


async def test_an_id_tells_the_place_of_its_version(backend: Backend, bucket: Bucket) -> None:
    """24 hex digits that ascend from the newest to the oldest, the last eight by chance."""
    await set_versioning(backend, bucket, "Enabled")
    stored = [await put(backend, bucket, "key") for _ in range(20)]
    given = [record.version_id for record in stored]
    assert all(VERSION_ID.fullmatch(each) for each in given)
    assert sorted(given, reverse=True) == given
    assert [int(each[:16], 16) for each in given] == [2**64 - 1 - record.sequence for record in stored]
    assert len({each[16:] for each in given}) == 20


async def test_an_object_from_before_versioning_stays_as_the_version_null(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    old = await put(backend, bucket, "key", b"old", tags={"t": "1"})
    await set_versioning(another, bucket, "Enabled")
    assert await get_with_record(backend, bucket, "key", NULL_VERSION) == (b"old", old)
    new = await put(backend, bucket, "key", b"new")
    assert await version_ids(another, bucket, "key") == [new.version_id, "null"]
    assert await get_with_record(another, bucket, "key", NULL_VERSION) == (b"old", old)
    assert await get(another, bucket, "key") == b"new"


async def test_a_delete_puts_a_marker_over_the_object(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "key", b"data")
    deletion = await delete(another, bucket, "key")
    assert deletion.delete_marker
    assert VERSION_ID.fullmatch(deletion.version_id)
    for each in (backend, another):
        assert await keys(each, bucket) == []
        assert await version_ids(each, bucket, "key") == [f"-{deletion.version_id}", stored.version_id]
        assert await get_with_record(each, bucket, "key", stored.version_id) == (b"data", stored)


async def test_a_marker_is_made_where_there_is_nothing_or_a_marker(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    first = await delete(backend, bucket, "deep/down/key")
    second = await delete(backend, bucket, "deep/down/key")
    assert first.delete_marker
    assert second.delete_marker
    assert await version_ids(backend, bucket, "deep/down/key") == [f"-{second.version_id}", f"-{first.version_id}"]


async def test_a_marker_has_no_bytes_and_a_time(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "key", b"data", tags={"t": "1"}, user_metadata={"n": "1"})
    await delete(backend, bucket, "key")
    marker = (await versions(backend, bucket))[0].record
    assert (marker.delete_marker, marker.size, marker.etag) == (True, 0, "")
    assert (marker.tags, marker.user_metadata, marker.headers) == ({}, {}, {})
    assert marker.modified_ns >= stored.modified_ns
    assert marker.sequence > stored.sequence


async def test_a_put_after_a_delete_is_current_and_starts_anew(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    first = await put(backend, bucket, "key", b"first", tags={"t": "1"})
    marker = await delete(backend, bucket, "key")
    second = await put(backend, bucket, "key", b"second")
    assert second.tags == {}
    assert not second.delete_marker
    assert await get_with_record(backend, bucket, "key") == (b"second", second)
    assert await version_ids(backend, bucket, "key") == [second.version_id, f"-{marker.version_id}", first.version_id]
    assert await keys(backend, bucket) == ["key"]


# --- Suspended
async def test_where_suspended_a_put_replaces_the_version_null_alone(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await put(backend, bucket, "key", b"before")
    await set_versioning(backend, bucket, "Enabled")
    kept = await put(backend, bucket, "key", b"kept")
    await set_versioning(backend, bucket, "Suspended")
    await put(another, bucket, "key", b"third")
    for each in (backend, another):
        assert await version_ids(each, bucket, "key") == ["null", kept.version_id]
        assert await get(each, bucket, "key", NULL_VERSION) == b"third"
    fourth = await put(backend, bucket, "key", b"fourth")
    assert fourth.version_id == NULL_VERSION
    for each in (backend, another):
        assert await version_ids(each, bucket, "key") == ["null", kept.version_id]
        assert await get_with_record(each, bucket, "key") == (b"fourth", fourth)
        assert await get_with_record(each, bucket, "key", NULL_VERSION) == (b"fourth", fourth)
        assert await get_with_record(each, bucket, "key", kept.version_id) == (b"kept", kept)


async def test_where_suspended_a_delete_makes_the_marker_null(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await put(backend, bucket, "key", b"before")
    await set_versioning(backend, bucket, "Enabled")
    kept = await put(backend, bucket, "key", b"kept")
    await set_versioning(backend, bucket, "Suspended")
    for each in (backend, another):
        assert await delete(each, bucket, "key") == Deletion("null", delete_marker=True)
        assert await version_ids(each, bucket, "key") == ["-null", kept.version_id]
    assert await keys(backend, bucket) == []
    assert await delete(backend, bucket, "nothing") == Deletion("null", delete_marker=True)
    assert await version_ids(backend, bucket, "nothing") == ["-null"]


async def test_where_suspended_a_put_takes_the_place_of_the_marker_null(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Suspended")
    await delete(backend, bucket, "key")
    stored = await put(backend, bucket, "key", b"data")
    assert await version_ids(backend, bucket, "key") == ["null"]
    assert await get_with_record(backend, bucket, "key") == (b"data", stored)
    assert await delete(backend, bucket, "key", NULL_VERSION) == Deletion("null")
    await backend.delete_bucket(bucket)


async def test_versioning_comes_and_goes(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """A marker or a version "null" in the middle of the history is replaced from there."""
    await set_versioning(backend, bucket, "Suspended")
    await put(backend, bucket, "key", b"1")
    await set_versioning(backend, bucket, "Enabled")
    second = await put(another, bucket, "key", b"2")
    marker = await delete(backend, bucket, "key")
    assert await version_ids(another, bucket, "key") == [f"-{marker.version_id}", second.version_id, "null"]
    await set_versioning(another, bucket, "Suspended")
    await delete(another, bucket, "key")
    expected = ["-null", f"-{marker.version_id}", second.version_id]
    assert await version_ids(backend, bucket, "key") == expected
    await set_versioning(backend, bucket, "Enabled")
    last = await put(another, bucket, "key", b"3")
    assert await version_ids(backend, bucket, "key") == [last.version_id, *expected]
    await set_versioning(backend, bucket, "Suspended")
    await put(backend, bucket, "key", b"4")
    assert await version_ids(another, bucket, "key") == ["null", last.version_id, *expected[1:]]
    assert await get(another, bucket, "key") == b"4"
    await remove_versions(another, bucket)
    await backend.delete_bucket(bucket)


# --- what is asked for
@each_state
async def test_an_object_under_a_marker_is_not_found_and_the_headers_say_why(
    backend: Backend, another: Backend, bucket: Bucket, state: str
) -> None:
    await put(backend, bucket, "key")
    await set_versioning(backend, bucket, state)
    marker = await delete(backend, bucket, "key")
    for each in (backend, another):
        for work in (
            each.open_object(bucket, "key"),
            each.stat_object(bucket, "key"),
            each.update_object(bucket, "key", lambda record: record),
        ):
            error = await error_of(work)
            assert (error.code, error.fields["Key"]) == ("NoSuchKey", "key")
            assert error.headers == {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}


@each_state
async def test_a_marker_asked_for_by_its_id_may_only_be_deleted(
    backend: Backend, another: Backend, bucket: Bucket, state: str
) -> None:
    await set_versioning(backend, bucket, state)
    marker = await delete(backend, bucket, "key")
    record = (await versions(backend, bucket))[0].record
    await set_versioning(backend, bucket, "Enabled")
    for _ in ("the newest", "an older one"):
        for each in (backend, another):
            for work in (
                each.open_object(bucket, "key", marker.version_id),
                each.stat_object(bucket, "key", marker.version_id),
                each.update_object(bucket, "key", lambda record: record, marker.version_id),
            ):
                error = await error_of(work)
                assert error.code == "MethodNotAllowed"
                assert error.headers == {
                    "x-amz-delete-marker": "true",
                    "x-amz-version-id": marker.version_id,
                    "allow": "DELETE",
                    "last-modified": http_date(record.modified_ns),
                }
        await put(backend, bucket, "key", b"data")


async def test_a_key_without_a_marker_is_not_found_without_its_headers(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await delete(backend, bucket, "key/below")
    for key in ("key", "key/", "key/below/"):
        error = await error_of(backend.open_object(bucket, key))
        assert (error.code, error.headers) == ("NoSuchKey", {})


async def test_an_unknown_version_is_not_found(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    other = await put(backend, bucket, "other")
    for key in ("key", "nothing"):
        for version_id in [*UNKNOWN_IDS, other.version_id]:
            for work in (
                backend.open_object(bucket, key, version_id),
                backend.stat_object(bucket, key, version_id),
                backend.update_object(bucket, key, lambda record: record, version_id),
            ):
                error = await error_of(work)
                assert error.code == "NoSuchVersion", version_id
                assert error.fields == {"Key": key, "VersionId": version_id}
            assert await error_code(backend.delete_object(bucket, key, NO_CONDITION, version_id)) == "none"
        await put(backend, bucket, "key")
    assert len(await version_ids(backend, bucket, "key")) == 2
    assert await version_ids(backend, bucket, "other") == [other.version_id]


# --- deleting versions
async def test_a_deleted_version_is_gone_for_good(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = [await put(backend, bucket, "key", b"%d" % n) for n in range(3)]
    middle = stored[1].version_id
    assert await delete(another, bucket, "key", middle) == Deletion(middle)
    for each in (backend, another):
        assert await version_ids(each, bucket, "key") == [stored[2].version_id, stored[0].version_id]
        assert await error_code(each.open_object(bucket, "key", middle)) == "NoSuchVersion"
        assert await get(each, bucket, "key") == b"2"
        assert await get(each, bucket, "key", stored[0].version_id) == b"0"


async def test_without_the_current_version_the_one_before_is_current(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """With its own record and bytes, the object from before versioning at last."""
    stored = [await put(backend, bucket, "key", b"0" * 10, tags={"n": "0"})]
    await set_versioning(backend, bucket, "Enabled")
    stored += [await put(backend, bucket, "key", b"%d" % n * 10, tags={"n": str(n)}) for n in range(1, 4)]
    for n in (3, 2, 1):
        version_id = stored[n].version_id
        assert await delete([backend, another][n % 2], bucket, "key", version_id) == Deletion(version_id)
        for each in (backend, another):
            assert await get_with_record(each, bucket, "key") == (b"%d" % (n - 1) * 10, stored[n - 1])
            assert await version_ids(each, bucket, "key") == [record.version_id for record in reversed(stored[:n])]
            page = await each.list_objects(bucket, ListQuery())
            assert [(listed.key, listed.record) for listed in page.objects] == [("key", stored[n - 1])]
    assert await delete(backend, bucket, "key", NULL_VERSION) == Deletion("null")
    for each in (backend, another):
        error = await error_of(each.open_object(bucket, "key"))
        assert (error.code, error.headers) == ("NoSuchKey", {})
        assert await versions(each, bucket) == []
    await backend.delete_bucket(bucket)


@each_state
async def test_without_its_marker_an_object_is_back(
    backend: Backend, another: Backend, bucket: Bucket, state: str
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "dir/key", b"data", tags={"t": "1"})
    await set_versioning(backend, bucket, state)
    marker = await delete(backend, bucket, "dir/key")
    assert await delete(another, bucket, "dir/key", marker.version_id) == marker
    for each in (backend, another):
        assert await get_with_record(each, bucket, "dir/key") == (b"data", stored)
        assert await version_ids(each, bucket, "dir/key") == [stored.version_id]
        assert await keys(each, bucket) == ["dir/key"]


async def test_the_marker_before_is_current_again(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"first")
    below = await delete(backend, bucket, "key")
    above = await delete(backend, bucket, "key")
    await delete(backend, bucket, "key", above.version_id)
    error = await error_of(backend.open_object(bucket, "key"))
    assert (error.code, error.headers["x-amz-version-id"]) == ("NoSuchKey", below.version_id)
    second = await put(backend, bucket, "key", b"second")
    await delete(backend, bucket, "key", second.version_id)
    error = await error_of(backend.open_object(bucket, "key"))
    assert (error.code, error.headers["x-amz-version-id"]) == ("NoSuchKey", below.version_id)
    assert await keys(backend, bucket) == []


async def test_a_marker_in_the_middle_goes_and_nothing_else_changes(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    first = await put(backend, bucket, "key", b"first")
    marker = await delete(backend, bucket, "key")
    second = await put(backend, bucket, "key", b"second")
    assert await delete(backend, bucket, "key", marker.version_id) == marker
    assert await version_ids(backend, bucket, "key") == [second.version_id, first.version_id]
    assert await get(backend, bucket, "key") == b"second"


async def test_a_version_under_a_marker_goes_and_the_marker_stays(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "key", b"first")
    marker = await delete(backend, bucket, "key")
    await delete(backend, bucket, "key", stored.version_id)
    assert await version_ids(backend, bucket, "key") == [f"-{marker.version_id}"]
    await delete(backend, bucket, "key", marker.version_id)
    assert await versions(backend, bucket) == []
    await backend.delete_bucket(bucket)


async def test_deleting_a_version_that_is_not_there_succeeds(backend: Backend, bucket: Bucket) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "key")
    other = await put(backend, bucket, "other")
    for key, version_id in (("key", other.version_id), ("key", "null"), ("nothing", stored.version_id)):
        assert await delete(backend, bucket, key, version_id) == Deletion(version_id)
    assert await version_ids(backend, bucket, "key") == [stored.version_id]
    assert await version_ids(backend, bucket, "nothing") == []


async def test_a_reader_keeps_an_old_version_while_it_is_deleted(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    old = await put(backend, bucket, "key", LARGE)
    current = await put(backend, bucket, "key", LARGE[::-1])
    readers = [await backend.open_object(bucket, "key", record.version_id) for record in (old, current)]
    for record in (current, old):
        await delete(another, bucket, "key", record.version_id)
    await put(another, bucket, "key", b"later")
    assert [reader.record for reader in readers] == [old, current]
    assert [await read_all(reader) for reader in readers] == [LARGE, LARGE[::-1]]
    for reader in readers:
        await reader.close()


# --- keys beside one another
async def test_the_history_of_a_key_is_its_own(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """Also where the one key begins the other, and the one or the other is deleted."""
    names = ["a", "a/", "a/b", "a/b/c", "a//b", "ab"]
    await set_versioning(backend, bucket, "Enabled")
    stored = {name: [await put(backend, bucket, name, f"{name}{n}".encode()) for n in range(3)] for name in names}
    for gone in names:
        marker = await delete(backend, bucket, gone)
        assert await keys(another, bucket) == [name for name in in_order(names) if name != gone]
        for name in names:
            expected = [f"-{marker.version_id}"] * (name == gone) + [each.version_id for each in stored[name][::-1]]
            assert await version_ids(another, bucket, name) == expected
            for n, record in enumerate(stored[name]):
                found = await get_with_record(another, bucket, name, record.version_id)
                assert found == (f"{name}{n}".encode(), record)
        await delete(backend, bucket, gone, marker.version_id)
        assert await get(another, bucket, gone) == f"{gone}2".encode()


@pytest.mark.parametrize("names", AWKWARD.values(), ids=AWKWARD)
async def test_an_awkward_key_has_versions(
    backend: Backend, another: Backend, bucket: Bucket, names: list[str]
) -> None:
    for key in names:
        await put(backend, bucket, key, b"null")
    await set_versioning(backend, bucket, "Enabled")
    for key in names:
        second = await put(backend, bucket, key, b"second")
        marker = await delete(another, bucket, key)
        third = await put(backend, bucket, key, b"third")
        expected = [third.version_id, f"-{marker.version_id}", second.version_id, "null"]
        assert await version_ids(another, bucket, key) == expected, key
        assert await get(another, bucket, key) == b"third", key
        assert await get(another, bucket, key, second.version_id) == b"second", key
        assert await get(another, bucket, key, "null") == b"null", key
        await delete(backend, bucket, key, third.version_id)
        assert await error_code(another.stat_object(bucket, key)) == "NoSuchKey", key
        await delete(another, bucket, key, marker.version_id)
        assert await get_with_record(another, bucket, key) == (b"second", second), key
        await delete(another, bucket, key)
    assert await keys(backend, bucket) == []
    assert len(await versions(backend, bucket)) == 3 * len(names)
    await remove_versions(backend, bucket)
    await backend.delete_bucket(bucket)


async def test_all_awkward_keys_have_versions_side_by_side(backend: Backend, another: Backend, bucket: Bucket) -> None:
    names = list(chain.from_iterable(AWKWARD.values()))
    random.Random(2).shuffle(names)
    await set_versioning(backend, bucket, "Enabled")
    for n in range(2):
        for name in names:
            await put(backend, bucket, name, f"{n} {name}".encode())
    for name in names[::2]:
        await delete(another, bucket, name)
    found = await versions(another, bucket)
    expected = [name for name in in_order(names) for _ in range(3 if name in names[::2] else 2)]
    assert [each.key for each in found] == expected
    assert await keys(another, bucket) == in_order(names[1::2])
    for each in found:
        if not each.record.delete_marker:
            data = await get(another, bucket, each.key, each.record.version_id)
            assert data[2:] == each.key.encode()
