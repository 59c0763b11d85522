"""Reading an open object in pieces."""

from __future__ import annotations

import asyncio
import os

import pytest

from s3gate.storage.filesystem.backend import FilesystemBackend
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
