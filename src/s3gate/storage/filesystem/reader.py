"""An open object: its bytes from one descriptor, its record from the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord
from s3gate.storage.filesystem.os_errors import seam
from s3gate.storage.filesystem.threads import close_file

__all__ = ["FileReader"]

_CHUNK_BYTES = 1 << 20
_INLINE_BYTES = 256 << 10


class FileReader:
    """One version of an object, held open. `fd` stays valid until close()."""

    def __init__(self, fd: int, record: ObjectRecord, executor: Executor) -> None:
        self.fd = fd
        self._record = record
        self._executor = executor
        self._reading: asyncio.Future[bytes] | None = None

    @property
    def record(self) -> ObjectRecord:
        """The record that belongs to these bytes."""
        return self._record

    @seam
    async def read(self, start: int, length: int) -> Buffer:
        """See ObjectReader.read."""
        pieces = []
        end = start + length
        while start < end:
            wanted = min(end - start, _CHUNK_BYTES)
            piece = os.pread(self.fd, wanted, start) if length <= _INLINE_BYTES else await self._pread(wanted, start)
            if not piece:
                raise S3Error("InternalError", "The object became shorter while it was read")
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self, start: int, length: int) -> AsyncIterator[Buffer]:
        """See ObjectReader.chunks."""
        end = start + length
        while start < end:
            piece = await self._pread(min(end - start, _CHUNK_BYTES), start)
            if not piece:
                raise S3Error("InternalError", "The object became shorter while it was read")
            yield piece
            start += len(piece)

    async def _pread(self, length: int, start: int) -> bytes:
        self._reading = asyncio.get_running_loop().run_in_executor(self._executor, os.pread, self.fd, length, start)
        return await asyncio.shield(self._reading)

    async def close(self) -> None:
        """See ObjectReader.close. Waits for a thread that still reads: its descriptor must not be reused under it."""
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        try:
            if self._reading is not None and not self._reading.done():
                await asyncio.wait([self._reading])
        finally:
            close_file(self._executor, fd, self._record.size)
