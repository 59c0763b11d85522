"""The body of a request as it comes from the client, and what is left of it when nobody wants it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from typing import Any

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.server.cycle import PIECES
from s3gate.server.eager import Waiting, go_on, start

__all__ = ["BATCH_BYTES", "ClientDisconnected", "Receive", "RequestBody", "joining"]

Receive = Callable[[], Coroutine[Any, Any, MutableMapping[str, Any]]]

BATCH_BYTES = 1 << 20
# What is left of an unwanted body up to this size passes by and the connection lives on; a longer one ends it.
_TOLERATED = 256 << 10
# How much and how long a client that is still sending is listened to, so that it gets to read the answer.
_DISCARD_BYTES = 8 << 20
_DISCARD_SECONDS = 2.0
# How long a client may send nothing in the middle of a body.
_STALL_SECONDS = 60.0
# How long a batch waits to become full.
_SLOW_SECONDS = 1.0


class ClientDisconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class RequestBody:
    """A `Body` over ASGI's receive. Nothing is received before the first batch is asked for.

    That is what makes a refusal come before `100 Continue`: the server sends that at the first receive. `ended_ns` is
    when the last byte came, by time.perf_counter_ns; 0 as long as it has not.
    """

    ended_ns = 0
    _length: int | None = None
    _expects = False
    _asked = False
    _received = 0

    def __init__(self, receive: Receive, headers: Mapping[str, str], batch_bytes: int = BATCH_BYTES) -> None:
        self._batch_bytes = batch_bytes
        self._receive = receive
        length = headers.get("content-length")
        if length is not None:
            self._length = int(length) if length.isdigit() else None
        if "expect" in headers:
            self._expects = headers["expect"].lower() == "100-continue"
        # A client that expects `100 Continue` gets it before an empty body too: botocore takes the answer that comes
        # instead for the one to its next request.
        nothing = self._length == 0 and not self._expects
        self._ended = nothing or (self._length is None and "transfer-encoding" not in headers)

    async def batch(self) -> list[Buffer]:
        """The next about `batch_bytes` as a list of pieces as they arrived; an empty one at the end of the body.

        A batch is smaller where the client is slow: what it sent does not stay in the memory of this process.
        """
        if self._ended:
            return []
        try:
            pieces = await self._next(_STALL_SECONDS)
        except TimeoutError:
            raise S3Error("RequestTimeout") from None
        return pieces if self._ended else await self._fill(pieces)

    async def _fill(self, pieces: list[Buffer]) -> list[Buffer]:
        """The batch that begins with these pieces, and does not end the body yet."""
        now = asyncio.get_running_loop().time
        size = sum(map(len, pieces))
        due = now() + _SLOW_SECONDS
        while not self._ended and size < self._batch_bytes and not (pieces and now() >= due):
            try:
                more = await self._next(due - now() if pieces else _STALL_SECONDS)
            except TimeoutError:
                if not pieces:
                    raise S3Error("RequestTimeout") from None
                break
            if more and not pieces:
                due = now() + _SLOW_SECONDS
            pieces += more
            size += sum(map(len, more))
        return pieces

    async def _next(self, patience: float) -> list[Buffer]:
        """The next pieces; TimeoutError when none come for so many seconds."""
        self._asked = True
        receiving = self._receive()
        try:
            message = start(receiving)  # what has come already needs no clock
        except Waiting as waiting:
            async with asyncio.timeout(patience):
                message = await go_on(receiving, waiting.future)
        if message["type"] == "http.disconnect":
            self._ended = True
            raise ClientDisconnected
        pieces: list[Buffer] | None = message.get(PIECES)
        if pieces is None:
            body = message.get("body")
            pieces = [body] if body else []
        self._received += sum(map(len, pieces))
        self._ended = not message.get("more_body", False)
        if self._ended:
            self.ended_ns = time.perf_counter_ns()
        return pieces

    @property
    def received(self) -> int:
        """How many bytes have been received."""
        return self._received

    @property
    def ends_connection(self) -> bool:
        """Whether the answer must close the connection, because too much of the body is still to come.

        So it is for a client that waits for `100 Continue` and gets another answer: whether it then sends its body is
        its own choice (RFC 9110 section 10.1.1), and what comes next would be taken for the one or the other.
        """
        if self._ended:
            return False
        if self._length is None or (self._expects and not self._asked):
            return True
        return self._length - self._received > _TOLERATED

    async def discard(self) -> None:
        """Receive for a short while what the client still sends, until it ends or goes away.

        Closing at once would reset the connection under a client that is sending, and with it the answer.
        """
        limit = self._received + _DISCARD_BYTES
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._ended and self._received < limit:
                    await self._next(_STALL_SECONDS)
        except (TimeoutError, ClientDisconnected):
            return


def joining(receive: Receive) -> Receive:
    """The same for an application that knows nothing of bodies in pieces."""

    async def received() -> MutableMapping[str, Any]:
        message = await receive()
        if PIECES in message:
            message["body"] = b"".join(message.pop(PIECES))
        return message

    return received
