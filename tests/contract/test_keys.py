"""Every valid key names an object of its own."""

from __future__ import annotations

import asyncio
import random
from itertools import chain, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from support.awkward_keys import AWKWARD
from support.stores import ALICE, REGION, error_code, get, in_order, keys, put


@pytest.mark.parametrize("names", AWKWARD.values(), ids=AWKWARD)
async def test_a_valid_key_names_an_object(backend: Backend, bucket: Bucket, names: list[str]) -> None:
    for key in names:
        assert await error_code(backend.stat_object(bucket, key)) == "NoSuchKey", key
        stored = await put(backend, bucket, key, b"one")
        assert await backend.stat_object(bucket, key) == stored, key
        await put(backend, bucket, key, b"two")
        assert await get(backend, bucket, key) == b"two", key
        assert await keys(backend, bucket) == [key]
        await backend.update_object(bucket, key, lambda record: record)
        assert await get(backend, bucket, key) == b"two", key
        await backend.delete_object(bucket, key, NO_CONDITION)
        assert await error_code(backend.open_object(bucket, key)) == "NoSuchKey", key
        assert await keys(backend, bucket) == [], key
    await backend.delete_bucket(bucket)


async def test_all_awkward_keys_stand_side_by_side(backend: Backend, another: Backend, bucket: Bucket) -> None:
    names = list(chain.from_iterable(AWKWARD.values()))
    random.Random(1).shuffle(names)
    for name in names:
        await put(backend, bucket, name, name.encode())
    assert await keys(another, bucket) == in_order(names)
    for name in names:
        assert await get(another, bucket, name) == name.encode()
    for name in names[::2]:
        await another.delete_object(bucket, name, NO_CONDITION)
    assert await keys(backend, bucket) == in_order(names[1::2])
    for name in names[1::2]:
        assert await get(backend, bucket, name) == name.encode()
        await backend.delete_object(bucket, name, NO_CONDITION)
    await backend.delete_bucket(bucket)


@pytest.mark.parametrize("names", list(permutations(["a", "a/", "a/b", "a/b/c"])), ids=" ".join)
async def test_a_key_and_keys_below_it_stand_side_by_side(
    backend: Backend, bucket: Bucket, names: tuple[str, ...]
) -> None:
    """In whatever order they come, are replaced and go."""
    for name in names:
        await put(backend, bucket, name, b"old " + name.encode())
    for name in names:
        await put(backend, bucket, name, name.encode())
    left = list(names)
    for name in names:
        assert await keys(backend, bucket) == in_order(left)
        for each in left:
            assert await get(backend, bucket, each) == each.encode()
        await backend.delete_object(bucket, name, NO_CONDITION)
        left.remove(name)
        assert await error_code(backend.open_object(bucket, name)) == "NoSuchKey"
    assert await keys(backend, bucket) == []


async def test_a_key_may_take_the_place_of_those_that_were_below_it(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "a/b/c", b"below")
    await backend.delete_object(bucket, "a/b/c", NO_CONDITION)
    assert await error_code(backend.stat_object(bucket, "a")) == "NoSuchKey"
    assert await error_code(backend.stat_object(bucket, "a/b")) == "NoSuchKey"
    await put(backend, bucket, "a", b"above")
    assert await keys(backend, bucket) == ["a"]
    assert await get(backend, bucket, "a") == b"above"
    assert await error_code(backend.stat_object(bucket, "a/b/c")) == "NoSuchKey"
    await backend.delete_object(bucket, "a/b/c", NO_CONDITION)
    assert await get(backend, bucket, "a") == b"above"


@pytest.mark.parametrize("key", ["a", "a/b", "a/b/c/", "a/b/c/d", "a/b/cd", "/a/b/c", "a//b/c", "A/b/c", "a/b/./c"])
async def test_a_key_near_that_of_an_object_is_no_object(backend: Backend, bucket: Bucket, key: str) -> None:
    await put(backend, bucket, "a/b/c", b"data")
    assert await error_code(backend.open_object(bucket, key)) == "NoSuchKey"
    assert await error_code(backend.stat_object(bucket, key)) == "NoSuchKey"
    assert await error_code(backend.update_object(bucket, key, lambda record: record)) == "NoSuchKey"
    await backend.delete_object(bucket, key, NO_CONDITION)
    assert await keys(backend, bucket) == ["a/b/c"]
    assert await get(backend, bucket, "a/b/c") == b"data"


async def test_long_keys_that_differ_in_their_last_character_are_two_objects(backend: Backend, bucket: Bucket) -> None:
    for end in "xy":
        await put(backend, bucket, "k" * 1023 + end, end.encode())
    for end in "xy":
        assert await get(backend, bucket, "k" * 1023 + end) == end.encode()


VALID_KEYS = st.lists(
    st.text(st.sampled_from("ab/.%+=#~!&é\0\\\U0001f600") | st.characters(codec="utf-8"), min_size=1, max_size=12)
    | st.lists(st.sampled_from(["", ".", "..", "a", ".s3gate", ".s3gate%", ".s3gate+a", "é" * 130]), min_size=2).map(
        lambda components: "/".join(components)[:500]
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


def test_any_set_of_keys_is_kept_apart(runner: asyncio.Runner, backend: Backend) -> None:
    async def check(names: list[str]) -> None:
        bucket = await backend.create_bucket("any-keys", ALICE, REGION)
        for name in names:
            await put(backend, bucket, name, name.encode())
        assert await keys(backend, bucket) == in_order(names)
        for name in names:
            assert await get(backend, bucket, name) == name.encode()
            await backend.delete_object(bucket, name, NO_CONDITION)
        await backend.delete_bucket(bucket)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(VALID_KEYS)
    def each(names: list[str]) -> None:
        runner.run(check(names))

    each()
