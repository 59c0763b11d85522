"""Listings beside a writer in another process: what was acknowledged is there, and what stays is never missing."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.storage.backend import ListQuery
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.stores import REGION, keys, put

MANY = 3000  # files in a directory: enough to be watched by the kernel
ROUNDS = 1000


def write_and_tell(root: Path, pipe: Connection) -> None:
    """Change keys of the bucket one after the other, as gateway and as another program, each when it is asked to."""

    async def work() -> None:
        backend = FilesystemBackend(str(root), durability="none", region=REGION)
        await backend.start()
        bucket = await backend.find_bucket("bucket")
        chance = random.Random(1)
        while pipe.recv():
            key = chance.choice(["k", "k/x", "k/y/z", "m", "", "..", "~"]) + chance.choice(["", "1", "/"]) or "empty"
            there = chance.random() < 0.6
            if there:
                await put(backend, bucket, key, b"x")
            else:
                await backend.delete_object(bucket, key, NO_CONDITION)
                if chance.random() < 0.3:
                    backend._pruner.flush()
            pipe.send((key, there))
        await backend.stop()

    asyncio.run(work())


@pytest.mark.parametrize("files", [0, MANY], ids=["small", "large"])
async def test_a_page_has_every_change_that_another_gateway_acknowledged_before(backend, bucket, root, files):
    for number in range(files):
        (root / "bucket" / f"l{number:05}").touch()
    context = multiprocessing.get_context("fork")
    pipe, other_end = context.Pipe()
    writer = context.Process(target=write_and_tell, args=(root, other_end))
    writer.start()
    expected = dict.fromkeys(await keys(backend, bucket), True)
    for number in range(ROUNDS):
        pipe.send(True)
        key, there = await asyncio.to_thread(pipe.recv)
        expected[key] = there
        after = "l99" if files and number % 50 else ""  # behind the many, most of the time
        found = [each.key for each in (await backend.list_objects(bucket, ListQuery(after=after, limit=5000))).objects]
        assert found == sorted((key for key, is_there in expected.items() if is_there and key > after), key=str.encode)
    pipe.send(False)
    await asyncio.to_thread(writer.join)
    assert writer.exitcode == 0


def convert_again_and_again(root: Path, seconds: float) -> None:
    """Make the object `k` give way to a directory of its name, and come back from it; overwrite it now and then."""

    async def work() -> None:
        backend = FilesystemBackend(str(root), durability="none", region=REGION)
        await backend.start()
        bucket = await backend.find_bucket("bucket")
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await put(backend, bucket, "k/x", b"x")
            await put(backend, bucket, "k", b"y")
            await backend.delete_object(bucket, "k/x", NO_CONDITION)
            backend._pruner.flush()
            await put(backend, bucket, "k", b"z")
        await backend.stop()

    asyncio.run(work())


@pytest.mark.parametrize("files", [0, MANY], ids=["small", "large"])
async def test_an_object_that_is_overwritten_and_moved_aside_is_in_every_page(backend, bucket, root, files):
    for number in range(files):
        (root / "bucket" / f"a{number:05}").touch()
    await put(backend, bucket, "k")
    writer = multiprocessing.get_context("fork").Process(target=convert_again_and_again, args=(root, 3.0))
    writer.start()
    pages = 0
    while writer.is_alive():
        page = await backend.list_objects(bucket, ListQuery(after="a99", delimiter="/" if pages % 2 else ""))
        assert "k" in [each.key for each in page.objects]
        pages += 1
    writer.join()
    assert writer.exitcode == 0
    assert pages > 50
