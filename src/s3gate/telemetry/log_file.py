"""A file of requests to which several processes append whole lines, a batch at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import stat as modes
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from s3gate.telemetry.served import Served

__all__ = ["STDOUT", "LogFile", "Render", "open_log"]

Render = Callable[[Sequence[Served]], bytes]

_log = logging.getLogger(__name__)

STDOUT = "-"
_BATCH = 64  # requests; their lines are some 64 KiB
_BATCH_SECONDS = 0.2
# What waits for a disk or a reader that does not keep up; what comes beyond is lost, and requests go on.
_MOST_WAITING = 16 << 20
# One write of so many bytes to a pipe is never mixed with those of other processes (pipe(7)).
_PIPE_BYTES = select.PIPE_BUF
_STOP_SECONDS = 5.0
_COMPLAINT_SECONDS = 60.0
# O_NONBLOCK: a pipe that nobody reads is told, and not waited for.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o640
_NOT_OPEN = -1


def open_log(path: str) -> int:
    """The descriptor of a log, to be closed. Raises OSError."""
    return os.dup(1) if path == STDOUT else os.open(path, _FLAGS, _MODE)


class LogFile:
    """Requests for the file at `path`, or for the standard output (`STDOUT`). Implements TelemetrySink.

    `render` makes a line of each, when 64 have come together or 0.2 seconds after the first of them: many at a time
    take half the time of one by one. They are written in a thread, with O_APPEND: so neither a request nor another
    process's lines are ever in the way. `lost` is told how many could not be written. A file that cannot be opened is
    tried again with each batch: a worker that takes the place of another serves also where its log cannot be.
    """

    def __init__(self, path: str, render: Render, lost: Callable[[int], None]) -> None:
        self._path = path
        self._render = render
        self._lost = lost
        self._requests: list[Served] = []
        self._handed = 0  # bytes that were given to the thread; changed on the event loop alone
        self._done = 0  # those that it is done with; changed in the thread alone
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _NOT_OPEN
        self._closed = False
        self._is_pipe = False
        self._torn = False
        self._complained = -_COMPLAINT_SECONDS

    async def start(self) -> None:
        """Open the file, if that can be now."""
        self._loop = asyncio.get_running_loop()
        try:
            self._open()
        except OSError as error:
            self._complain(f"cannot be opened: {error.strerror}")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="s3gate-log")

    async def stop(self) -> None:
        """Write what is left, and close; a reader of a pipe that takes nothing is waited for a few seconds."""
        self.flush()
        self._closed = True
        closed = self._loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)
        await asyncio.wait([closed], timeout=_STOP_SECONDS)

    def reopen(self) -> None:
        """Write what is left to the file as it is open, then open its name again. Where that fails it stays open."""
        self.flush()
        self._thread.submit(self._renew)

    def take(self, served: Served) -> None:
        """See ServedSink."""
        self._requests.append(served)
        if self._timer is None:
            self._timer = self._loop.call_later(_BATCH_SECONDS, self.flush)
        elif len(self._requests) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Give what has come to the thread that writes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._requests:
            return
        requests, self._requests = self._requests, []
        count = len(requests)
        try:
            lines = self._render(requests)
        except Exception:  # those that come next are not to meet the same
            _log.exception("%d lines of the log %s cannot be made", count, self._path)
            self._lost(count)
            return
        if self._closed:  # a request that was cut off when the grace time of a stop was over
            self._lost(count)
            return
        if self._handed - self._done > _MOST_WAITING:
            self._lost(count)
            self._complain("does not take its lines fast enough")
            return
        self._handed += len(lines)
        self._thread.submit(self._append, lines)

    def _open(self) -> None:
        fd = open_log(self._path)
        self._is_pipe = modes.S_ISFIFO(os.fstat(fd).st_mode)
        self._fd = fd

    def _close(self) -> None:
        if self._fd != _NOT_OPEN:
            os.close(self._fd)

    def _renew(self) -> None:
        before = self._fd
        try:
            self._open()
        except OSError as error:
            self._complain(f"cannot be opened again, and goes on where it was: {error.strerror}")
        else:
            if before != _NOT_OPEN:
                os.close(before)
            self._torn = False

    def _append(self, lines: bytes) -> None:
        written = 0
        try:
            if self._fd == _NOT_OPEN:
                self._open()
            for piece in _pieces(lines, _PIPE_BYTES) if self._is_pipe else (lines,):
                if self._torn:  # an error has left a part of a line: what comes next is not to be joined with it
                    list(self._write(b"\n"))
                    self._torn = False
                for count in self._write(piece):
                    written += count
        except OSError as error:
            self._torn = written > 0 and lines[written - 1 : written] != b"\n"
            self._lost(lines[written:].count(b"\n"))
            self._complain(f"cannot be written: {error.strerror}")
        finally:
            self._done += len(lines)

    def _write(self, data: bytes) -> Iterator[int]:
        """Write all of it; gives how much at each step, for an error may come after a part."""
        view = memoryview(data)
        while view:
            try:
                count = os.write(self._fd, view)
            except BlockingIOError:  # a standard output that somebody has made non-blocking
                select.select([], [self._fd], [])
                continue
            yield count
            view = view[count:]

    def _complain(self, what: str) -> None:
        now = time.monotonic()
        if now - self._complained >= _COMPLAINT_SECONDS:
            self._complained = now
            _log.error("the log %s %s", self._path, what)


def _pieces(lines: bytes, most: int) -> Iterator[bytes]:
    """The lines put together up to `most` bytes; a longer one stands alone."""
    piece: list[bytes] = []
    size = 0
    for line in lines.splitlines(keepends=True):
        if piece and size + len(line) > most:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)
