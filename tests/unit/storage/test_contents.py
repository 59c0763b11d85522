"""What a bucket holds, counted."""

from __future__ import annotations

import asyncio

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import VERSIONING
from s3gate.storage.contents import Contents, measure
from s3gate.storage.memory import MemoryBackend
from support.stores import ALICE, REGION, put, put_part, start_upload


def test_everything_that_takes_room_is_counted_once() -> None:
    asyncio.run(_count())


async def _count() -> None:
    storage = MemoryBackend()
    bucket = await storage.create_bucket("b", ALICE, REGION)
    assert await measure(storage, bucket) == Contents()
    await storage.put_document(bucket, VERSIONING, b"Enabled")
    for number in range(1200):
        await put(storage, bucket, f"dir/{number}", b"123")
    for content in (b"1", b"22", b"333"):
        await put(storage, bucket, "many", content)
    await put(storage, bucket, "gone", b"4444")
    await storage.delete_object(bucket, "gone", NO_CONDITION)
    upload = await start_upload(storage, bucket, "part")
    await put_part(storage, bucket, upload, 1, b"55555")
    assert await measure(storage, bucket) == Contents(
        objects=1201,
        bytes=3600 + 3,
        older_versions=3,
        older_bytes=1 + 2 + 4,
        delete_markers=1,
        uploads=1,
        upload_bytes=5,
    )
