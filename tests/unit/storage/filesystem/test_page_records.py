"""The records of a page are those that opening each file gives, however they were come by."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import VERSIONING
from s3gate.storage.backend import ListQuery, VersionQuery
from s3gate.storage.filesystem import listing, reading, recent_records
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.page_records import AttributeReader
from s3gate.storage.filesystem.recent_records import RecentRecords
from support.stores import REGION, put


@pytest.fixture(params=[True, False], ids=["by name", "by descriptor"])
def by_name(request, monkeypatch):
    """Whether the kernel reads an attribute by the name of its file (Linux 6.13)."""
    if not request.param:
        monkeypatch.setattr(AttributeReader, "by_name", False)
    return request.param


async def listed(backend, bucket):
    page = await backend.list_objects(bucket, ListQuery())
    return {each.key: each.record for each in page.objects}


def opened(backend, keys):
    handle = backend._handle("bucket")
    return {key: reading.read_record(handle, key, None) for key in keys}


async def test_records_of_all_kinds_of_files_are_those_of_a_head(backend, bucket, root, by_name):
    plain = root / "bucket"
    await put(backend, bucket, "small", b"1", headers={"content-type": "text/x"}, tags={"a": "b"})
    await put(backend, bucket, "dir/deep/er", b"22")
    await put(backend, bucket, "dir", b"the object beside the directory")
    await put(backend, bucket, "dir/", b"an empty name")
    await put(backend, bucket, "..", b"an escaped name")
    await put(backend, bucket, "l" * 500, b"a long name")
    await put(backend, bucket, "large", b"x", user_metadata={"much": "y" * 3500})
    await put(backend, bucket, "changed", b"before")
    (plain / "changed").write_bytes(b"by another program")
    (plain / "outside.tar.gz").write_bytes(b"4")
    (plain / "outside.HTML").write_bytes(b"5")
    (plain / ".outside.png").write_bytes(b"6")
    (plain / "data:text,outside").write_bytes(b"7")
    (plain / "broken").write_bytes(b"8")
    os.setxattr(plain / "broken", "user.s3gate", b"no record")
    (plain / "link").symlink_to("small")
    os.mkfifo(plain / "pipe")
    expected = {
        "small", "dir/deep/er", "dir", "dir/", "..", "l" * 500, "large", "changed", "outside.tar.gz", "outside.HTML",
        ".outside.png", "data:text,outside", "broken",
    }  # fmt: skip
    for _ in range(2):
        found = await listed(backend, bucket)
        assert found == opened(backend, expected)
    assert found["outside.HTML"].headers == {"content-type": "text/html"}
    assert found["outside.tar.gz"].headers == {}


async def test_ordinary_objects_are_not_opened_for_a_listing(backend, bucket, root, monkeypatch):
    for number in range(5):
        await put(backend, bucket, f"d/{number}", b"x")
        (root / "bucket" / f"{number}").write_bytes(b"y")
    expected = opened(backend, [f"d/{number}" for number in range(5)] + [f"{number}" for number in range(5)])
    monkeypatch.setattr(reading, "current_record", None)
    assert await listed(backend, bucket) == expected


async def test_records_in_memory_follow_every_change(backend, bucket, root, monkeypatch):
    """Even when they are kept at once, as far as the filesystem's clock tells changes apart."""
    await put(backend, bucket, "key", b"1")
    await put(backend, bucket, "kept", b"1")
    monkeypatch.setattr(recent_records, "_SETTLED_NS", -(10**18))
    chance = random.Random(1)
    for number in range(200):
        await asyncio.sleep(0.005)  # longer than the tick of a coarse clock
        match chance.randrange(4):
            case 0:
                await put(backend, bucket, "key", b"%d" % number)
            case 1:
                await backend.update_object(bucket, "key", lambda record, n=number: _tagged(record, n))
            case 2:
                (root / "bucket/key").write_bytes(b"outside %d" % number)
            case 3:
                stat = os.stat(root / "bucket/key")
                (root / "bucket/key").write_bytes(os.urandom(stat.st_size))
                os.utime(root / "bucket/key", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert await listed(backend, bucket) == opened(backend, ["key", "kept"])


def _tagged(record, number):
    return type(record)(record.etag, record.size, record.modified_ns, tags={"n": str(number)}, sequence=record.sequence)


def test_the_cache_of_records_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_records, "_SETTLED_NS", -(10**18))
    cache = RecentRecords(generation_bytes=10_000)
    record = object()
    for number in range(1000):
        path = tmp_path / str(number)
        path.touch()
        cache.keep(os.stat(path), record, 300)
        assert cache.find(os.stat(path)) is record
        assert len(cache._new) + len(cache._old) <= 22
    assert cache.find(os.stat(tmp_path / "0")) is None


def test_what_was_changed_a_moment_ago_is_not_kept(tmp_path):
    (tmp_path / "a").touch()
    cache = RecentRecords()
    cache.keep(os.stat(tmp_path / "a"), object(), 1)
    assert cache.find(os.stat(tmp_path / "a")) is None


def _overwrite(root: Path, seconds: float) -> None:
    """Overwrite an object with contents of different sizes, and now and then as another program would."""

    async def work() -> None:
        backend = FilesystemBackend(str(root), durability="none", region=REGION)
        await backend.start()
        bucket = await backend.find_bucket("bucket")
        chance = random.Random(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            data = bytes([chance.randrange(256)]) * chance.randrange(1, 5)
            if chance.random() < 0.2:
                (root / "new").write_bytes(data)
                os.rename(root / "new", root / "bucket/key")
            else:
                await put(backend, bucket, "key", data)
        await backend.stop()

    asyncio.run(work())


async def test_size_and_etag_of_a_listing_are_of_one_version_while_another_process_overwrites(
    backend, bucket, root, by_name
):
    sizes = {hashlib.md5(bytes([n]) * size).hexdigest(): size for n in range(256) for size in range(1, 5)}
    await put(backend, bucket, "key", b"1")
    writer = multiprocessing.get_context("fork").Process(target=_overwrite, args=(root, 2.0))
    writer.start()
    seen = set()
    while writer.is_alive():
        record = (await listed(backend, bucket))["key"]
        seen.add(record.etag)
        if not record.etag.endswith("-1"):
            assert sizes[record.etag] == record.size
    writer.join()
    assert writer.exitcode == 0
    assert len(seen) > 20


async def test_a_listing_of_versions_opens_no_history_where_there_is_none(backend, bucket, monkeypatch):
    await backend.put_document(bucket, VERSIONING, b"Enabled")
    for key in ("a", "b/c", "d"):
        await put(backend, bucket, key, b"1")
    await put(backend, bucket, "b/c", b"2")
    await backend.delete_object(bucket, "d", NO_CONDITION)
    looked = []
    all_versions = reading.all_versions

    def counted(handle, key):
        looked.append(key)
        return all_versions(handle, key)

    monkeypatch.setattr(listing.reading, "all_versions", counted)
    page = await backend.list_versions(bucket, VersionQuery())
    assert [(each.key, each.latest, each.record.delete_marker) for each in page.versions] == [
        ("a", True, False),
        ("b/c", True, False),
        ("b/c", False, False),
        ("d", True, True),
        ("d", False, False),
    ]
    assert looked == ["b/c", "d"]
