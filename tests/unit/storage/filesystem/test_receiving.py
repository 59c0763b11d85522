"""Uploads that are received in another directory: on the same filesystem, on another one, and where none can be."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import receiving
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.disk import staged
from support.processes import own_descriptors
from support.stores import MEMORY, REGION, complete, error_code, get, put, put_part, record_of, start_upload, unchanged

DATA = os.urandom(300_000)


@pytest.fixture(params=["same filesystem", "other filesystem", "no nameless files"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which objects and parts are received."""
    if request.param == "no nameless files":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY, raising=True)
    return Path(MEMORY) if request.param == "other filesystem" else tmp_path / "received"


@pytest.fixture
def backend(root: Path, receiver: Path, runner: asyncio.Runner) -> Iterator[FilesystemBackend]:
    where = str(receiver)
    backend = FilesystemBackend(str(root), durability="none", region=REGION, receive_in=(where, where))
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


def names_in(receiver: Path) -> list[str]:
    return [name for name in os.listdir(receiver) if name.startswith(".s3gate")]


async def test_nothing_is_in_the_bucket_before_it_is_committed(backend, bucket, root, receiver):
    before = len(own_descriptors(receiver))
    async with backend.stage(bucket) as stage:
        await stage.write([DATA], unchanged)
        assert staged(root) == []
        assert names_in(receiver) == []
        assert len(own_descriptors(receiver)) > before
        await backend.commit_object(bucket, stage, "a/key", record_of(DATA), NO_CONDITION)
    assert (root / "bucket/a/key").read_bytes() == DATA
    assert staged(root) == []
    assert names_in(receiver) == []


async def test_what_is_not_committed_leaves_nothing(backend, bucket, root, receiver):
    before = own_descriptors(receiver)
    async with backend.stage(bucket) as stage:
        await stage.write([DATA], unchanged)
    assert staged(root) == []
    assert names_in(receiver) == []
    assert own_descriptors(receiver) == before


async def test_a_committed_object_has_the_permissions_of_any_other_file(backend, bucket, root):
    await put(backend, bucket, "key", DATA)
    mask = os.umask(0)
    os.umask(mask)
    assert os.stat(root / "bucket/key").st_mode & 0o777 == 0o666 & ~mask


async def test_parts_are_received_there_and_joined_with_the_bucket(backend, bucket, root, receiver):
    upload = await start_upload(backend, bucket, "joined")
    parts = [await put_part(backend, bucket, upload, number, DATA) for number in (1, 2)]
    assert names_in(receiver) == []
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "joined") == DATA * 2


async def test_a_copy_does_not_leave_the_filesystem_of_its_source(backend, bucket, root, monkeypatch):
    await put(backend, bucket, "source", DATA)
    copied: list[int] = []
    copy = receiving.ReceivedStage._copy

    def noted(stage: receiving.ReceivedStage, name: bytes) -> None:
        copied.append(stage.size)
        copy(stage, name)

    monkeypatch.setattr(receiving.ReceivedStage, "_copy", noted)
    reader = await backend.open_object(bucket, "source")
    async with backend.stage(bucket) as stage:
        await stage.copy(reader, 0, len(DATA))
        await backend.commit_object(bucket, stage, "target", record_of(DATA), NO_CONDITION)
    await reader.close()
    assert await get(backend, bucket, "target") == DATA
    assert set(copied) <= {0}


async def test_what_follows_a_copy_of_nothing_is_received_with_the_bucket(backend, bucket, root, receiver):
    await put(backend, bucket, "source", DATA)
    source = await backend.open_object(bucket, "source")
    try:
        async with backend.stage(bucket) as stage:
            await stage.copy(source, 0, 0)
            await stage.write([DATA], unchanged)
            assert len(staged(root)) == 1
            await backend.commit_object(bucket, stage, "copy", record_of(DATA), NO_CONDITION)
    finally:
        await source.close()
    assert await get(backend, bucket, "copy") == DATA


async def test_a_disk_that_fills_up_while_it_arrives_leaves_nothing_and_the_old_object(
    backend, bucket, root, monkeypatch
):
    await put(backend, bucket, "key", b"old")

    def full(*_: Any, **_named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    async with backend.stage(bucket) as stage:
        await stage.write([DATA], unchanged)
        code = await error_code(backend.commit_object(bucket, stage, "key", record_of(DATA), NO_CONDITION))
    assert code == "InsufficientStorage"
    assert await get(backend, bucket, "key") == b"old"
    assert staged(root) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_directory_that_cannot_be_used_is_told_with_the_setting(tmp_path, root, name):
    (tmp_path / "file").write_text("")
    backend = FilesystemBackend(str(root), receive_in=(None, str(tmp_path / name)))
    with pytest.raises(StartError, match="multipart_temp"):
        asyncio.run(backend.start())


def test_a_gateway_that_only_reads_makes_no_such_directory(tmp_path, root):
    backend = FilesystemBackend(str(root), read_only=True, receive_in=(str(tmp_path / "received"), None))

    async def live() -> None:
        await backend.start()
        await backend.stop()

    asyncio.run(live())
    assert not (tmp_path / "received").exists()
