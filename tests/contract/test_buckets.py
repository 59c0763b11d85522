"""What a store owes on buckets."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket, Owner
from s3gate.storage.backend import Backend, ListQuery
from support.stores import ALICE, BOB, REGION, complete, error_code, get, keys, new_upload, put, put_part, start_upload


async def test_a_new_bucket_is_found_as_it_was_made(backend: Backend, another: Backend) -> None:
    made = await backend.create_bucket("photos", ALICE, REGION)
    assert (made.name, made.owner, made.region) == ("photos", ALICE, REGION)
    assert made.created_ns > 0
    assert await backend.find_bucket("photos") == made
    assert await another.find_bucket("photos") == made
    assert await another.list_buckets() == [made]


async def test_an_owner_may_have_any_name(backend: Backend) -> None:
    owner = Owner("c" * 64, 'Jürgen "Jo" <jo@example.org> \U0001f600')
    await backend.create_bucket("photos", owner, REGION)
    assert (await backend.find_bucket("photos")).owner == owner


async def test_a_second_creation_tells_whether_the_bucket_is_ones_own(backend: Backend, another: Backend) -> None:
    made = await backend.create_bucket("photos", ALICE, REGION)
    assert await error_code(another.create_bucket("photos", ALICE, "us-west-2")) == "BucketAlreadyOwnedByYou"
    assert await error_code(another.create_bucket("photos", BOB, REGION)) == "BucketAlreadyExists"
    assert await backend.find_bucket("photos") == made


async def test_of_concurrent_creations_exactly_one_succeeds(backend: Backend, another: Backend) -> None:
    owners = [ALICE, BOB] * 10
    made = await asyncio.gather(
        *[
            [backend, another][n // 2 % 2].create_bucket("photos", owner, REGION)  # each backend for each owner
            for n, owner in enumerate(owners)
        ],
        return_exceptions=True,
    )
    winners = [bucket for bucket in made if isinstance(bucket, Bucket)]
    assert len(winners) == 1
    assert await backend.find_bucket("photos") == winners[0]
    for owner, outcome in zip(owners, made, strict=True):
        if outcome is not winners[0]:
            expected = "BucketAlreadyOwnedByYou" if owner == winners[0].owner else "BucketAlreadyExists"
            assert getattr(outcome, "code", outcome) == expected


async def test_buckets_are_listed_in_byte_order(backend: Backend) -> None:
    names = ["b0", "b-0", "b.0", "b00", "a99", "zzz", "0ab"]
    names = [f"{name}xx" for name in names]
    for name in names:
        await backend.create_bucket(name, ALICE, REGION)
    assert [bucket.name for bucket in await backend.list_buckets()] == sorted(names)


ANY_NAMES = [
    *("", ".", "..", "/", "a/b", "../bucket", "bucket/", "/bucket", ".s3gate", ".s3gate/x", "x" * 300, "x" * 5000),
    *("\0", "bucket\0", "bucket\n", "bücket", "\U0001f600", "BUCKET", "buckets", "bucket%00", "*", "~", "lost+found"),
]


async def test_any_name_may_be_asked_for(backend: Backend, bucket: Bucket) -> None:
    for name in ANY_NAMES:
        assert await error_code(backend.find_bucket(name)) == "NoSuchBucket", name
    assert await backend.find_bucket("bucket") == bucket


async def test_a_deleted_bucket_is_gone_everywhere(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await backend.delete_bucket(bucket)
    for each in (backend, another):
        assert await error_code(each.find_bucket("bucket")) == "NoSuchBucket"
        assert await error_code(each.delete_bucket(bucket)) == "NoSuchBucket"
        assert await each.list_buckets() == []


async def test_a_bucket_with_an_object_is_not_deleted(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "deep/down/below", b"data")
    assert await error_code(backend.delete_bucket(bucket)) == "BucketNotEmpty"
    assert await backend.find_bucket("bucket") == bucket
    assert await get(backend, bucket, "deep/down/below") == b"data"
    await backend.delete_object(bucket, "deep/down/below", NO_CONDITION)
    await backend.delete_bucket(bucket)
    assert await error_code(backend.find_bucket("bucket")) == "NoSuchBucket"


@pytest.mark.parametrize("key", ["a/", ".s3gate", ".s3gate/x", "..", "/", "lost+found", "k" * 1024])
async def test_an_object_of_an_awkward_name_keeps_its_bucket(backend: Backend, bucket: Bucket, key: str) -> None:
    await put(backend, bucket, key)
    assert await error_code(backend.delete_bucket(bucket)) == "BucketNotEmpty"
    assert await keys(backend, bucket) == [key]


async def test_uploads_go_with_their_bucket(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, b"part")
    await backend.delete_bucket(bucket)
    assert await error_code(backend.find_upload(bucket, "key", upload.id)) in ("NoSuchUpload", "NoSuchBucket")

    again = await backend.create_bucket("bucket", BOB, "us-west-2")
    assert (again.owner, again.region) == (BOB, "us-west-2")
    assert await backend.list_uploads(again, "") == []
    assert await keys(backend, again) == []
    assert await error_code(backend.find_upload(again, "key", upload.id)) == "NoSuchUpload"


async def test_work_on_a_bucket_that_was_deleted_meanwhile_finds_no_bucket(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    await another.delete_bucket(bucket)
    assert await error_code(put(backend, bucket, "key", b"data")) == "NoSuchBucket"
    assert await error_code(backend.open_object(bucket, "key")) == "NoSuchBucket"
    assert await error_code(backend.stat_object(bucket, "key")) == "NoSuchBucket"
    assert await error_code(backend.update_object(bucket, "key", lambda record: record)) == "NoSuchBucket"
    assert await error_code(backend.delete_object(bucket, "key", NO_CONDITION)) == "NoSuchBucket"
    assert await error_code(backend.list_objects(bucket, ListQuery())) == "NoSuchBucket"
    assert await error_code(backend.create_upload(bucket, new_upload("key"))) == "NoSuchBucket"
    assert await error_code(backend.list_uploads(bucket, "")) == "NoSuchBucket"
    ended = ("NoSuchBucket", "NoSuchUpload")
    assert await error_code(backend.list_parts(bucket, upload)) in ended
    assert await error_code(put_part(backend, bucket, upload, 1, b"part")) in ended
    assert await error_code(complete(backend, bucket, upload, [part])) in ended
    assert await error_code(backend.abort_upload(bucket, upload)) in ended
    assert await error_code(backend.find_bucket("bucket")) == "NoSuchBucket"


async def test_a_deletion_never_takes_an_object_that_was_acknowledged(backend: Backend, another: Backend) -> None:
    """Of a put and a deletion of its bucket at the same time exactly one succeeds."""
    for n in range(20):
        name = f"bucket-{n}"
        bucket = await backend.create_bucket(name, ALICE, REGION)
        stored, deleted = await asyncio.gather(
            error_code(put(backend, bucket, "dir/key", b"data")), error_code(another.delete_bucket(bucket))
        )
        if stored == "none":
            assert deleted == "BucketNotEmpty"
            assert await get(backend, bucket, "dir/key") == b"data"
        else:
            assert (stored, deleted) == ("NoSuchBucket", "none")
            assert await error_code(backend.find_bucket(name)) == "NoSuchBucket"


async def test_equal_keys_of_two_buckets_are_two_objects(backend: Backend, bucket: Bucket) -> None:
    other = await backend.create_bucket("other", ALICE, REGION)
    await put(backend, bucket, "key", b"one")
    await put(backend, other, "key", b"two")
    await backend.delete_object(bucket, "key", NO_CONDITION)
    assert await get(backend, other, "key") == b"two"
    assert await keys(backend, bucket) == []
