"""What is forced to the medium, by level, counted at the system call; and what a failing fsync does."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT
from s3gate.storage.backend import Deletion, Removal
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.durability import Durability
from support.disk import control_files
from support.processes import own_descriptors
from support.stores import REGION, complete, get_with_record, keys, put, put_part, start_upload


@dataclass
class Fsyncs:
    """Stands in front of os.fsync: notes what is forced, by path.

    The path `held` waits for the gate, and paths that match `failing` fail.
    """

    paths: list[str] = field(default_factory=list)
    failing: str = ""
    held: str = ""
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        self.paths.append(path)
        if path == self.held:
            assert self.gate.wait(30)
        if self.failing and re.search(self.failing, path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        _fsync(fd)

    def taken(self, root: Path) -> Counter[str]:
        """How often what was forced since the last call, relative to `root`; a staged file is "stage"."""
        found = Counter("stage" if "/.s3gate/tmp/" in path else os.path.relpath(path, root) for path in self.paths)
        self.paths.clear()
        return found


_fsync = os.fsync


@pytest.fixture
def fsyncs(monkeypatch: pytest.MonkeyPatch) -> Fsyncs:
    counted = Fsyncs()
    monkeypatch.setattr(os, "fsync", counted)
    return counted


@pytest.fixture
def level() -> str:
    return "full"


@pytest.fixture
def upload_parts() -> str:
    return "in-place"


@pytest.fixture
def backend(root: Path, runner: asyncio.Runner, level: str, upload_parts: str) -> Iterator[FilesystemBackend]:
    settings: Any = {"durability": level, "upload_parts": upload_parts}
    backend = FilesystemBackend(str(root), metadata="xattr", region=REGION, **settings)
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def bucket(backend: FilesystemBackend, runner: asyncio.Runner, fsyncs: Fsyncs) -> Bucket:
    """A bucket that was written to: all that is made once is there."""
    made = runner.run(backend.create_bucket("bucket", ROOT, REGION))
    runner.run(put(backend, made, "first", b"x"))
    fsyncs.paths.clear()
    return made


async def test_full_forces_the_file_and_its_directory(backend, bucket, fsyncs, root):
    await put(backend, bucket, "key", b"x" * 100_000)

    assert fsyncs.taken(root) == {"stage": 1, "bucket": 1}


async def test_full_forces_the_file_before_its_name(backend, bucket, fsyncs, root):
    await put(backend, bucket, "key", b"x")

    assert [".s3gate/tmp/" in path for path in fsyncs.paths] == [True, False]


async def test_full_forces_the_parents_of_new_directories_as_well(backend, bucket, fsyncs, root):
    await put(backend, bucket, "a/b/key", b"x")
    assert fsyncs.taken(root) == {"stage": 1, "bucket": 1, "bucket/a": 1, "bucket/a/b": 1}

    await put(backend, bucket, "a/b/other", b"x")
    assert fsyncs.taken(root) == {"stage": 1, "bucket/a/b": 1}


async def test_full_forces_the_directory_of_a_deleted_object(backend, bucket, fsyncs, root):
    await put(backend, bucket, "a/key", b"x")
    fsyncs.paths.clear()

    await backend.delete_object(bucket, "a/key", NO_CONDITION)

    assert fsyncs.taken(root) == {"bucket/a": 1}


async def test_full_forces_an_upload_its_parts_and_its_object(backend, bucket, fsyncs, root):
    upload = await start_upload(backend, bucket, "joined")
    directory = f"bucket/.s3gate/mpu/{upload.id}"
    assert fsyncs.taken(root) == {"stage": 1, "bucket/.s3gate/mpu": 1, directory: 1}

    part = await put_part(backend, bucket, upload, 1, b"x" * 1000)
    assert fsyncs.taken(root) == {f"{directory}/size.new": 1, f"{directory}/data": 1, directory: 1}
    other = await put_part(backend, bucket, upload, 2, b"x" * 1000)
    assert fsyncs.taken(root) == {f"{directory}/data": 1, directory: 1}

    await complete(backend, bucket, upload, [part, other])
    # The object, the note of its completion, and the names of both and of what is gone.
    ended = {f"{directory} (deleted)": 1}
    assert fsyncs.taken(root) == {f"{directory}/data": 1, "bucket": 1, "stage": 1, "bucket/.s3gate/done": 1} | ended


@pytest.mark.parametrize("upload_parts", ["separate"])
async def test_full_forces_parts_in_files_of_their_own(backend, bucket, fsyncs, root):
    upload = await start_upload(backend, bucket, "joined")
    directory = f"bucket/.s3gate/mpu/{upload.id}"
    fsyncs.paths.clear()
    part = await put_part(backend, bucket, upload, 1, b"x" * 1000)
    assert fsyncs.taken(root) == {"stage": 1, directory: 1}

    await complete(backend, bucket, upload, [part])
    found = fsyncs.taken(root)
    assert (found["stage"], found["bucket"], found["bucket/.s3gate/done"]) == (2, 1, 1)


async def test_the_bytes_of_a_part_are_forced_before_its_name_and_its_name_before_the_answer(
    backend, bucket, fsyncs, root
):
    upload = await start_upload(backend, bucket, "joined")
    named = []
    for number in (1, 2):
        fsyncs.paths.clear()
        await put_part(backend, bucket, upload, number, b"x" * 1000)
        named.append([os.path.basename(path) for path in fsyncs.paths])
    assert named == [["size.new", "data", upload.id], ["data", upload.id]]


async def test_a_part_that_is_overwritten_in_the_joint_file_cannot_come_back(backend, bucket, fsyncs, root):
    upload = await start_upload(backend, bucket, "joined")
    await put_part(backend, bucket, upload, 1, b"old")
    parts = [await put_part(backend, bucket, upload, number, b"new") for number in (1, 2)]
    fsyncs.paths.clear()

    await complete(backend, bucket, upload, parts)

    forced = [os.path.relpath(path, root / "bucket/.s3gate/mpu") for path in fsyncs.paths]
    assert forced[:2] == [upload.id, f"{upload.id}/data"]


@pytest.mark.parametrize("level", ["data"])
async def test_data_forces_the_file_alone(backend, bucket, fsyncs, root):
    await put(backend, bucket, "a/b/key", b"x" * 100_000)
    assert fsyncs.taken(root) == {"stage": 1}

    await backend.delete_object(bucket, "a/b/key", NO_CONDITION)
    assert fsyncs.taken(root) == {}


@pytest.mark.parametrize("level", ["none"])
async def test_none_forces_nothing(backend, bucket, fsyncs, root):
    await put(backend, bucket, "a/b/key", b"x" * 100_000, headers={"content-disposition": "x" * 8000})
    await backend.delete_object(bucket, "a/b/key", NO_CONDITION)
    upload = await start_upload(backend, bucket, "joined")
    part = await put_part(backend, bucket, upload, 1, b"x" * 1000)
    await complete(backend, bucket, upload, [part])

    assert fsyncs.taken(root) == {}


async def test_concurrent_writes_share_the_fsync_of_their_directory(backend, bucket, fsyncs, root):
    """Who comes while one runs waits for the next, for that one began before the rename; and all for the same."""
    fsyncs.held = str(root / "bucket")
    writes = [asyncio.create_task(put(backend, bucket, "key-0", b"x"))]
    while fsyncs.held not in fsyncs.paths:  # noqa: ASYNC110  # a thread and the directory tell, not a task
        await asyncio.sleep(0.001)
    writes += [asyncio.create_task(put(backend, bucket, f"key-{number}", b"x")) for number in range(1, 17)]
    while len(await keys(backend, bucket)) < 1 + len(writes):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert not any(write.done() for write in writes)

    fsyncs.gate.set()
    await asyncio.gather(*writes)

    assert fsyncs.taken(root) == {"stage": 17, "bucket": 2}


async def test_a_directory_is_forced_without_a_descriptor_to_spare(fsyncs, root, monkeypatch, runner):
    def no_descriptor(_fd: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    fd = os.open(root, os.O_RDONLY)
    with ThreadPoolExecutor(1) as executor:
        durability = Durability("full", executor)
        monkeypatch.setattr(os, "dup", no_descriptor)

        await durability.sync_directories([fd])

    assert fsyncs.taken(root) == {".": 1}
    os.close(fd)


async def test_a_failing_fsync_of_the_file_fails_the_write_and_leaves_the_old_object(backend, bucket, fsyncs, root):
    old = await put(backend, bucket, "key", b"old")
    kept = control_files(root)
    fsyncs.paths.clear()
    fsyncs.failing = r"/\.s3gate/"

    for fields in ({}, {"headers": {"content-disposition": "x" * 8000}}):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            await put(backend, bucket, "key", b"new", **fields)

        # The kernel may have dropped what it could not write: to ask the same descriptor again would tell a lie.
        assert sum(fsyncs.taken(root).values()) == 1

    assert await get_with_record(backend, bucket, "key") == (b"old", old)
    assert control_files(root) == kept


async def test_a_failing_fsync_of_the_directory_fails_every_write_that_waits_for_it(backend, bucket, fsyncs, root):
    fsyncs.failing = "/bucket$"
    outcomes = await asyncio.gather(
        *(put(backend, bucket, f"key-{number}", b"x") for number in range(8)), return_exceptions=True
    )

    assert all(isinstance(outcome, OSError) for outcome in outcomes)
    assert fsyncs.taken(root)["bucket"] <= len(outcomes)  # none is tried again
    fsyncs.failing = ""
    await put(backend, bucket, "key-0", b"again")
    assert (await get_with_record(backend, bucket, "key-0"))[0] == b"again"


async def test_a_failing_fsync_of_one_directory_fails_the_deletes_in_it_alone(backend, bucket, fsyncs, root):
    names = ["a/1", "b/1", "a/2", "b/2", "c"]
    for name in names:
        await put(backend, bucket, name, b"x")
    fsyncs.paths.clear()
    fsyncs.failing = "/bucket/b$"

    results = await backend.delete_objects(bucket, [Removal(name) for name in names])

    assert [isinstance(result, S3Error) and result.code for result in results] == [
        False, "InternalError", False, "InternalError", False,
    ]  # fmt: skip
    assert fsyncs.taken(root) == {"bucket": 1, "bucket/a": 1, "bucket/b": 1}


async def test_a_batch_with_more_directories_than_may_be_open_forces_each_once(backend, bucket, fsyncs, root):
    names = [f"{n}/key" for n in range(300)]
    for name in names:
        await put(backend, bucket, name, b"x")
    fsyncs.paths.clear()
    before = len(own_descriptors(root))

    assert await backend.delete_objects(bucket, [Removal(name) for name in names]) == [Deletion()] * 300

    assert fsyncs.taken(root) == {f"bucket/{n}": 1 for n in range(300)}
    while len(own_descriptors(root)) > before:  # noqa: ASYNC110  # the deleted files are closed by threads
        await asyncio.sleep(0.001)


async def test_a_failing_fsync_of_a_part_leaves_the_earlier_part(backend, bucket, fsyncs, root):
    upload = await start_upload(backend, bucket, "joined")
    part = await put_part(backend, bucket, upload, 1, b"old")
    fsyncs.failing = r"/\.s3gate/tmp/"

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        await put_part(backend, bucket, upload, 1, b"new")

    assert await backend.list_parts(bucket, upload) == [part]
    fsyncs.failing = ""
    await complete(backend, bucket, upload, [part])
    assert (await get_with_record(backend, bucket, "joined"))[0] == b"old"


async def test_a_failing_fsync_of_a_complete_leaves_the_upload_and_the_old_object(backend, bucket, fsyncs, root):
    old = await put(backend, bucket, "joined", b"old")
    upload = await start_upload(backend, bucket, "joined")
    part = await put_part(backend, bucket, upload, 1, b"new")
    fsyncs.failing = r"/\.s3gate/mpu/"

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        await complete(backend, bucket, upload, [part])

    assert await get_with_record(backend, bucket, "joined") == (b"old", old)
    fsyncs.failing = ""
    await complete(backend, bucket, upload, [part])
    assert (await get_with_record(backend, bucket, "joined"))[0] == b"new"
