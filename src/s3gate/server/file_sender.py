"""Bytes of a file to a socket inside the kernel: sendfile beside an event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor

__all__ = ["STEP_BYTES", "FileEnded", "FileSender"]

# What is sent in one step on the event loop, from memory to memory: some 0.2 ms a mebibyte.
STEP_BYTES = 1 << 20
# What a thread sends at most before others get their turn.
_JOB_BYTES = 16 << 20
# How much of a range goes out only once it is certain that what went before was of one state.
_LAST_BYTES = 16 << 10


class FileEnded(Exception):
    """The file has become shorter than what was to be sent of it."""


class FileSender:
    """Sends ranges of files over a connected socket that does not block; closed by whoever made it.

    Bytes that are in memory are sent on the event loop, in short steps. What has to be read from a disk first is sent
    by a thread, for as long as the socket takes it. A socket that takes no more is waited for on the loop: nobody who
    reads slowly, or not at all, holds a thread.

    The sender has a descriptor of the socket of its own, so that the number cannot come to mean another connection.
    `sent` is how many bytes the socket has taken so far.
    """

    def __init__(self, connected: int, executor: Executor, step_bytes: int = STEP_BYTES) -> None:
        self._loop = asyncio.get_running_loop()
        self._executor = executor
        self._step_bytes = step_bytes
        self._fd = os.dup(connected)
        self._socket = socket.SocketType(fileno=self._fd)
        self._waiting: asyncio.Future[None] | None = None
        self._abandoned = False
        self.sent = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def abandon(self) -> None:
        """The connection is gone: `send` raises ConnectionAbortedError instead of waiting for the socket any more."""
        self._abandoned = True
        self._wake()

    def begin(self, head: bytes) -> int:
        """Send what goes before a file, as far as the socket takes it; how much that is. It waits for the file."""
        try:
            return self._socket.send(head, socket.MSG_MORE)
        except BlockingIOError:
            return 0

    async def send(self, file: int, offset: int, count: int, check: Callable[[], None]) -> None:
        """Send `count` bytes of `file` from `offset` on; the last ones after `check`, unless that raises.

        Raises FileEnded where the file is too short, and OSError: of the socket ConnectionError and its like, of the
        file what reading it gives. A thread that still sends is waited for in any case, also when this task is
        cancelled: the caller may close `file` then.
        """
        end = offset + count
        last = max(offset, end - _LAST_BYTES)
        await self._send(file, offset, last)
        check()
        await self._send(file, last, end)

    async def _send(self, file: int, offset: int, end: int) -> None:
        while offset < end:
            if self._abandoned:
                raise ConnectionAbortedError
            wanted = min(end - offset, self._step_bytes)
            if _is_resident(file, offset, wanted):
                sent = _send(self._fd, file, offset, wanted)
            else:
                wanted = min(end - offset, _JOB_BYTES)
                sent = await self._send_in_thread(file, offset, wanted)
            offset += sent
            self.sent += sent
            if sent < wanted:
                await self._until_writable()
            elif offset < end:
                await asyncio.sleep(0)

    async def _send_in_thread(self, file: int, offset: int, count: int) -> int:
        arguments = self._fd, file, offset, count, self._step_bytes
        work = self._loop.run_in_executor(self._executor, _send_while_moving, *arguments)
        cancelled = False
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            work.exception()  # taken note of: nobody is left who could be told
            raise asyncio.CancelledError
        return work.result()

    async def _until_writable(self) -> None:
        if self._abandoned:
            return
        self._waiting = self._loop.create_future()
        self._loop.add_writer(self._fd, self._wake)
        try:
            await self._waiting
        finally:
            self._loop.remove_writer(self._fd)
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _is_resident(file: int, offset: int, count: int) -> bool:
    """Whether a range can be read without waiting for a disk, as far as its ends tell.

    False too where the filesystem cannot say (NFS): a thread waits for it then.
    """
    try:
        for at in (offset, offset + count - 1):
            os.preadv(file, [bytearray(1)], at, os.RWF_NOWAIT)
    except OSError:
        return False
    return True


def _send(socket: int, file: int, offset: int, count: int) -> int:
    """How many bytes the socket took, 0 when it takes none now; it takes fewer than `count` when it is full."""
    try:
        sent = os.sendfile(socket, file, offset, count)
    except BlockingIOError:
        return 0
    if not sent:
        raise FileEnded
    return sent


def _send_while_moving(socket: int, file: int, offset: int, count: int, step_bytes: int) -> int:
    """Send until the socket takes no more. Waits for the disk, never for the socket."""
    done = 0
    while done < count:
        sent = _send(socket, file, offset + done, min(count - done, step_bytes))
        if not sent:
            break
        done += sent
    return done
