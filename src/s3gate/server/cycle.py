"""One request and its answer on uvicorn's HTTP/1.1 protocol, with ways of its own for large bodies.

Extensions of ASGI of this gateway's own. The body of a request is handed over in the pieces in which it came, not
joined: a message of type http.request has a list under PIECES and an empty `body`. An answer that is all at hand is
sent by one message of type WHOLE, with `status`, `head` (its header lines) and `body`. One whose body is a range of a
file is sent by one of type FILE, with `status`, `head`, `file` (a descriptor), `offset`, `count`, and `check`: that
is called before the last bytes go out, and stops them by what it raises. With `more_body` the connection ends with
this answer, once an empty http.response.body has said so. Each message that has a part of the body gets under TAKEN,
once it is sent, how many bytes of the whole body the system has taken for the client so far, also when the client is
gone.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import MutableMapping
from concurrent.futures import Executor
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from s3gate.core.checksums import Buffer
from s3gate.core.upload_memory import IN_CONNECTION
from s3gate.server.file_sender import FileSender
from s3gate.server.turns import Turns, write

__all__ = [
    "FILE",
    "HIGH_WATER",
    "PIECES",
    "TAKEN",
    "WHOLE",
    "Connection",
    "PiecesCycle",
    "SendingCycle",
]

PIECES = "s3gate.pieces"
WHOLE = "s3gate.whole"
FILE = "s3gate.file"
TAKEN = "s3gate.taken"
# Bytes of a body that wait here for whoever takes them, before the client is made to wait.
HIGH_WATER = IN_CONNECTION
_READ, _LAST_READ = 512 << 10, 256 << 10
# Who takes a body is woken for so much of it, or for what has come when no more follows for a moment: to be woken for
# each piece costs more than to take it.
_WAKE_BYTES = 512 << 10
_WAKE_SECONDS = 0.002
# Pieces below this are joined: each of its own would cost more memory than it holds.
_SMALL = 4 << 10
# A body up to this size is copied behind its headers; a longer one is a piece of its own.
_JOINED = 16 << 10
_BODY = "http.response.body"
# Errors of a socket whose client is gone, beside those that are ConnectionErrors.
_GONE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ETIMEDOUT})

Message = MutableMapping[str, Any]


class Connection(Protocol):
    """What a cycle needs of its connection.

    `sender` is told when that is lost, `executor` is where disks are read, `step_bytes` are sent of a file at once.
    `turns` writes answers together.
    """

    sender: FileSender | None
    turns: Turns | None
    executor: Executor
    step_bytes: int
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    server_state: ServerState
    expect_100_continue: bool

    def on_response_complete(self) -> None:
        """An answer has been sent."""


class SendingCycle(RequestResponseCycle):
    """A cycle that sends ranges of files.

    Made by the connection itself and not by uvicorn, whose own way is to set twenty attributes for each request: what
    most requests leave as it is stands in the class.
    """

    disconnected = False
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    more_body = True
    access_log = False
    logger = logging.getLogger("uvicorn.error")
    body: Any = b""  # grows into bytes of its own
    handed = 0  # bytes of the body that were written to the connection
    taken = 0  # how many of them the system has for sure
    # uvicorn's own headers, of which it makes a new list with each second, and their lines
    default_lines: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")

    def __init__(self, connection: Connection, scope: Any, *, keep_alive: bool) -> None:
        self.connection = connection
        self.scope = scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.waiting_for_100_continue = connection.expect_100_continue
        self.keep_alive = keep_alive
        self.message_event = asyncio.Event()
        self.pieces: list[Buffer] = []  # of a body, those that wait: see PiecesCycle

    def send(self, message: Any) -> Any:
        """ASGI's send."""
        kind = message["type"]
        if kind == WHOLE:
            return self._send_whole(message)
        if kind == FILE:
            return self._send_file(message)
        if kind == _BODY:
            return self._send_body(message)
        return super().send(message)

    async def _send_body(self, message: Any) -> None:
        await super().send(message)
        if not self.disconnected and self.scope["method"] != "HEAD":
            self.handed += len(message.get("body", b""))
            # What waits here when the client goes away was never sent; at the end nobody waits to see.
            waiting = self.transport.get_write_buffer_size() if message.get("more_body", False) else 0
            self.taken = max(self.taken, self.handed - waiting)
        message[TAKEN] = self.taken

    async def _send_whole(self, message: Message) -> None:
        """Send an answer in one piece.

        Its header lines hold nothing that HTTP does not allow, and the body is as long as they say: uvicorn looks at
        each of them again, which takes as long as all else that it does.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            message[TAKEN] = 0
            return
        if self.response_started:
            raise RuntimeError("The answer has begun already")
        head, body = self._head(message), message["body"]
        pieces = (b"".join((*head, body)),) if len(body) <= _JOINED else (b"".join(head), body)
        turns = self.connection.turns
        if turns is not None and self.keep_alive:
            turns.write(self.transport, pieces)
        else:
            write(self.transport, pieces)
        message[TAKEN] = len(body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def _send_file(self, message: Message) -> None:
        """Send an answer whose body is a range of a file; what is said of the head in `_send_whole` holds here.

        Head and bytes go to the socket itself, where nothing waits before them: the first packet has both.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        message[TAKEN] = 0
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("The answer has begun already")
        more = message.get("more_body", False)
        self.keep_alive = self.keep_alive and not more
        self.response_started = True
        self.waiting_for_100_continue = False
        try:
            await self._send_range(b"".join(self._head(message)), message)
        finally:
            message[TAKEN] = self.taken
        if self.disconnected or more:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _head(self, message: Message) -> tuple[bytes, ...]:
        """The lines of the head of an answer, to be joined."""
        known, lines = SendingCycle.default_lines
        if known is not self.default_headers:
            lines = b"".join([b"%b: %b\r\n" % header for header in self.default_headers])
            SendingCycle.default_lines = self.default_headers, lines
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        return STATUS_LINE[message["status"]], lines, message["head"], end

    async def _until_written(self) -> None:
        """Wait until the kernel has all that was sent before: what it is given now goes out behind it."""
        transport = self.transport
        if transport.get_write_buffer_size():
            await asyncio.sleep(0)  # uvloop writes at the end of its turn
        if transport.get_write_buffer_size() and not self.disconnected:
            transport.set_write_buffer_limits(high=0)
            try:
                while transport.get_write_buffer_size() and not self.disconnected:
                    await self.flow.drain()
                    await asyncio.sleep(0)
            finally:
                transport.set_write_buffer_limits()

    async def _send_range(self, head: bytes, message: Message) -> None:
        connection, transport = self.connection, self.transport
        count = 0 if self.scope["method"] == "HEAD" else message["count"]
        sender = FileSender(transport.get_extra_info("socket").fileno(), connection.executor, connection.step_bytes)
        connection.sender = sender
        try:
            taken = 0 if transport.get_write_buffer_size() else sender.begin(head)
            if taken < len(head):
                transport.write(head[taken:])
                await self._until_written()
            await sender.send(message["file"], message["offset"], count, message["check"])
        except OSError as error:
            if not isinstance(error, ConnectionError) and error.errno not in _GONE:
                raise
            self.disconnected = True
            self.message_event.set()
            transport.abort()
        finally:
            connection.sender = None
            self.taken = self.handed = sender.sent
            sender.close()


