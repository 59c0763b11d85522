"""HTTP/1.1 byte by byte over a socket of its own: requests as they are, and answers as they come."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from xml.etree import ElementTree

from support.gateway import Gateway

__all__ = ["Answer", "Connection", "Request", "ask", "chunked", "refusal"]

_SECONDS = 30


@dataclass(frozen=True)
class Request:
    """A request; `target` is the raw path and query, `headers` go out in their order, one byte a character."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def head(self) -> bytes:
        """Request line and headers, with the blank line."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def bytes(self) -> bytes:
        """All of it."""
        return self.head + self.body


@dataclass(frozen=True)
class Answer:
    """An answer; names of `headers` are in lower case, values one character a byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def error(self) -> dict[str, str]:
        """The elements of the error document, which must be whole and agree with the headers."""
        assert self.headers["content-type"] == "application/xml", self
        root = ElementTree.fromstring(self.body)  # noqa: S314  # the gateway under test wrote it
        assert root.tag == "Error"
        found = {child.tag: child.text or "" for child in root}
        assert found["Message"]
        assert found["RequestId"] == self.headers["x-amz-request-id"]
        assert "Resource" in found
        return found

    @property
    def code(self) -> str:
        """The code of the error document."""
        return self.error["Code"]


def refusal(answer: Answer) -> tuple[int, str]:
    """Status and code of an answer that refuses."""
    return answer.status, answer.code


class Connection:
    """A connection to a gateway, closed at the end of the `with` block."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send bytes, as far as the other side takes them."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                self.socket.sendall(piece)

    def _receive(self) -> bool:
        piece = self.socket.recv(1 << 18)
        self._buffer += piece
        return bool(piece)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, to a request of this method; `100 Continue` is one of its own."""
        while b"\r\n\r\n" not in self._buffer:
            assert self._receive(), f"the connection ended in a head: {self._buffer[:1000]!r}"
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            assert name.lower() not in headers, f"{name} stands twice"
            headers[name.lower()] = value.strip()
        status = int(status_line.split(" ")[1])
        if method == "HEAD" or status in (100, 204, 304):
            return Answer(status, headers)
        size = int(headers["content-length"])
        while len(self._buffer) < size:
            assert self._receive(), f"the connection ended after {len(self._buffer)} of {size} bytes"
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return Answer(status, headers, body)

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for its answer."""
        self.send(request.bytes)
        return self.answer(request.method)

    @property
    def ended(self) -> bool:
        """Wait for the other side to close; False when it says anything more."""
        try:
            return not self._buffer and not self._receive()
        except ConnectionResetError:
            return True


def ask(gateway: Gateway, request: Request) -> Answer:
    """The answer to a request on a connection of its own."""
    with Connection(gateway) as connection:
        return connection.ask(request)


def chunked(pieces: Iterable[bytes]) -> bytes:
    """A body with Transfer-Encoding: chunked."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
