"""A process that was stopped so long under a lock that another one got it looks again before it changes anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem import reading
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.objects import KEYS
from support.forks import in_child
from support.mutations import LARGE, on
from support.stores import (
    REGION,
    delete,
    error_code,
    get,
    get_with_record,
    keys,
    put,
    set_versioning,
    version_ids,
)

KEY = "dir/key"


@pytest.fixture(params=["xattr", "sidecar"])
def backend(request, root, runner):
    backend = FilesystemBackend(str(root), durability="none", region=REGION, metadata=request.param)
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def bucket(backend, runner) -> Bucket:
    made: Bucket = runner.run(backend.create_bucket("bucket", ROOT, REGION))
    return made


@pytest.fixture
def stopped(backend, root, monkeypatch) -> Callable[[Callable[[Any, Bucket], Awaitable[object]]], list[str]]:
    """Arms a stop: when the key is next looked at under its lock, the lock is lost and another process works on it."""
    happened: list[str] = []

    def arm(other: Callable[[Any, Bucket], Awaitable[object]]) -> list[str]:
        async def work(another: Any) -> None:
            await other(another, await another.find_bucket("bucket"))

        def stopping(look: Callable[..., Any]) -> Callable[..., Any]:
            def stop(*arguments: Any, **options: Any) -> Any:
                found = look(*arguments, **options)
                if not happened:
                    happened.append("stopped")
                    locks = backend._handles["bucket"].locks._locks
                    slot = locks.slot(KEYS, KEY.encode())
                    locks.unlock(slot)  # the server has given it to another
                    assert in_child(lambda: on(root, work))[0] == 0
                    clock = time.clock_gettime
                    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + 60)
                return found

            return stop

        monkeypatch.setattr(reading, "open_live", stopping(reading.open_live))
        monkeypatch.setattr(reading, "open_locked", stopping(reading.open_locked))
        return happened

    return arm


async def test_a_write_decides_its_condition_anew(backend, bucket, stopped):
    happened = stopped(lambda other, there: put(other, there, KEY, b"other"))
    writing = put(backend, bucket, KEY, b"mine", condition=WriteCondition(if_none_match="*"))
    assert await error_code(writing) == "PreconditionFailed"
    assert happened
    assert await get(backend, bucket, KEY) == b"other"


async def test_a_write_without_a_condition_comes_after_the_other(backend, bucket, stopped):
    happened = stopped(lambda other, there: put(other, there, KEY, b"other", **LARGE))
    await put(backend, bucket, KEY, b"mine", **LARGE)
    assert happened
    assert await get(backend, bucket, KEY) == b"mine"


async def test_no_version_is_lost(backend, bucket, stopped):
    await set_versioning(backend, bucket, "Enabled")
    first = await put(backend, bucket, KEY, b"first")
    happened = stopped(lambda other, there: put(other, there, KEY, b"other"))
    mine = await put(backend, bucket, KEY, b"mine")
    assert happened
    newest, middle, oldest = await version_ids(backend, bucket, KEY)
    assert (newest, oldest) == (mine.version_id, first.version_id)
    assert [await get(backend, bucket, KEY, each) for each in (newest, middle, oldest)] == [b"mine", b"other", b"first"]


async def test_a_conditional_delete_spares_the_newer_object(backend, bucket, stopped):
    etag = (await put(backend, bucket, KEY, b"first")).etag
    happened = stopped(lambda other, there: put(other, there, KEY, b"other"))
    deleting = backend.delete_object(bucket, KEY, WriteCondition(if_match=f'"{etag}"'))
    assert await error_code(deleting) == "PreconditionFailed"
    assert happened
    assert await get(backend, bucket, KEY) == b"other"


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
async def test_a_delete_marker_comes_above_the_newer_version(state, backend, bucket, stopped):
    await set_versioning(backend, bucket, "Enabled")
    first = await put(backend, bucket, KEY, b"first")
    await set_versioning(backend, bucket, state)
    happened = stopped(lambda other, there: put(other, there, KEY, b"other"))
    marker = await delete(backend, bucket, KEY)
    assert happened
    assert await keys(backend, bucket) == []
    found = await version_ids(backend, bucket, KEY)
    assert found[0] == f"-{marker.version_id}"
    assert found[-1] == first.version_id
    if state == "Enabled":  # the marker "null" takes the place of a version "null"
        assert await get(backend, bucket, KEY, found[1]) == b"other"


async def test_a_version_that_is_no_longer_the_current_one_is_removed_from_the_history(backend, bucket, stopped):
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, KEY, b"first")
    second = await put(backend, bucket, KEY, b"second")
    happened = stopped(lambda other, there: put(other, there, KEY, b"other"))
    await backend.delete_object(bucket, KEY, NO_CONDITION, second.version_id)
    assert happened
    assert [await get(backend, bucket, KEY, each) for each in await version_ids(backend, bucket, KEY)] == [
        b"other",
        b"first",
    ]


@pytest.mark.parametrize("fields", [{}, LARGE], ids=["small", "large"])
async def test_tags_go_to_the_object_that_is_there(fields, backend, bucket, stopped):
    await put(backend, bucket, KEY, b"first", **fields)
    happened = stopped(lambda other, there: put(other, there, KEY, b"other", **fields))
    await backend.update_object(bucket, KEY, lambda record: replace(record, tags={"a": "b"}))
    assert happened
    data, record = await get_with_record(backend, bucket, KEY)
    assert (data, record.tags) == (b"other", {"a": "b"})
    assert record.size == len(data)


async def test_an_object_that_becomes_a_directory_is_moved_whatever_it_is_by_then(backend, bucket, stopped):
    await put(backend, bucket, "dir", b"first")
    happened = stopped(lambda other, there: put(other, there, "dir", b"other"))
    await put(backend, bucket, KEY, b"mine")
    assert happened
    assert (await get(backend, bucket, "dir"), await get(backend, bucket, KEY)) == (b"other", b"mine")


def test_a_lock_is_not_taken_for_lost_without_cause(backend, bucket, runner):
    async def work() -> None:
        await asyncio.gather(*(put(backend, bucket, KEY, b"%d" % n) for n in range(20)))

    runner.run(work())
