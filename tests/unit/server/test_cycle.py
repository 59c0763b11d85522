"""Large bodies on the protocol, over a real socket: files that are sent by the kernel, bodies that come in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from s3gate.server import protocol, uvicorn_parts
from s3gate.server.connections import TLS
from s3gate.server.cycle import FILE, HIGH_WATER, PIECES, TAKEN, WHOLE
from s3gate.server.file_sender import FileSender
from s3gate.server.protocol import GatewayProtocol
from s3gate.server.protocol_choice import protocol_class
from support.asgi import running
from support.certificates import self_signed

Address = tuple[str, int]

SIZE = 5_000_001
DATA = random.Random(1).randbytes(SIZE)


class Files:
    """An application of its own: GET /FROM-TO sends that range of a file, PUT notes the size of each piece.

    With ?whole the range is read and sent by one message, with ?more another message ends the answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pieces: list[int] = []
        self.faults: list[BaseException] = []
        self.taken: list[int] = []
        self.changed = False
        self.extensions: Mapping[str, object] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.extensions = scope["extensions"]
        try:
            await (self._put if scope["method"] == "PUT" else self._get)(scope, receive, send)
        except RuntimeError as fault:
            self.faults.append(fault)

    async def _get(self, scope: Any, receive: Any, send: Any) -> None:
        start, _, end = scope["path"].strip("/").partition("-")
        length = int(end) - int(start)
        head = b"content-length: %d\r\nx-path: %b\r\n" % (length, scope["raw_path"])
        answer = {"status": 200, "head": head}
        if scope["query_string"] == b"whole":
            await send({"type": WHOLE, **answer, "body": self.path.read_bytes()[int(start) : int(end)]})
            return
        more = scope["query_string"] == b"more"
        fd = os.open(self.path, os.O_RDONLY)
        try:
            part = {"file": fd, "offset": int(start), "count": length, "check": self.check, "more_body": more}
            await send(message := {"type": FILE, **answer, **part})
        finally:
            os.close(fd)
            self.taken.append(message[TAKEN])
        if more:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def check(self) -> None:
        """Before the last bytes of a file."""
        if self.changed:
            raise RuntimeError("the file was changed")

    async def _put(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            assert message["body"] == b""
            self.pieces += [len(piece) for piece in message[PIECES]]
            body += b"".join(message[PIECES])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Files, Address]]:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    app = Files(path)
    with running(app, protocol_class(zero_copy=True, pieces=True, whole=True), loop=request.param) as address:
        yield app, address


