"""Conditions are decided against the object that is there when the write takes place, by every backend of a store."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from s3gate.core.conditions import WriteCondition
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from support.stores import Store, error_code, get, get_with_record, keys, put

ABSENT = WriteCondition(if_none_match="*")
DATA_ETAG = hashlib.md5(b"data").hexdigest()


def match(etag: str) -> WriteCondition:
    return WriteCondition(if_match=f'"{etag}"')


async def test_if_none_match_lets_a_first_object_in_and_no_second(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data", condition=ABSENT)
    assert await error_code(put(backend, bucket, "key", b"other", condition=ABSENT)) == "PreconditionFailed"
    assert await get_with_record(backend, bucket, "key") == (b"data", stored)


async def test_if_none_match_with_an_etag_refuses_only_that_one(backend: Backend, bucket: Bucket) -> None:
    condition = WriteCondition(if_none_match=f'"{DATA_ETAG}"')
    await put(backend, bucket, "key", b"data", condition=condition)
    assert await error_code(put(backend, bucket, "key", b"next", condition=condition)) == "PreconditionFailed"
    await put(backend, bucket, "key", b"other")
    await put(backend, bucket, "key", b"next", condition=condition)
    assert await get(backend, bucket, "key") == b"next"


@pytest.mark.parametrize("header", [f'"{DATA_ETAG}"', DATA_ETAG, "*", f'"x", "{DATA_ETAG}"'])
async def test_if_match_lets_a_write_of_the_version_it_names_in(backend: Backend, bucket: Bucket, header: str) -> None:
    await put(backend, bucket, "key", b"data")
    await put(backend, bucket, "key", b"next", condition=WriteCondition(if_match=header))
    assert await get(backend, bucket, "key") == b"next"


async def test_if_match_refuses_a_write_of_another_version(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data")
    assert await error_code(put(backend, bucket, "key", b"next", condition=match("0" * 32))) == "PreconditionFailed"
    assert await get_with_record(backend, bucket, "key") == (b"data", stored)


@pytest.mark.parametrize("header", ["*", f'"{DATA_ETAG}"'])
async def test_if_match_finds_no_key_where_there_is_no_object(backend: Backend, bucket: Bucket, header: str) -> None:
    condition = WriteCondition(if_match=header)
    assert await error_code(put(backend, bucket, "a/b", b"data", condition=condition)) == "NoSuchKey"
    assert await error_code(backend.delete_object(bucket, "a/b", condition)) == "NoSuchKey"
    assert await keys(backend, bucket) == []


async def test_a_condition_speaks_of_its_own_key(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "a", b"data")
    for key in ("a/b", "a/", "aa", "A"):
        assert await error_code(put(backend, bucket, key, b"x", condition=match(DATA_ETAG))) == "NoSuchKey"
        await put(backend, bucket, key, b"x", condition=ABSENT)
        assert await error_code(put(backend, bucket, key, b"y", condition=ABSENT)) == "PreconditionFailed"
    assert await error_code(put(backend, bucket, "a", b"y", condition=ABSENT)) == "PreconditionFailed"


async def test_the_etag_of_the_old_version_does_not_delete_the_new_one(backend: Backend, bucket: Bucket) -> None:
    old = await put(backend, bucket, "key", b"data")
    new = await put(backend, bucket, "key", b"next")
    assert await error_code(backend.delete_object(bucket, "key", match(old.etag))) == "PreconditionFailed"
    assert await get(backend, bucket, "key") == b"next"
    await backend.delete_object(bucket, "key", match(new.etag))
    assert await keys(backend, bucket) == []
    assert await error_code(backend.delete_object(bucket, "key", match(new.etag))) == "NoSuchKey"


@pytest.mark.parametrize("key", ["key", "new/dir/key", "a", "k" * 1024])
async def test_of_concurrent_first_writes_exactly_one_succeeds(
    backend: Backend, another: Backend, bucket: Bucket, key: str
) -> None:
    await put(backend, bucket, "a/b", b"makes the key 'a' stand beside keys below it")
    outcomes = await asyncio.gather(
        *[
            error_code(put([backend, another][n % 2], bucket, key, b"%d" % n, condition=ABSENT, tags={"n": str(n)}))
            for n in range(20)
        ]
    )
    assert sorted(outcomes) == ["PreconditionFailed"] * 19 + ["none"]
    data, record = await get_with_record(backend, bucket, key)
    assert data == b"%d" % outcomes.index("none")
    assert record.tags == {"n": data.decode()}


async def test_of_concurrent_deletions_of_one_version_exactly_one_succeeds(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    stored = await put(backend, bucket, "key", b"data")
    outcomes = await asyncio.gather(
        *[error_code([backend, another][n % 2].delete_object(bucket, "key", match(stored.etag))) for n in range(10)]
    )
    assert sorted(outcomes) == ["NoSuchKey"] * 9 + ["none"]


@pytest.mark.parametrize("key", ["counter", "a"])
async def test_compare_and_swap_loses_no_increment(store: Store, backend: Backend, bucket: Bucket, key: str) -> None:
    """While keys below `a` come, so that its place changes under the writers where a store has such places."""
    await put(backend, bucket, key, b"0")
    others = [store() for _ in range(3)]
    for each in others:
        await each.start()

    async def increment(each: Backend) -> None:
        while True:
            data, record = await get_with_record(each, bucket, key)
            next_value = b"%d" % (int(data) + 1)
            outcome = await error_code(put(each, bucket, key, next_value, condition=match(record.etag)))
            if outcome == "none":
                return
            assert outcome == "PreconditionFailed"

    async def count(each: Backend) -> None:
        for _ in range(5):
            await increment(each)

    async def neighbours() -> None:
        for n in range(10):
            await put(backend, bucket, f"a/{n}")

    await asyncio.gather(neighbours(), *[count(each) for each in [backend, *others] * 2])
    assert await get(backend, bucket, key) == b"40"
    for each in others:
        await each.stop()
