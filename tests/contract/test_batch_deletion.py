"""Many objects deleted at once: each by itself, answered in the order asked."""

from __future__ import annotations

from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.storage.backend import Deletion, Removal
from support.stores import error_code, get, keys, put, set_versioning, version_ids, versions


def told(results: list[Deletion | S3Error]) -> list[str]:
    """The code of each error, and "" for what was done."""
    return [result.code if isinstance(result, S3Error) else "" for result in results]


async def test_each_is_decided_by_itself_and_answered_in_the_order_asked(backend, bucket):
    etag = (await put(backend, bucket, "b/2", b"2")).etag
    for key in ("a", "b/1", "c//", "z/y/x"):
        await put(backend, bucket, key, b"1")
    removals = [
        Removal("z/y/x"),
        Removal("b/1", WriteCondition(if_match='"other"')),
        Removal("missing"),
        Removal("a"),
        Removal("b/2", WriteCondition(if_match=f'"{etag}"')),
        Removal("missing/too", WriteCondition(if_match="*")),
        Removal("c//"),
    ]
    results = await backend.delete_objects(bucket, removals)
    assert told(results) == ["", "PreconditionFailed", "", "", "", "NoSuchKey", ""]
    assert await keys(backend, bucket) == ["b/1"]


async def test_a_key_named_twice_is_deleted_in_that_order(backend, bucket):
    etag = (await put(backend, bucket, "key", b"1")).etag
    condition = WriteCondition(if_match=f'"{etag}"')
    results = await backend.delete_objects(bucket, [Removal("key", condition), Removal("o"), Removal("key", condition)])
    assert told(results) == ["", "", "NoSuchKey"]


async def test_nothing_asked_is_nothing_done(backend, bucket):
    assert await backend.delete_objects(bucket, []) == []


async def test_more_keys_and_directories_than_are_open_at_a_time(backend, bucket):
    names = [f"{n % 300}/{n}" for n in range(600)]
    for name in names:
        await put(backend, bucket, name)
    await put(backend, bucket, "299/stays", b"here")
    results = await backend.delete_objects(bucket, [Removal(name) for name in names])
    assert results == [Deletion()] * 600
    assert await keys(backend, bucket) == ["299/stays"]
    assert await get(backend, bucket, "299/stays") == b"here"


async def test_in_a_versioned_bucket_each_gets_a_marker_and_versions_go_for_good(backend, bucket):
    await set_versioning(backend, bucket, "Enabled")
    first = (await put(backend, bucket, "dir/a", b"1")).version_id
    second = (await put(backend, bucket, "dir/a", b"2")).version_id
    await put(backend, bucket, "dir/b", b"1")
    removals = [
        Removal("dir/b"),
        Removal("dir/a", version_id=second),
        Removal("none"),
        Removal("dir/a", version_id="x"),
    ]
    b, a, none, unknown = await backend.delete_objects(bucket, removals)

    assert (a, unknown) == (Deletion(second), Deletion("x"))
    assert isinstance(b, Deletion)
    assert isinstance(none, Deletion)
    assert b.delete_marker
    assert (await version_ids(backend, bucket, "dir/b"))[0] == f"-{b.version_id}"
    assert await version_ids(backend, bucket, "none") == [f"-{none.version_id}"]
    assert await version_ids(backend, bucket, "dir/a") == [first]
    assert await get(backend, bucket, "dir/a") == b"1"
    everything = [Removal(each.key, version_id=each.record.version_id) for each in await versions(backend, bucket)]
    assert told(await backend.delete_objects(bucket, everything)) == [""] * 4
    assert await versions(backend, bucket) == []


async def test_in_a_bucket_that_is_gone_nothing_is_deleted(backend, bucket):
    await backend.delete_bucket(bucket)
    assert await error_code(backend.delete_objects(bucket, [Removal("key")])) == "NoSuchBucket"
