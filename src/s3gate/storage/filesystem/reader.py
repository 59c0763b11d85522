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
from s3gate.storage.filesystem.threads import close_read_file

__all__ = ["FileReader"]

_INLINE_BYTES = 256 << 10


class FileReader:
    """One version of an object, held open. `fd` stays valid until close(); it is read in pieces of `chunk_bytes`.

    `record` is the record that belongs to these bytes.
    `reads_inline`: a small part is read on the event loop, which it takes microseconds if it is in memory.
    """

    reads_inline = True
    _reading: asyncio.Future[bytes] | None = None

    def __init__(
        self, fd: int, stat: os.stat_result, record: ObjectRecord, executor: Executor, chunk_bytes: int = 1 << 20
    ) -> None:
        self.fd = fd
        self.record = record
        self._stat = stat
        self._executor = executor
        self._chunk_bytes = chunk_bytes

    @property
    def file(self) -> int | None:
        """See ObjectReader.file."""
        return self.fd if self.fd >= 0 else None

    def require_unchanged(self) -> None:
        """Raise InternalError when another program has changed the file in place since it was opened.

        To be called after the last byte was read, and before it is sent: what was read may be of two states, and a
        client that has every byte it was promised takes them for the object with this ETag.
        """
        now, then = os.fstat(self.fd), self._stat
        if now.st_mtime_ns != then.st_mtime_ns or now.st_size != then.st_size:
            raise S3Error("InternalError", "The object was changed by another program while it was read")

    async def read(self, start: int, length: int) -> Buffer:
        """See ObjectReader.read."""
        if length <= _INLINE_BYTES and self.reads_inline:
            piece = os.pread(self.fd, length, start)
            if len(piece) == length:
                self.require_unchanged()
                return piece
        return await self._read_pieces(start, length)

    @seam
    async def _read_pieces(self, start: int, length: int) -> Buffer:
        pieces = []
        end = start + length
        while start < end:
            wanted = min(end - start, self._chunk_bytes)
            piece = await self._pread(wanted, start)
            if not piece:
                raise S3Error("InternalError", "The object became shorter while it was read")
            pieces.append(piece)
            start += len(piece)
        self.require_unchanged()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self, start: int, length: int) -> AsyncIterator[Buffer]:
        """See ObjectReader.chunks."""
        end = start + length
        while start < end:
            piece = await self._pread(min(end - start, self._chunk_bytes), start)
            if not piece:
                raise S3Error("InternalError", "The object became shorter while it was read")
            start += len(piece)
            if start == end:
                self.require_unchanged()
            yield piece

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
            close_read_file(self._executor, fd, self.record.size)
