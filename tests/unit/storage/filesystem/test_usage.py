"""What buckets hold: the scan agrees with the listing, one process does it, and all of them know."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.core.observation import BucketUsage, UsageReport
from s3gate.storage.backend import ListQuery
from s3gate.storage.filesystem import usage
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.stores import ALICE, REGION, delete, put, put_part, set_versioning, start_upload

REPORT = ".s3gate/usage.json"


def with_store(root: Path, work: Callable[[FilesystemBackend], Awaitable[None]], **settings: bool) -> None:
    async def run() -> None:
        backend = FilesystemBackend(str(root), durability="none", **settings)  # type: ignore[arg-type]  # bools only
        await backend.start()
        try:
            await work(backend)
        finally:
            await backend.stop()

    asyncio.run(run())


def reported(backend: FilesystemBackend) -> dict[str, BucketUsage]:
    report = backend.usage()
    assert report is not None
    return {each.bucket: each for each in report.buckets}


def test_objects_are_counted_as_a_listing_shows_them(tmp_path: Path):
    async def work(backend: FilesystemBackend) -> None:
        bucket = await backend.create_bucket("bucket", ALICE, REGION)
        await backend.create_bucket("empty", ALICE, REGION)
        await put(backend, bucket, "a", b"x" * 10)
        await put(backend, bucket, "a/b", b"x" * 20)
        await put(backend, bucket, "a/", b"")
        await put(backend, bucket, "long/" + "n" * 900, b"x" * 3)
        await put(backend, bucket, "gone", b"x" * 1000)
        await delete(backend, bucket, "gone")
        (tmp_path / "bucket" / "foreign").write_bytes(b"y" * 7)
        (tmp_path / "bucket" / "link").symlink_to("foreign")
        upload = await start_upload(backend, bucket, "up")
        await put_part(backend, bucket, upload, 1, b"x" * 5000)
        ended = await start_upload(backend, bucket, "ended")
        await backend.abort_upload(bucket, ended)
        assert await backend.scan_usage(0)
        page = await backend.list_objects(bucket, ListQuery(limit=1000))
        seen = reported(backend)["bucket"]
        assert (seen.objects, seen.size) == (len(page.objects), 40) == (5, 40)
        assert seen.uploads == 1
        assert reported(backend)["empty"] == BucketUsage("empty", 0, 0)

    with_store(tmp_path, work)


def test_versions_that_are_not_current_are_not_counted(tmp_path: Path):
    async def work(backend: FilesystemBackend) -> None:
        bucket = await backend.create_bucket("bucket", ALICE, REGION)
        await set_versioning(backend, bucket, "Enabled")
        bucket = await backend.find_bucket("bucket")
        await put(backend, bucket, "k", b"x" * 100)
        await put(backend, bucket, "k", b"x" * 3)
        await put(backend, bucket, "hidden", b"x")
        await delete(backend, bucket, "hidden")
        assert await backend.scan_usage(0)
        assert reported(backend)["bucket"] == BucketUsage("bucket", 1, 3)

    with_store(tmp_path, work)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 50), max_size=30))
def test_a_scan_in_small_batches_misses_nothing(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]):
    async def work(backend: FilesystemBackend) -> None:
        bucket = await backend.create_bucket("bucket", ALICE, REGION)
        for number, size in enumerate(sizes):
            await put(backend, bucket, f"{'d/' * (number % 3)}k{number}", b"x" * size)
        assert await backend.scan_usage(0)
        assert reported(backend)["bucket"] == BucketUsage("bucket", len(sizes), sum(sizes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usage, "_BATCH", 4)
        patch.setattr(usage, "_PAUSE", 0.0)
        with_store(tmp_path_factory.mktemp("store"), work)


def test_one_process_scans_and_another_knows(tmp_path: Path):
    async def work(backend: FilesystemBackend) -> None:
        other = FilesystemBackend(str(tmp_path), durability="none")
        await other.start()
        try:
            await put(backend, await backend.create_bucket("bucket", ALICE, REGION), "k", b"abc")
            assert await backend.scan_usage(0)
            assert not await other.scan_usage(0)
            assert reported(other) == reported(backend) == {"bucket": BucketUsage("bucket", 1, 3)}
        finally:
            await other.stop()

    with_store(tmp_path, work)


def test_a_scan_of_just_now_is_not_done_again(tmp_path: Path):
    async def work(backend: FilesystemBackend) -> None:
        assert await backend.scan_usage(3600)
        assert not await backend.scan_usage(3600)
        (tmp_path / REPORT).write_text(
            json.dumps({"at_ns": time.time_ns() - 1801 * 10**9, "seconds": 0, "buckets": []})
        )
        assert await backend.scan_usage(3600)

    with_store(tmp_path, work)


def test_a_gateway_that_only_reads_writes_nothing_and_shows_what_is_there(tmp_path: Path):
    async def write(backend: FilesystemBackend) -> None:
        await backend.scan_usage(0)

    async def read(backend: FilesystemBackend) -> None:
        before = (tmp_path / REPORT).stat().st_mtime_ns
        assert not await backend.scan_usage(0)
        assert isinstance(backend.usage(), UsageReport)
        assert (tmp_path / REPORT).stat().st_mtime_ns == before

    with_store(tmp_path, write)
    with_store(tmp_path, read, read_only=True)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff", b'{"at_ns": "x"}'])
def test_a_report_that_cannot_be_read_is_none_and_is_written_anew(tmp_path: Path, damage: bytes):
    async def work(backend: FilesystemBackend) -> None:
        assert backend.usage() is None
        (tmp_path / REPORT).write_bytes(damage)
        assert backend.usage() is None
        assert await backend.scan_usage(3600)
        assert reported(backend) == {}

    with_store(tmp_path, work)


def test_a_file_that_goes_in_the_middle_of_a_scan_is_left_out(tmp_path: Path):
    async def work(backend: FilesystemBackend) -> None:
        bucket = await backend.create_bucket("bucket", ALICE, REGION)
        await put(backend, bucket, "d/k", b"abc")
        await put(backend, bucket, "k", b"ab")
        real = os.stat

        def stat(path: object, **options: object) -> os.stat_result:
            if path == b"d/k":
                raise FileNotFoundError
            return real(path, **options)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(usage.os, "stat", stat)
            assert await backend.scan_usage(0)
        assert reported(backend)["bucket"] == BucketUsage("bucket", 1, 2)

    with_store(tmp_path, work)
