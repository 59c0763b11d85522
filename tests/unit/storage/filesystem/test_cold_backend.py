"""Reads of disks that have to be waited for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.values import Bucket
from s3gate.storage.filesystem import reading
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.cold_backend import ColdDiskBackend
from support.processes import own_descriptors
from support.stores import error_code, get, put

pytestmark = pytest.mark.usefixtures("runner")
DATA = b"x" * 1000


@pytest.fixture
def backend(root: Path, runner: asyncio.Runner) -> Iterator[ColdDiskBackend]:
    (root / "bucket").mkdir()
    backend = ColdDiskBackend(str(root), durability="none")
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def bucket(backend: ColdDiskBackend, runner: asyncio.Runner) -> Bucket:
    async def find() -> Bucket:
        return await backend.find_bucket("bucket")

    return runner.run(find())


@pytest.fixture
def off_loop(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The calls of reading that were made, each of which must be in another thread than that of the loop."""
    loop, called = threading.main_thread(), set()

    def watched(name: str) -> None:
        whole = getattr(reading, name)

        def look(*arguments: object) -> object:
            assert threading.current_thread() is not loop
            called.add(name)
            return whole(*arguments)

        monkeypatch.setattr(reading, name, look)

    for name in ("open_reader", "read_record"):
        watched(name)
    pread = os.pread

    def read(fd: int, length: int, start: int) -> bytes:
        assert threading.current_thread() is not loop
        called.add("pread")
        return pread(fd, length, start)

    monkeypatch.setattr(os, "pread", read)
    return called


async def test_nothing_of_a_read_is_waited_for_on_the_event_loop(backend, bucket, off_loop):
    await put(backend, bucket, "key", DATA)
    assert await get(backend, bucket, "key") == DATA
    assert (await backend.stat_object(bucket, "key")).size == len(DATA)
    assert off_loop == {"open_reader", "read_record", "pread"}


async def test_errors_are_those_of_the_other_backend(backend, bucket, root):
    for ask in (backend.open_object, backend.stat_object):
        assert await error_code(ask(bucket, "missing")) == "NoSuchKey"
        assert await error_code(ask(bucket, "missing", "an-id")) == "NoSuchVersion"


async def test_a_request_that_is_given_up_while_its_object_is_opened_leaves_nothing_open(
    backend, bucket, root, monkeypatch
):
    await put(backend, bucket, "key", DATA)
    begun, go_on, whole = threading.Event(), threading.Event(), reading.open_reader

    def slow(*arguments: object) -> object:
        begun.set()
        go_on.wait(30)
        return whole(*arguments)

    monkeypatch.setattr(reading, "open_reader", slow)
    task = asyncio.create_task(backend.open_object(bucket, "key"))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.to_thread(backend._store.executor.submit(int).result, 30)
    while any(path.endswith("/key") for path in own_descriptors(root)):  # noqa: ASYNC110  # closed by the loop
        await asyncio.sleep(0.001)


def test_it_is_the_same_backend_but_for_its_reads():
    assert {name for name in vars(ColdDiskBackend) if not name.startswith("_")} == {"open_object", "stat_object"}
    assert issubclass(ColdDiskBackend, FilesystemBackend)