def head(line: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{line} HTTP/{version}", "Host: h", *headers, "", ""]).encode()


def talk(address: Address, *pieces: bytes) -> bytes:
    """Send, and read until the server closes the connection."""
    with socket.create_connection(address, timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while piece := connection.recv(1 << 20):
            answer += piece
        return answer


def bodies(answer: bytes) -> list[bytes]:
    """The bodies of answers that follow one another."""
    found = []
    while answer:
        top, _, answer = answer.partition(b"\r\n\r\n")
        (length,) = [line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        size = int(length.partition(b":")[2])
        found.append(answer[:size])
        answer = answer[size:]
    return found


def test_ranges_of_a_file_follow_one_another_on_one_connection(server):
    _, address = server
    spans = [(0, SIZE), (17, 18), (4095, 900_000), (SIZE - 5, SIZE), (1, 2_000_000)]
    lines = [head(f"GET /{start}-{end}") for start, end in spans]
    answer = talk(address, *lines[:-1], lines[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert bodies(answer) == [DATA[start:end] for start, end in spans]


def test_requests_in_one_packet_are_answered_in_their_order(server):
    _, address = server
    last = head("GET /0-5", "Connection: close")
    answer = talk(address, head("GET /0-1000000") + head("GET /5-10") + head("GET /0-3000000") + last)
    assert bodies(answer) == [DATA[:1_000_000], DATA[5:10], DATA[:3_000_000], DATA[:5]]


def test_a_head_request_gets_no_byte_of_the_file(server):
    _, address = server
    answer = talk(address, head("HEAD /0-1000000"), head("GET /0-5", "Connection: close"))
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert b"content-length: 1000000" in first
    assert bodies(rest) == [DATA[:5]]


def test_http_1_0_gets_the_file_and_the_end_of_the_connection(server):
    _, address = server
    assert bodies(talk(address, head("GET /0-1000000", version="1.0"))) == [DATA[:1_000_000]]


def test_a_file_that_is_too_short_ends_the_connection_before_its_time(server):
    _, address = server
    answer = talk(address, head(f"GET /{SIZE - 1000}-{SIZE + 1000}"))
    assert answer.partition(b"\r\n\r\n")[2] == DATA[-1000:]
    assert talk(address, head("GET /0-5", "Connection: close")).endswith(DATA[:5])


def test_a_file_that_was_changed_ends_the_connection_before_its_last_bytes(server):
    app, address = server
    app.changed = True
    answer = talk(address, head(f"GET /0-{SIZE}"))
    kept = 16 << 10
    assert answer.partition(b"\r\n\r\n")[2] == DATA[:-kept]
    assert app.taken == [SIZE - kept]
    assert app.faults


def test_a_file_comes_behind_answers_that_still_wait_to_be_written(server):
    _, address = server
    last = head("GET /5-400000", "Connection: close")
    answer = talk(address, head("GET /0-5?whole") + head("GET /0-3000000") + head("GET /1-3000000?whole") + last)
    assert bodies(answer) == [DATA[:5], DATA[:3_000_000], DATA[1:3_000_000], DATA[5:400_000]]


@pytest.mark.parametrize("size", [0, 1, 20])
def test_what_the_socket_does_not_take_of_a_head_is_sent_before_the_file(server, monkeypatch, size):
    _, address = server
    begin = FileSender.begin
    monkeypatch.setattr(FileSender, "begin", lambda sender, head: begin(sender, head[:size]) if size else 0)
    answer = talk(address, head("GET /0-1000000"), head("GET /5-10", "Connection: close"))
    assert bodies(answer) == [DATA[:1_000_000], DATA[5:10]]


def test_an_answer_that_is_said_to_go_on_tells_of_the_end_of_the_connection(server):
    app, address = server
    answer = talk(address, head("GET /0-1000000?more"))
    assert b"\r\nconnection: close\r\n" in answer[:1000]
    assert bodies(answer) == [DATA[:1_000_000]]
    assert app.taken == [1_000_000]


def test_a_body_comes_in_pieces_and_whole(server):
    app, address = server
    answer = talk(address, head("PUT /", f"Content-Length: {SIZE}", "Connection: close") + DATA)
    assert bodies(answer) == [DATA]
    assert len(app.pieces) > 5
    assert max(app.pieces) < SIZE // 2


def test_small_pieces_are_joined(server):
    """Ten thousand chunks of three bytes do not become ten thousand objects."""
    app, address = server
    chunks = b"".join(b"3\r\n%b\r\n" % DATA[3 * n : 3 * n + 3] for n in range(10_000)) + b"0\r\n\r\n"
    answer = talk(address, head("PUT /", "Transfer-Encoding: chunked", "Connection: close") + chunks)
    assert bodies(answer) == [DATA[:30_000]]
    assert len(app.pieces) < 500


def test_a_client_that_expects_100_continue_gets_it_before_its_body(server):
    _, address = server
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head("PUT /", "Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"12345")
        answer = b""
        while piece := connection.recv(1000):
            answer += piece
    assert bodies(answer) == [b"12345"]


class Lazy:
    """An application that takes nothing of a body until the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.waiting = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        held = receive.__self__
        while not self.gate.is_set():  # the gate is opened by another thread
            await asyncio.sleep(0.01)
            self.waiting = held.held
        more, size = True, 0
        while more:
            message = await receive()
            size += sum(map(len, message[PIECES]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


def test_a_client_is_made_to_wait_when_nobody_takes_its_body():
    app = Lazy()
    with (
        running(app, protocol_class(zero_copy=True, pieces=True, whole=True)) as address,
        socket.create_connection(address, timeout=20) as connection,
    ):
        connection.sendall(head("PUT /", f"Content-Length: {64 << 20}", "Connection: close"))
        connection.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += connection.send(DATA[: 1 << 20])
        assert HIGH_WATER < app.waiting < 2 * HIGH_WATER
        app.gate.set()
        connection.settimeout(20)
        while sent < 64 << 20:
            sent += connection.send(DATA[: min(1 << 20, (64 << 20) - sent)])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "announced",
    [{FILE, PIECES, WHOLE}, {FILE}, {PIECES}, {WHOLE}, set()],
    ids=lambda announced: "-".join(sorted(announced)) or "none",
)
def test_the_application_is_told_what_it_can_use(tmp_path, announced):
    app = Files(tmp_path)
    protocol = protocol_class(zero_copy=FILE in announced, pieces=PIECES in announced, whole=WHOLE in announced)
    with running(app, protocol) as address:
        talk(address, head("GET /0-0", "Connection: close"))
    assert app.extensions.keys() == announced


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_nothing_is_sent_past_the_encryption(tmp_path, loop):
    """Over TLS the application is not told of files, and bodies come in pieces all the same."""
    certificate, key = self_signed(tmp_path)
    app = Files(tmp_path)
    kind = protocol_class(zero_copy=True, pieces=True, whole=True)
    trust = ssl.create_default_context(cafile=certificate)
    with (
        running(app, kind, loop=loop, ssl_certfile=certificate, ssl_keyfile=key) as address,
        socket.create_connection(address, timeout=20) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(head("PUT /", f"Content-Length: {SIZE}", "Connection: close") + DATA)
        answer = b""
        while piece := connection.recv(1 << 20):
            answer += piece
    assert bodies(answer) == [DATA]
    assert app.extensions.keys() == {PIECES, WHOLE, TLS}
    assert app.extensions[TLS]["version"].startswith("TLSv1.")
    assert app.extensions[TLS]["cipher"]


def test_the_classes_rely_on_nothing_that_uvicorn_does_not_have():
    assert uvicorn_parts.missing_from_cycle() == []


def test_a_release_without_what_is_needed_takes_the_slow_way_and_says_so(monkeypatch, caplog):
    class Changed(RequestResponseCycle):
        def __init__(self) -> None:
            self.scope = None

    monkeypatch.setattr(uvicorn_parts, "RequestResponseCycle", Changed)
    assert protocol_class(zero_copy=True, pieces=True, whole=True) is GatewayProtocol
    (record,) = caplog.records
    assert "transport" in record.getMessage()
    assert protocol.GatewayProtocol.extensions == {}
