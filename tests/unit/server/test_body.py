"""The body of a request over ASGI's receive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any

import pytest

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.server import body as body_module
from s3gate.server.body import ClientDisconnected, Receive, RequestBody, joining
from s3gate.server.cycle import PIECES

MIB = 1 << 20


class Client:
    """Sends pieces, then the end or, if it `leaves`, nothing more; counts how often it was asked."""

    def __init__(self, pieces: Iterable[bytes], *, leaves: bool = False) -> None:
        pieces = list(pieces)
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": leaves or i + 1 < len(pieces)}
            for i, piece in enumerate(pieces)
        ]
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}


async def batches(body: RequestBody) -> list[list[Buffer]]:
    found = []
    while batch := await body.batch():
        found.append(batch)
    return found


def read(client: Client, headers: dict[str, str]) -> list[list[bytes]]:
    async def run() -> list[list[bytes]]:
        return [[bytes(piece) for piece in batch] for batch in await batches(RequestBody(client.receive, headers))]

    return asyncio.run(run())


def test_batches_have_about_a_mebibyte_and_keep_the_pieces_as_they_came() -> None:
    pieces = [bytes([n]) * (MIB // 4) for n in range(9)]
    batches = read(Client(pieces), {"content-length": str(9 * MIB // 4)})
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert [piece for batch in batches for piece in batch] == pieces


def test_the_size_of_a_batch_can_be_chosen() -> None:
    async def run() -> list[int]:
        body = RequestBody(Client([b"x" * 10] * 9).receive, {"content-length": "90"}, 40)
        return [len(batch) for batch in await batches(body)]

    assert asyncio.run(run()) == [4, 4, 1]


@pytest.mark.parametrize("headers", [{"content-length": "0"}, {}])
def test_a_request_without_a_body_is_never_received_from(headers: dict[str, str]) -> None:
    client = Client([])
    assert read(client, headers) == []
    assert client.asked == 0


def test_a_body_of_unknown_length_is_read_to_its_end() -> None:
    assert read(Client([b"a", b"", b"b"]), {"transfer-encoding": "chunked"}) == [[b"a", b"b"]]


def test_a_client_that_leaves_in_the_middle_is_told_apart_from_the_end() -> None:
    with pytest.raises(ClientDisconnected):
        read(Client([b"a"], leaves=True), {"content-length": "2"})


@pytest.mark.parametrize(
    ("headers", "ends"),
    [
        ({}, False),
        ({"content-length": "0"}, False),
        ({"content-length": "1000"}, False),
        ({"content-length": str(MIB)}, True),
        ({"transfer-encoding": "chunked"}, True),
        ({"content-length": "10", "expect": "100-continue"}, True),
    ],
)
def test_an_unread_body_ends_the_connection_when_it_is_long_or_may_never_come(
    headers: dict[str, str], ends: bool
) -> None:
    assert RequestBody(Client([]).receive, headers).ends_connection is ends


def test_a_body_that_was_read_does_not_end_the_connection() -> None:
    async def run() -> bool:
        body = RequestBody(Client([b"x" * MIB]).receive, {"content-length": str(MIB), "expect": "100-continue"})
        await batches(body)
        return body.ends_connection

    assert asyncio.run(run()) is False


def test_discarding_stops_when_the_client_has_left() -> None:
    client = Client([b"x"] * 5, leaves=True)
    asyncio.run(RequestBody(client.receive, {"content-length": "9"}).discard())
    assert client.asked == 6


def test_discarding_stops_after_some_mebibytes() -> None:
    client = Client([b"x" * MIB] * 50)
    asyncio.run(RequestBody(client.receive, {"content-length": str(50 * MIB)}).discard())
    assert client.asked == 8


def test_a_client_that_stops_sending_in_the_middle_of_a_body_is_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_STALL_SECONDS", 0.05)

    async def run() -> None:
        silence = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await silence.wait()
            return {}

        await batches(RequestBody(receive, {"content-length": "10"}))

    with pytest.raises(S3Error) as raised:
        asyncio.run(run())
    assert raised.value.code == "RequestTimeout"


@pytest.mark.parametrize("pause", [0.02, 30.0])
def test_what_a_slow_client_has_sent_does_not_wait_for_a_whole_batch(
    pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may send a little ever and again, or nothing any more."""
    monkeypatch.setattr(body_module, "_SLOW_SECONDS", 0.05)

    async def run() -> list[Buffer]:
        number = 0

        async def receive() -> dict[str, Any]:
            nonlocal number
            await asyncio.sleep(pause if number else 0)
            number += 1
            return {"type": "http.request", "body": b"x", "more_body": True}

        return await RequestBody(receive, {"content-length": "1000"}).batch()

    assert 1 <= len(asyncio.run(run())) < 10


def test_pieces_are_taken_as_they_are_handed_over() -> None:
    pieces = [b"abc", bytearray(b"def")]

    async def run() -> list[list[Buffer]]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", PIECES: list(pieces), "more_body": False}

        return await batches(RequestBody(receive, {"content-length": "6"}))

    assert asyncio.run(run()) == [pieces]


def test_an_application_that_knows_nothing_of_pieces_gets_them_joined() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", PIECES: [b"abc", bytearray(b"def")], "more_body": False}

    message = asyncio.run(first_of(joining(receive)))
    assert message == {"type": "http.request", "body": b"abcdef", "more_body": False}


async def first_of(receive: Receive) -> MutableMapping[str, Any]:
    return await receive()
