"""The backend for disks that have to be waited for: whatever may read one is done in threads."""

from __future__ import annotations

import asyncio
import os

from s3gate.core.values import Bucket, ObjectRecord
from s3gate.storage.backend import ObjectReader
from s3gate.storage.filesystem import reading
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.os_errors import seam
from s3gate.storage.filesystem.reader import FileReader

__all__ = ["ColdDiskBackend"]


class ColdDiskBackend(FilesystemBackend):
    """A FilesystemBackend whose event loop never waits for an object to be looked up or read."""

    @seam
    async def open_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectReader:
        """See Backend.open_object."""
        source = self._source(bucket, key)
        opening = asyncio.get_running_loop().run_in_executor(
            self._store.executor, reading.open_reader, *source, version_id
        )
        try:
            reader = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise
        reader.reads_inline = False
        return reader

    @seam
    async def stat_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectRecord:
        """See Backend.stat_object."""
        return await self._off_loop(reading.read_record, *self._source(bucket, key), version_id)


def _close(opened: asyncio.Future[FileReader]) -> None:
    """Nobody is left to read it."""
    if not opened.cancelled() and opened.exception() is None:
        os.close(opened.result().fd)
