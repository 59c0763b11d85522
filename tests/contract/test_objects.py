"""What a store owes on objects: their bytes, whole, and nothing of those that were not committed."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from s3gate.core.checksums import Buffer
from s3gate.core.conditions import NO_CONDITION
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, Bucket
from s3gate.storage.backend import Backend
from support.stores import (
    ALICE,
    REGION,
    Store,
    error_code,
    get,
    get_with_record,
    keys,
    put,
    read_all,
    record_of,
    unchanged,
)

MIB = 1024 * 1024
# No two blocks of it are equal, so that a piece in the wrong place shows.
LARGE = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(3 * MIB // 32)) + b"tail"


async def test_an_object_is_read_as_it_was_written(backend: Backend, another: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data")
    for each in (backend, another):
        assert await get_with_record(each, bucket, "key") == (b"data", stored)
        assert await each.stat_object(bucket, "key") == stored


async def test_an_object_may_be_empty(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "written", b"")
    async with backend.stage(bucket) as stage:
        await backend.commit_object(bucket, stage, "unwritten", record_of(b""), NO_CONDITION)
    for key in ("written", "unwritten"):
        data, record = await get_with_record(backend, bucket, key)
        assert (data, record.size, record.etag) == (b"", 0, hashlib.md5(b"").hexdigest())
    assert await keys(backend, bucket) == ["unwritten", "written"]


async def test_a_second_put_replaces_bytes_and_record(backend: Backend, bucket: Bucket) -> None:
    first = await put(backend, bucket, "key", LARGE, user_metadata={"n": "1"}, tags={"t": "1"})
    second = await put(backend, bucket, "key", b"short")
    assert await get_with_record(backend, bucket, "key") == (b"short", second)
    assert (second.user_metadata, second.tags) == ({}, {})
    assert second.modified_ns >= first.modified_ns


async def test_an_object_of_equal_size_and_time_is_still_another(backend: Backend, bucket: Bucket) -> None:
    """Replaced as fast as can be, each version shows its own record."""
    for n in range(50):
        data = b"%04d" % n
        await put(backend, bucket, "key", data, user_metadata={"n": str(n)})
        found, record = await get_with_record(backend, bucket, "key")
        assert (found, record.user_metadata, record.etag) == (data, {"n": str(n)}, hashlib.md5(data).hexdigest())


async def test_the_store_sets_time_version_and_sequence(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data", modified_ns=5, version_id="mine", sequence=7)
    assert stored.modified_ns > 1_600_000_000 * 10**9
    assert stored.version_id == NULL_VERSION


async def test_a_deleted_object_is_gone(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    await another.delete_object(bucket, "key", NO_CONDITION)
    for each in (backend, another):
        assert await error_code(each.open_object(bucket, "key")) == "NoSuchKey"
        assert await error_code(each.stat_object(bucket, "key")) == "NoSuchKey"
        assert await keys(each, bucket) == []


async def test_deleting_what_is_not_there_succeeds(backend: Backend, bucket: Bucket) -> None:
    await backend.delete_object(bucket, "key", NO_CONDITION)
    await backend.delete_object(bucket, "deep/down/key", NO_CONDITION)


async def test_a_deleted_key_starts_anew(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data", user_metadata={"n": "1"}, tags={"t": "1"})
    await backend.delete_object(bucket, "key", NO_CONDITION)
    record = await put(backend, bucket, "key", b"data")
    assert (record.user_metadata, record.tags) == ({}, {})
    assert await backend.stat_object(bucket, "key") == record


async def test_objects_outlive_their_backend(store: Store, backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data")
    await backend.stop()
    later = store()
    await later.start()
    assert await later.find_bucket("bucket") == bucket
    assert await get_with_record(later, bucket, "key") == (b"data", stored)
    await later.stop()
    await backend.start()


# --- reading
@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 0), (0, 1), (5, 10), (MIB - 1, 2), (len(LARGE) - 1, 1), (len(LARGE), 0), (0, len(LARGE)), (77, 2 * MIB + 5)],
)
async def test_a_range_gives_its_bytes_in_one_piece_and_in_many(
    backend: Backend, bucket: Bucket, start: int, length: int
) -> None:
    await put(backend, bucket, "key", LARGE)
    reader = await backend.open_object(bucket, "key")
    expected = LARGE[start : start + length]
    assert bytes(await reader.read(start, length)) == expected
    pieces = [bytes(piece) async for piece in reader.chunks(start, length)]
    assert b"".join(pieces) == expected
    assert all(len(piece) <= MIB for piece in pieces)
    await reader.close()


async def test_bytes_that_are_not_there_are_an_error(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    reader = await backend.open_object(bucket, "key")

    async def drain() -> None:
        async for _ in reader.chunks(2, 3):
            pass

    assert await error_code(reader.read(2, 3)) == "InternalError"
    assert await error_code(drain()) == "InternalError"
    await reader.close()


async def test_a_reader_closes_twice(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    reader = await backend.open_object(bucket, "key")
    await reader.close()
    await reader.close()
    assert await get(backend, bucket, "key") == b"data"


async def test_a_reader_keeps_its_version_while_the_key_moves_on(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    first = await put(backend, bucket, "key", LARGE, tags={"n": "1"})
    reader = await backend.open_object(bucket, "key")
    assert bytes(await reader.read(0, 10)) == LARGE[:10]

    await another.update_object(bucket, "key", lambda record: record_of(LARGE, tags={"n": "2"}))
    assert await read_all(reader) == LARGE
    await another.delete_object(bucket, "key", NO_CONDITION)
    assert await read_all(reader) == LARGE
    await put(another, bucket, "key", b"second")
    assert await read_all(reader) == LARGE
    assert reader.record == first
    await reader.close()
    assert await get(backend, bucket, "key") == b"second"


async def test_readers_see_one_version_whole_while_writers_replace_it(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await put(backend, bucket, "key", b"x")
    done = asyncio.Event()

    async def write(each: Backend, letter: bytes) -> None:
        for n in range(15):
            await put(each, bucket, "key", letter * (1 + n * 9001))

    async def read(each: Backend) -> int:
        count = 0
        while not done.is_set() or count == 0:
            data, record = await get_with_record(each, bucket, "key")
            assert len(data) == record.size
            assert hashlib.md5(data).hexdigest() == record.etag
            count += 1
            await asyncio.sleep(0)
        return count

    readers = [asyncio.create_task(read(each)) for each in (backend, another)]
    await asyncio.gather(write(backend, b"a"), write(another, b"b"))
    done.set()
    assert min(await asyncio.gather(*readers)) > 0


# --- stages
async def test_pieces_are_appended_in_order_and_the_size_grows(backend: Backend, bucket: Bucket) -> None:
    pieces: list[Buffer] = [b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3], b""]
    async with backend.stage(bucket) as stage:
        assert stage.size == 0
        await stage.write(pieces, unchanged)
        assert stage.size == 6
        await stage.write([LARGE], unchanged)
        await stage.write([b"end"], unchanged)
        assert stage.size == 6 + len(LARGE) + 3
        whole = b"abcdef" + LARGE + b"end"
        await backend.commit_object(bucket, stage, "key", record_of(whole), NO_CONDITION)
    assert await get(backend, bucket, "key") == whole


async def test_what_is_stored_is_what_through_gives(backend: Backend, bucket: Bucket) -> None:
    seen: list[bytes] = []

    def decode(pieces: list[Buffer]) -> list[Buffer]:
        data = b"".join(pieces)
        seen.append(data)
        return [] if data == b"frame" else [data.upper(), b"."]

    async with backend.stage(bucket) as stage:
        for data in (b"one", b"frame", b"two"):
            await stage.write([data[:1], data[1:]], decode)
        assert stage.size == 8
        await backend.commit_object(bucket, stage, "key", record_of(b"ONE.TWO."), NO_CONDITION)
    assert seen == [b"one", b"frame", b"two"]
    assert await get(backend, bucket, "key") == b"ONE.TWO."


async def test_a_buffer_may_be_used_again_after_it_was_written(backend: Backend, bucket: Bucket) -> None:
    buffer = bytearray(b"first")
    async with backend.stage(bucket) as stage:
        await stage.write([buffer], unchanged)
        buffer[:] = b"later"
        await stage.write([buffer], unchanged)
        await backend.commit_object(bucket, stage, "key", record_of(b"firstlater"), NO_CONDITION)
    assert await get(backend, bucket, "key") == b"firstlater"


async def test_a_body_found_bad_while_it_is_written_leaves_the_old_object(backend: Backend, bucket: Bucket) -> None:
    def refuse(_pieces: list[Buffer]) -> list[Buffer]:
        raise S3Error("BadDigest")

    async def attempt() -> None:
        async with backend.stage(bucket) as stage:
            await stage.write([LARGE], unchanged)
            await stage.write([b"more"], refuse)
            await backend.commit_object(bucket, stage, "key", record_of(LARGE + b"more"), NO_CONDITION)

    stored = await put(backend, bucket, "key", b"old")
    assert await error_code(attempt()) == "BadDigest"
    assert await get_with_record(backend, bucket, "key") == (b"old", stored)


@pytest.mark.parametrize("size", [0, 10, 2 * MIB])
async def test_what_is_not_committed_is_gone(backend: Backend, bucket: Bucket, size: int) -> None:
    """Whether the block ends in peace, in an error or by cancellation."""

    async def attempt(end: BaseException | None) -> None:
        async with backend.stage(bucket) as stage:
            await stage.write([b"x" * size], unchanged)
            if end is not None:
                raise end

    await attempt(None)
    with pytest.raises(ConnectionError):
        await attempt(ConnectionError())
    with pytest.raises(asyncio.CancelledError):
        await attempt(asyncio.CancelledError())
    assert await keys(backend, bucket) == []
    await backend.delete_bucket(bucket)


async def test_nobody_sees_a_stage(backend: Backend, another: Backend, bucket: Bucket) -> None:
    async with backend.stage(bucket) as stage:
        await stage.write([LARGE], unchanged)
        for each in (backend, another):
            assert await keys(each, bucket) == []
            assert await each.list_uploads(bucket, "") == []
        await backend.commit_object(bucket, stage, "key", record_of(LARGE), NO_CONDITION)
        assert await get(another, bucket, "key") == LARGE
    assert await get(another, bucket, "key") == LARGE


async def test_stages_stand_side_by_side(backend: Backend, bucket: Bucket) -> None:
    async with backend.stage(bucket) as one, backend.stage(bucket) as two:
        for n in range(10):
            await one.write([b"1%d" % n], unchanged)
            await two.write([b"2%d" % n], unchanged)
        first, second = (b"".join(b"%d%d" % (m, n) for n in range(10)) for m in (1, 2))
        await backend.commit_object(bucket, two, "key", record_of(second), NO_CONDITION)
        assert await get(backend, bucket, "key") == second
        await backend.commit_object(bucket, one, "key", record_of(first), NO_CONDITION)
    assert await get(backend, bucket, "key") == first


# --- copies
async def test_bytes_are_copied_from_another_bucket(backend: Backend, bucket: Bucket) -> None:
    other = await backend.create_bucket("other", ALICE, REGION)
    await put(backend, other, "source", LARGE)
    reader = await backend.open_object(other, "source")
    await put(backend, other, "source", b"replaced meanwhile")
    async with backend.stage(bucket) as stage:
        await stage.copy(reader, 0, len(LARGE))
        assert stage.size == len(LARGE)
        await backend.commit_object(bucket, stage, "key", record_of(LARGE), NO_CONDITION)
    await reader.close()
    assert await get(backend, bucket, "key") == LARGE
    await put(backend, bucket, "key", b"the copy is a thing of its own")
    assert await get(backend, other, "source") == b"replaced meanwhile"


async def test_copied_ranges_and_written_bytes_are_joined_in_order(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "source", LARGE)
    reader = await backend.open_object(bucket, "source")
    async with backend.stage(bucket) as stage:
        await stage.write([b"head"], unchanged)
        await stage.copy(reader, 4095, 2 * MIB + 3)
        await stage.copy(reader, 0, 0)
        await stage.copy(reader, len(LARGE) - 4, 4)
        await stage.write([b"foot"], unchanged)
        whole = b"head" + LARGE[4095 : 4095 + 2 * MIB + 3] + b"tailfoot"
        assert stage.size == len(whole)
        await backend.commit_object(bucket, stage, "key", record_of(whole), NO_CONDITION)
    await reader.close()
    assert await get(backend, bucket, "key") == whole


async def test_an_object_may_be_copied_onto_itself(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", LARGE, tags={"n": "1"})
    reader = await backend.open_object(bucket, "key")
    async with backend.stage(bucket) as stage:
        await stage.copy(reader, 0, len(LARGE))
        stored = await backend.commit_object(bucket, stage, "key", record_of(LARGE, tags={"n": "2"}), NO_CONDITION)
    await reader.close()
    assert await get_with_record(backend, bucket, "key") == (LARGE, stored)
    assert stored.tags == {"n": "2"}
