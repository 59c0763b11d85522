"""Reading an open object in pieces."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.threads import close_read_file
from support.stores import put

DATA = os.urandom((2 << 20) + 5)


@pytest.mark.parametrize("size", [512 << 10, 1 << 20, 2 << 20])
def test_a_large_object_is_read_in_pieces_of_the_size_that_is_set(root, size):
    async def read() -> list[bytes]:
        (root / "bucket").mkdir()
        backend = FilesystemBackend(str(root), durability="none", chunk_bytes=size)
        await backend.start()
        bucket = await backend.find_bucket("bucket")
        await put(backend, bucket, "key", DATA)
        reader = await backend.open_object(bucket, "key")
        pieces = [bytes(piece) async for piece in reader.chunks(0, len(DATA))]
        assert bytes(await reader.read(0, len(DATA))) == DATA
        await reader.close()
        await backend.stop()
        return pieces

    pieces = asyncio.run(read())
    assert b"".join(pieces) == DATA
    assert {len(piece) for piece in pieces[:-1]} == {size}


@pytest.mark.parametrize(
    ("named", "size", "in_thread"), [(True, 1 << 30, False), (False, 1 << 30, True), (False, 1, False)]
)
def test_a_large_file_is_closed_by_a_thread_when_its_blocks_are_freed_with_it(
    tmp_path: Path, named: bool, size: int, in_thread: bool
):
    path = tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    if not named:
        path.unlink()
    closed: list[int] = []

    class Executor(ThreadPoolExecutor):
        def submit(self, work, /, *arguments):
            closed.extend(arguments)
            return super().submit(work, *arguments)

    with Executor(1) as executor:
        close_read_file(executor, fd, size)
    assert closed == ([fd] if in_thread else [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
