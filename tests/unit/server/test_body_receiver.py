"""Large bodies past the parser: every byte of them and none beyond, and requests before and behind them."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.server.body_receiver import LARGE_BODY, BodyReceiver, ReceiveBuffer
from s3gate.server.cycle import PIECES
from s3gate.server.protocol_choice import protocol_class
from support.asgi import running
from support.certificates import self_signed

Connect = Callable[[], socket.socket]

SIZE = 3_000_001
DATA = random.Random(1).randbytes(SIZE)
BLOCK = 512 << 10


@given(st.lists(st.tuples(st.integers(1, 4096), st.floats(0, 1)), max_size=50))
def test_what_came_stays_as_it_was_whatever_comes_behind_it(reads):
    buffer = ReceiveBuffer()
    chance = random.Random(1)
    expected, pieces = [], []
    for size, share in reads:
        data = chance.randbytes(max(1, int(size * share)))
        buffer.room(size)[: len(data)] = data
        pieces.append(buffer.take(len(data)))
        expected.append(data)
    assert [bytes(piece) for piece in pieces] == expected


def test_a_small_read_keeps_no_block_for_itself():
    buffer = ReceiveBuffer()
    room = buffer.room(BLOCK)
    assert isinstance(buffer.take(BLOCK // 2), bytes)
    assert buffer.room(BLOCK).obj is room.obj
    assert buffer.take(BLOCK).obj is room.obj
    assert buffer.room(BLOCK).obj is not room.obj


class Storing:
    """An application that answers a body with itself; /early without waiting for it, after its first piece."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.gone = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return
            body += b"".join(message[PIECES])
            more = message["more_body"] and not (scope["path"] == "/early" and body)
        answer = b"early" if scope["path"] == "/early" else body
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def serving(app: Any, **options: Any) -> contextlib.AbstractContextManager[tuple[str, int]]:
    return running(app, protocol_class(zero_copy=True, pieces=True, whole=True), **options)


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much came past the parser, for each body."""
    sizes: list[int] = []
    init = BodyReceiver.__init__

    def noted(self: BodyReceiver, connection: Any, request: Any, left: int) -> None:
        sizes.append(left)
        init(self, connection, request, left)

    monkeypatch.setattr(BodyReceiver, "__init__", noted)
    return sizes


@pytest.fixture(params=["uvloop", "asyncio", "uvloop TLS", "asyncio TLS"])
def server(request: pytest.FixtureRequest, tmp_path: Path, received: list[int]) -> Iterator[tuple[Storing, Connect]]:
    app = Storing()
    loop, _, tls = request.param.partition(" ")
    certificate, key = self_signed(tmp_path)
    options = {"ssl_certfile": certificate, "ssl_keyfile": key} if tls else {}
    trust = ssl.create_default_context(cafile=certificate)
    with serving(app, loop=loop, **options) as address:

        def connect() -> socket.socket:
            plain = socket.create_connection(address, timeout=20)
            return trust.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain

        yield app, connect


def put(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"PUT {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answer(connection: socket.socket, after: bytes = b"") -> tuple[bytes, bytes]:
    """The body of the next answer, and what came behind it."""
    got = after
    while b"\r\n\r\n" not in got:
        got += connection.recv(1 << 20)
    top, _, got = got.partition(b"\r\n\r\n")
    (size,) = [int(line[16:]) for line in top.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    while len(got) < size:
        piece = connection.recv(1 << 20)
        assert piece
        got += piece
    return got[:size], got[size:]


def test_bodies_of_all_sizes_follow_one_another_on_one_connection(server, received):
    _, connect = server
    sizes = [SIZE, 5, LARGE_BODY, 2 * BLOCK, 0, LARGE_BODY + 100_000, SIZE - 1]
    with connect() as connection:
        for size in sizes:
            connection.sendall(put("/", DATA[:size]))
            assert answer(connection) == (DATA[:size], b"")
    assert len(received) >= 3
    assert max(received) < SIZE


def test_a_body_whose_head_comes_first_is_received_whole(server, received):
    _, connect = server
    with connect() as connection:
        connection.sendall(put("/", DATA, "Expect: 100-continue")[:-SIZE])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(DATA)
        assert answer(connection) == (DATA, b"")
    assert received == [SIZE]


def test_requests_behind_a_large_body_are_answered_in_their_order(server, received):
    _, connect = server
    sizes = [1_000_000, 3, 1_500_000, 400_000]
    with connect() as connection:
        requests = b"".join(put("/", DATA[:size]) for size in sizes)
        sending = threading.Thread(target=connection.sendall, args=(requests,))
        sending.start()
        rest = b""
        for size in sizes:
            body, rest = answer(connection, rest)
            assert body == DATA[:size]
        sending.join()
    assert received


def test_a_connection_is_not_idle_while_the_rest_of_a_body_comes_behind_its_answer(received):
    with serving(Storing(), timeout_keep_alive=1) as address, socket.create_connection(address) as connection:
        request = put("/early", DATA)
        connection.sendall(request[:-100_000])
        assert answer(connection) == (b"early", b"")
        connection.sendall(request[-100_000:-1])
        time.sleep(1.5)  # longer than a connection may be idle
        connection.sendall(request[-1:] + put("/", b"next"))
        assert answer(connection) == (b"next", b"")
    assert received


def test_the_rest_of_a_body_that_is_answered_early_is_passed_over(server, received):
    _, connect = server
    with connect() as connection:
        request = put("/early", DATA)
        connection.sendall(request[:-2_000_000])
        assert answer(connection) == (b"early", b"")
        connection.sendall(request[-2_000_000:])
        connection.sendall(put("/", DATA))
        assert answer(connection) == (DATA, b"")
    assert len(received) == 2


def test_the_application_is_told_of_a_client_that_goes_away_in_a_large_body(server, received):
    app, connect = server
    connection = connect()
    connection.sendall(put("/", DATA)[:-10])
    connection.close()
    assert app.gone.wait(20)
    assert len(received) == 1


def test_what_follows_a_large_body_and_is_no_request_is_refused(server, received):
    _, connect = server
    with connect() as connection:
        connection.sendall(put("/", DATA) + b"\x00nonsense\r\n\r\n")
        body, rest = answer(connection)
        assert body == DATA
        while b"</Error>" not in rest:
            rest += connection.recv(1 << 20)
        assert rest.startswith(b"HTTP/1.1 400 ")
    assert len(received) == 1
