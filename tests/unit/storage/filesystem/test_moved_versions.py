"""A version that comes back to its place while it is looked for is not missed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from s3gate.storage.filesystem import history, reading
from support.stores import ALICE, REGION, filesystem_store, put, set_versioning, versions


async def started(root: Path) -> tuple[Backend, Bucket]:
    root.mkdir()
    backend = filesystem_store("xattr")(root)()
    await backend.start()
    bucket = await backend.create_bucket("bucket", ALICE, REGION)
    await set_versioning(backend, bucket, "Enabled")
    return backend, bucket


def before_history(monkeypatch: pytest.MonkeyPatch, move: Callable[[], Awaitable[object]]) -> None:
    """Let `move` take place between the look at the plain file and the look at the history, once, by another thread."""
    whole, main, left = history.read_entries, threading.current_thread(), [move]
    loop = asyncio.get_running_loop()

    def read_entries(*arguments: Any) -> Any:
        if threading.current_thread() is not main and left:
            asyncio.run_coroutine_threadsafe(left.pop()(), loop).result()
        return whole(*arguments)

    monkeypatch.setattr(history, "read_entries", read_entries)


async def test_a_version_that_comes_back_while_it_is_listed_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    backend, bucket = await started(tmp_path / "root")
    kept = await put(backend, bucket, "key", b"kept")
    above = await put(backend, bucket, "key", b"above")
    before_history(monkeypatch, lambda: backend.delete_object(bucket, "key", NO_CONDITION, above.version_id))
    found = [each.record.version_id for each in await versions(backend, bucket)]
    await backend.stop()
    assert kept.version_id in found


async def test_a_version_that_comes_back_and_is_covered_and_comes_back_again_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    """By its id, however often it moves."""
    backend, bucket = await started(tmp_path / "root")
    kept = await put(backend, bucket, "key", b"kept")
    above = [await put(backend, bucket, "key", b"above")]
    whole, busy = history.read_entries, []

    def read_entries(*arguments: Any) -> Any:
        if not busy and len(above) < 4 and threading.current_thread() is not threading.main_thread():
            asyncio.run_coroutine_threadsafe(move(), loop).result()
        return whole(*arguments)

    async def cover() -> None:
        above.append(await put(backend, bucket, "key", b"above"))

    open_live = reading.open_live

    def live(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and covered and len(above) < 4:
            covered.pop()
            asyncio.run_coroutine_threadsafe(cover(), loop).result()
        return open_live(*arguments, **options)

    covered: list[int] = []

    async def move() -> None:
        await backend.delete_object(bucket, "key", NO_CONDITION, above[-1].version_id)
        covered.append(1)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(history, "read_entries", read_entries)
    monkeypatch.setattr(reading, "open_live", live)
    record = await asyncio.to_thread(reading.read_record, backend._handle("bucket"), "key", kept.version_id)
    await backend.stop()
    assert record.version_id == kept.version_id
