"""Versions under concurrent writers, deletions and readers, of several backends of a store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import pytest
from msgspec.structs import replace

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend, Deletion, ListedVersion
from support.stores import (
    complete,
    error_code,
    get,
    get_with_record,
    keys,
    put,
    put_part,
    set_versioning,
    start_upload,
    versions,
)

T = TypeVar("T")


def check_order(found: Sequence[ListedVersion]) -> None:
    """What holds for the versions of one key at any moment: each once, newest first, the first one the latest."""
    sequences = [each.record.sequence for each in found]
    assert sequences == sorted(set(sequences), reverse=True)
    assert len({each.record.version_id for each in found}) == len(found)
    assert [each.latest for each in found] == [n == 0 for n in range(len(found))]


async def while_running(work: Sequence[Awaitable[T]], *checks: Awaitable[int], done: asyncio.Event) -> list[T]:
    """Run `work` with the checks beside it, each of which goes on until `done` and tells how often it looked."""
    beside = [asyncio.ensure_future(check) for check in checks]
    try:
        outcomes = await asyncio.gather(*work)
    finally:
        done.set()
    assert min(await asyncio.gather(*beside)) > 0
    return outcomes


@pytest.mark.parametrize("key", ["key", "new/dir/key", "a", "k" * 1024])
async def test_concurrent_puts_each_make_a_version(
    backend: Backend, another: Backend, bucket: Bucket, key: str
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "a/b", b"makes the key 'a' stand beside keys below it")
    stored = await asyncio.gather(
        *[put([backend, another][n % 2], bucket, key, b"%d" % n, tags={"n": str(n)}) for n in range(20)]
    )
    assert len({record.version_id for record in stored}) == 20
    found = [each for each in await versions(another, bucket) if each.key == key]
    check_order(found)
    newest_first = sorted(stored, key=lambda record: record.version_id)
    assert [each.record for each in found] == newest_first
    for n, record in enumerate(stored):
        assert await get_with_record(backend, bucket, key, record.version_id) == (b"%d" % n, record)
    data, record = await get_with_record(another, bucket, key)
    assert record == newest_first[0]
    assert record.tags == {"n": data.decode()}


async def test_concurrent_puts_and_deletes_each_leave_their_version(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")

    async def step(n: int) -> str:
        each = [backend, another][n // 2 % 2]
        if n % 2:
            return (await put(each, bucket, "key", b"%d" % n)).version_id
        return "-" + (await each.delete_object(bucket, "key", NO_CONDITION)).version_id

    given = await asyncio.gather(*[step(n) for n in range(30)])
    found = await versions(backend, bucket)
    check_order(found)
    told = ["-" * each.record.delete_marker + each.record.version_id for each in found]
    assert sorted(told) == sorted(given)
    for each in (backend, another):
        if found[0].record.delete_marker:
            assert await error_code(each.stat_object(bucket, "key")) == "NoSuchKey"
            assert await keys(each, bucket) == []
        else:
            assert await each.stat_object(bucket, "key") == found[0].record
            assert await keys(each, bucket) == ["key"]


async def test_where_suspended_concurrent_writes_leave_one_version_null(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await put(backend, bucket, "key", b"before")
    await set_versioning(backend, bucket, "Enabled")
    kept = [await put(backend, bucket, "key", b"kept") for _ in range(2)]
    await set_versioning(backend, bucket, "Suspended")

    async def step(n: int) -> None:
        each = [backend, another][n // 2 % 2]
        if n % 3:
            await put(each, bucket, "key", b"%d" % n)
        else:
            assert await each.delete_object(bucket, "key", NO_CONDITION) == Deletion("null", delete_marker=True)

    await asyncio.gather(*[step(n) for n in range(20)])
    found = await versions(another, bucket)
    check_order(found)
    assert [each.record.version_id for each in found] == ["null", kept[1].version_id, kept[0].version_id]


async def test_of_concurrent_first_writes_over_a_marker_exactly_one_succeeds(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"old")
    await backend.delete_object(bucket, "key", NO_CONDITION)
    absent = WriteCondition(if_none_match="*")
    outcomes = await asyncio.gather(
        *[error_code(put([backend, another][n % 2], bucket, "key", b"%d" % n, condition=absent)) for n in range(20)]
    )
    assert sorted(outcomes) == ["PreconditionFailed"] * 19 + ["none"]
    assert await get(backend, bucket, "key") == b"%d" % outcomes.index("none")
    assert len(await versions(backend, bucket)) == 3


async def test_concurrent_deletions_of_a_version_all_succeed(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = [await put(backend, bucket, "key", b"%d" % n) for n in range(6)]
    gone = [record.version_id for record in stored[1:] for _ in range(3)]
    await asyncio.gather(
        *[
            [backend, another][n % 2].delete_object(bucket, "key", NO_CONDITION, version_id)
            for n, version_id in enumerate(gone)
        ]
    )
    for each in (backend, another):
        assert [found.record for found in await versions(each, bucket)] == [stored[0]]
        assert await get_with_record(each, bucket, "key") == (b"0", stored[0])


async def test_of_concurrent_undeletes_the_object_comes_back_once(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    stored = await put(backend, bucket, "dir/key", b"data")
    for _ in range(10):
        marker = await backend.delete_object(bucket, "dir/key", NO_CONDITION)
        await asyncio.gather(
            *[
                [backend, another][n % 2].delete_object(bucket, "dir/key", NO_CONDITION, marker.version_id)
                for n in range(4)
            ]
        )
        assert [found.record for found in await versions(another, bucket)] == [stored]
        assert await get_with_record(another, bucket, "dir/key") == (b"data", stored)


async def test_concurrent_puts_parts_and_copies_of_one_key_all_stay(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    first = await put(backend, bucket, "key", b"first")

    async def join(n: int) -> str:
        each = [backend, another][n % 2]
        upload = await start_upload(each, bucket, "key")
        part = await put_part(each, bucket, upload, 1, b"part")
        return (await complete(each, bucket, upload, [part])).version_id

    async def copy(n: int) -> str:
        each = [backend, another][n % 2]
        reader = await each.open_object(bucket, "key", first.version_id)
        async with each.stage(bucket) as stage:
            await stage.copy(reader, 0, reader.record.size)
            record = await each.commit_object(bucket, stage, "key", reader.record, NO_CONDITION)
        await reader.close()
        return record.version_id

    async def write(n: int) -> str:
        return (await put([backend, another][n % 2], bucket, "key", b"put")).version_id

    given = await asyncio.gather(*[work(n) for work in (join, copy, write) for n in range(6)])
    found = await versions(backend, bucket)
    check_order(found)
    assert {each.record.version_id for each in found} == {first.version_id, *given}
    data = sorted([await get(another, bucket, "key", each) for each in given])
    assert data == [b"first"] * 6 + [b"part"] * 6 + [b"put"] * 6


# --- readers, who take no lock
async def test_what_was_acknowledged_is_in_every_later_listing(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """While versions and markers come, and some go for good; `a` has keys below it, so that its place may change."""
    await set_versioning(backend, bucket, "Enabled")
    base = await put(backend, bucket, "a", b"base")
    there, done = {base.version_id}, asyncio.Event()

    async def write(each: Backend, n: int) -> None:
        for m in range(8):
            stored = await put(each, bucket, "a", b"%d" % m)
            marker = await each.delete_object(bucket, "a", NO_CONDITION)
            there.update([stored.version_id, marker.version_id])
            await put(each, bucket, f"a/{n}", b"below")
            gone = [stored.version_id, marker.version_id][m % 2]
            there.discard(gone)
            await each.delete_object(bucket, "a", NO_CONDITION, gone)

    async def look(each: Backend) -> int:
        count = 0
        while not done.is_set():
            before = set(there)
            found = [listed for listed in await versions(each, bucket) if listed.key == "a"]
            check_order(found)
            assert before & there <= {listed.record.version_id for listed in found}
            count += 1
            await asyncio.sleep(0)
        return count

    work = [write([backend, another][n % 2], n) for n in range(4)]
    await while_running(work, look(backend), look(another), done=done)
    assert {each.record.version_id for each in await versions(backend, bucket) if each.key == "a"} == there


async def test_a_version_is_always_found_by_its_id_wherever_it_moves(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """It becomes an old one, goes under a marker, and comes back as the current one."""
    await set_versioning(backend, bucket, "Enabled")
    kept = await put(backend, bucket, "key", b"kept", tags={"t": "long" * 3000})
    done = asyncio.Event()

    async def move(each: Backend) -> None:
        for _ in range(15):
            above = await put(each, bucket, "key", b"above")
            await each.delete_object(bucket, "key", NO_CONDITION, above.version_id)
            marker = await each.delete_object(bucket, "key", NO_CONDITION)
            await each.delete_object(bucket, "key", NO_CONDITION, marker.version_id)

    async def look(each: Backend) -> int:
        count = 0
        while not done.is_set():
            assert await get_with_record(each, bucket, "key", kept.version_id) == (b"kept", kept)
            assert await each.stat_object(bucket, "key", kept.version_id) == kept
            count += 1
            await asyncio.sleep(0)
        return count

    await while_running([move(backend), move(another)], look(backend), look(another), done=done)
    assert [each.record for each in await versions(backend, bucket)] == [kept]


async def test_a_current_version_is_always_found_while_newer_ones_come_and_go(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """Nobody sees the moment between the version that goes and the one that was before it."""
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"kept")
    done = asyncio.Event()

    async def move(each: Backend) -> None:
        for n in range(20):
            above = await put(each, bucket, "key", b"above" * (n + 1))
            await each.delete_object(bucket, "key", NO_CONDITION, above.version_id)

    async def look(each: Backend) -> int:
        count = 0
        while not done.is_set():
            data, record = await get_with_record(each, bucket, "key")
            assert (len(data), hashlib.md5(data).hexdigest()) == (record.size, record.etag)
            assert await keys(each, bucket) == ["key"]
            count += 1
            await asyncio.sleep(0)
        return count

    await while_running([move(backend), move(another)], look(backend), look(another), done=done)
    assert await get(another, bucket, "key") == b"kept"


async def test_under_markers_an_object_is_never_seen_again(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """While more markers come and go above the first one."""
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"data")
    await backend.delete_object(bucket, "key", NO_CONDITION)
    done = asyncio.Event()

    async def mark(each: Backend) -> None:
        for _ in range(15):
            marker = await each.delete_object(bucket, "key", NO_CONDITION)
            await each.delete_object(bucket, "key", NO_CONDITION, marker.version_id)

    async def look(each: Backend) -> int:
        count = 0
        while not done.is_set():
            assert await error_code(each.stat_object(bucket, "key")) == "NoSuchKey"
            assert await keys(each, bucket) == []
            count += 1
            await asyncio.sleep(0)
        return count

    await while_running([mark(backend), mark(another)], look(backend), look(another), done=done)
    assert len(await versions(backend, bucket)) == 2


async def test_no_concurrent_update_of_a_version_that_moves_is_lost(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await set_versioning(backend, bucket, "Enabled")
    kept = await put(backend, bucket, "key", b"kept")

    async def tag(n: int) -> None:
        each = [backend, another][n % 2]
        await each.update_object(
            bucket, "key", lambda record: replace(record, tags={**record.tags, str(n): "x"}), kept.version_id
        )

    async def move(n: int) -> None:
        each = [backend, another][n % 2]
        above = await put(each, bucket, "key", b"above")
        await each.delete_object(bucket, "key", NO_CONDITION, above.version_id)

    await asyncio.gather(*[work(n) for n in range(15) for work in (tag, move)])
    data, record = await get_with_record(another, bucket, "key", kept.version_id)
    assert data == b"kept"
    assert record.tags == {str(n): "x" for n in range(15)}


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
async def test_a_bucket_is_never_deleted_over_a_marker_that_was_acknowledged(
    backend: Backend, another: Backend, bucket: Bucket, state: str
) -> None:
    for n in range(10):
        here = await backend.create_bucket(f"bucket-{n}", bucket.owner, bucket.region)
        await set_versioning(backend, here, state)
        marked, deleted = await asyncio.gather(
            error_code(backend.delete_object(here, "dir/key", NO_CONDITION)), error_code(another.delete_bucket(here))
        )
        assert (marked, deleted) in (("none", "BucketNotEmpty"), ("NoSuchBucket", "none"))
        if marked == "none":
            assert len(await versions(another, here)) == 1
