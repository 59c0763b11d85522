"""Uploads on disk: what is kept of parts that are sent again, and what others see meanwhile."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from support.stores import complete, get, put_part, start_upload


def part_files(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("bucket/.s3gate/mpu/*/[0-9]*-*"))


async def test_a_part_sent_again_takes_the_place_of_the_first_one_and_of_no_other(backend, bucket, root):
    upload = await start_upload(backend, bucket, "joined")
    for number in (1, 2, 10_000):
        await put_part(backend, bucket, upload, number, b"first")
    sent = [await put_part(backend, bucket, upload, number, b"again %d" % number) for number in (1, 10_000)]

    assert len(part_files(root)) == 3
    assert [part.size for part in await backend.list_parts(bucket, upload)] == [7, 5, 11]
    await complete(backend, bucket, upload, sent)
    assert await get(backend, bucket, "joined") == b"again 1again 10000"
    assert not os.listdir(root / "bucket/.s3gate/mpu")


async def test_the_first_part_of_a_number_costs_no_look_at_the_others(backend, bucket, monkeypatch):
    upload = await start_upload(backend, bucket, "joined")
    looked = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looked.append(path) or listdir(path))

    for number in range(1, 20):
        await put_part(backend, bucket, upload, number, b"x")
    assert not looked

    await put_part(backend, bucket, upload, 5, b"y")
    assert len(looked) == 1


async def test_parts_that_are_replaced_while_they_are_listed_fail_no_listing(backend, bucket):
    upload = await start_upload(backend, bucket, "joined")
    for number in range(1, 51):
        await put_part(backend, bucket, upload, number, b"x")

    async def replace_parts() -> None:
        for turn in range(20):
            for number in range(1, 51):
                await put_part(backend, bucket, upload, number, b"y" * turn)

    writer = asyncio.create_task(replace_parts())
    while not writer.done():
        parts = await backend.list_parts(bucket, upload)
        # One that is replaced just now may be missing, none is there twice.
        assert len({part.number for part in parts}) == len(parts) > 25
    await writer
    assert len(await backend.list_parts(bucket, upload)) == 50
