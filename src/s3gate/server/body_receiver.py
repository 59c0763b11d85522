"""Large bodies from a connection into memory, past its parser: nothing in them is HTTP."""

from __future__ import annotations

import asyncio
from typing import Protocol

from s3gate.core.checksums import Buffer

__all__ = ["LARGE_BODY", "BodyReceiver", "ReceiveBuffer", "Receiving", "Taking"]

# What is left of a body that comes past the parser, in bytes: below that the change of ways costs more than it saves.
LARGE_BODY = 256 << 10

# A read that fills less of its block than this is copied out of it, so that nobody keeps much more than he has.
_FULL = 3 / 4


class ReceiveBuffer:
    """Where connections of one event loop put what comes, each in its turn: none keeps memory while nothing comes."""

    def __init__(self) -> None:
        self._block = bytearray()

    def room(self, size: int) -> memoryview:
        """Room for so many bytes at most; it holds until `take`, which is called in the same turn of the loop."""
        if len(self._block) < size:
            self._block = bytearray(size)
        return memoryview(self._block)[:size]

    def take(self, size: int) -> Buffer:
        """The first bytes of the room that was given last."""
        block = self._block
        if size < len(block) * _FULL:
            return bytes(memoryview(block)[:size])
        self._block = bytearray()
        return memoryview(block)[:size]


class Receiving(Protocol):
    """The connection whose body is received. All but the bytes is still its own."""

    receive_buffer: ReceiveBuffer

    def rest_received(self) -> None:
        """More has come of a body whose request is answered already: the connection is not idle."""

    def body_received(self) -> None:
        """All of the body has come: what follows is for the parser again."""

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""


class Taking(Protocol):
    """The request whose body it is."""

    response_complete: bool

    def room(self) -> int:
        """How many bytes may be read at once."""

    def take(self, piece: Buffer) -> None:
        """The next bytes of the body have come."""


class BodyReceiver(asyncio.BufferedProtocol):
    """The protocol of a connection while `left` bytes of a body are still to come. It reads none beyond them."""

    def __init__(self, connection: Receiving, request: Taking, left: int) -> None:
        self._connection = connection
        self._request = request
        self._buffer = connection.receive_buffer
        self._left = left

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts what comes next; `buffer_updated` follows in the same turn."""
        return self._buffer.room(min(self._left, self._request.room()))

    def buffer_updated(self, nbytes: int) -> None:
        """So much has come."""
        piece = self._buffer.take(nbytes)
        self._left -= nbytes
        if self._request.response_complete:
            self._connection.rest_received()
        else:
            self._request.take(piece)
        if not self._left:
            self._connection.body_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._connection.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        return self._connection.eof_received()

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """It goes on."""
        self._connection.resume_writing()