class PiecesCycle(SendingCycle):
    """A cycle that hands over a body in pieces besides. `pieces` are those that wait, `held` is their size in bytes."""

    held = 0
    waking: asyncio.TimerHandle | None = None

    pieces: list[Buffer]

    def take(self, piece: Buffer, *, wakes: bool = True) -> None:
        """The next bytes of the body have come; without `wakes` nobody waits for them yet."""
        self.held += len(piece)
        if len(piece) >= _SMALL or not self.pieces:
            self.pieces.append(piece)
        elif isinstance(last := self.pieces[-1], bytearray) and len(last) < _SMALL:
            last += piece
        else:
            self.pieces.append(bytearray(piece))
        if self.held > HIGH_WATER:
            self.flow.pause_reading()
        if self.held >= _WAKE_BYTES or not wakes:
            self.message_event.set()
        elif self.waking is None:
            self.waking = self.connection.loop.call_later(_WAKE_SECONDS, self.message_event.set)

    def room(self) -> int:
        """How many bytes may be read at once: few pieces cost less than many, and the last may go beyond what waits."""
        return _READ if self.held + _READ <= HIGH_WATER else _LAST_READ

    async def receive(self) -> Any:
        """ASGI's receive."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not (self.disconnected or self.response_complete or self.message_event.is_set()):
            if self.held <= HIGH_WATER:
                self.flow.resume_reading()
            await self.message_event.wait()
        self.message_event.clear()
        if self.waking is not None:
            self.waking.cancel()
            self.waking = None
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        pieces, self.pieces, self.held = self.pieces, [], 0
        self.flow.resume_reading()
        return {"type": "http.request", "body": b"", PIECES: pieces, "more_body": self.more_body}
