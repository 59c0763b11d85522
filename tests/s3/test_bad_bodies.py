"""Bodies that are too short, too long or broken off, and what becomes of the connection behind them."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import Connection, ask, refusal
from support.signed import UNSIGNED, put_in_chunks, signed
from support.snapshot import unchanged

# How long a worker may take to notice that a client is gone, and to clear up behind it.
SOON = 10


def md5_of(data: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(data).digest()).decode()}


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old", Metadata={"colour": "blue"})
    return bucket


def _leave(connection: Connection, how: str) -> None:
    if how == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half":
        connection.socket.shutdown(socket.SHUT_WR)
        connection.socket.settimeout(5)
    connection.socket.close()


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("sent", [0, 1, 100_000, 3 * MIB])
def test_a_client_that_goes_away_while_it_sends_stores_nothing(
    gateway: Gateway, stored: str, directory: Path, how: str, sent: int
):
    body = payload(4 * MIB)
    with unchanged(directory, within=SOON):
        with Connection(gateway) as connection:
            connection.send(signed(gateway, "PUT", f"/{stored}/k", body=body).head, body[:sent])
            _leave(connection, how)
        with Connection(gateway) as connection:
            request = signed(gateway, "PUT", f"/{stored}/new/key", body=body)
            connection.send(request.head, body[:sent])
            _leave(connection, how)


@pytest.mark.parametrize("content", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
@pytest.mark.parametrize("transfer", [False, True], ids=["length", "chunked"])
def test_a_client_that_goes_away_in_a_chunk_stores_nothing(
    gateway: Gateway, stored: str, directory: Path, content: str, transfer: bool
):
    trailers = None if "AWS4" in content else {}
    request = put_in_chunks(
        gateway, f"/{stored}/k", [payload(65_536)] * 10, content=content, trailers=trailers, transfer=transfer
    )

    with unchanged(directory, within=SOON), Connection(gateway) as connection:
        connection.send(request.head, request.body[:300_000])


def test_a_client_that_goes_away_while_it_sends_a_part_stores_no_part(
    gateway: Gateway, s3: Any, stored: str, directory: Path
):
    where = {"Bucket": stored, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    kept = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"kept")["ETag"]
    target = f"/{stored}/k?partNumber=1&uploadId={upload}"

    with unchanged(directory, within=SOON), Connection(gateway) as connection:
        request = signed(gateway, "PUT", target, body=payload(MIB))
        connection.send(request.head, request.body[:500_000])

    assert [part["ETag"] for part in s3.list_parts(**where, UploadId=upload)["Parts"]] == [kept]


def test_a_client_that_goes_away_while_it_reads_does_no_harm(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=payload(8 * MIB))
    for _ in range(5):
        with Connection(gateway) as connection:
            connection.send(signed(gateway, "GET", f"/{bucket}/k").bytes)
            connection.socket.recv(1000)
            _leave(connection, "reset")

    assert len(ask(gateway, signed(gateway, "GET", f"/{bucket}/k")).body) == 8 * MIB


def test_a_body_longer_than_it_said_is_not_what_was_signed(gateway: Gateway, stored: str, directory: Path):
    body = b"the whole body"
    headers = {**md5_of(body), "Content-Length": "9"}
    request = signed(gateway, "PUT", f"/{stored}/k", headers=headers, body=body, content=UNSIGNED)

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(request.bytes)
        first = connection.answer()
        rest = connection.answer()
        assert connection.ended
    assert refusal(first) == (400, "BadDigest")
    assert refusal(rest) == (400, "BadRequest")


def test_a_body_longer_than_it_said_is_cut_there_and_the_connection_ends(
    gateway: Gateway, stored: str, directory: Path
):
    request = signed(
        gateway, "PUT", f"/{stored}/k", headers={"Content-Length": "3"}, body=b"new and more", content=UNSIGNED
    )

    with Connection(gateway) as connection:
        connection.send(request.bytes)
        assert connection.answer().status == 200
        assert refusal(connection.answer()) == (400, "BadRequest")
        assert connection.ended
    assert (directory / "k").read_bytes() == b"new"


def test_a_body_much_longer_than_it_said_does_not_hide_the_answer(gateway: Gateway, stored: str, directory: Path):
    body = payload(20 * MIB)
    headers = {**md5_of(body), "Content-Length": "70000"}
    request = signed(gateway, "PUT", f"/{stored}/k", headers=headers, content=UNSIGNED)

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(request.head, body)
        assert refusal(connection.answer()) == (400, "BadDigest")


def test_garbage_behind_a_large_answer_waits_for_its_end(gateway: Gateway, s3: Any, bucket: str):
    content = payload(8 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=content)

    with Connection(gateway) as connection:
        connection.send(signed(gateway, "GET", f"/{bucket}/k").bytes + b"\x00\x01 garbage\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, content)
        assert refusal(connection.answer()) == (400, "BadRequest")
        assert connection.ended


def test_requests_before_garbage_are_all_answered_in_order(gateway: Gateway, bucket: str, directory: Path):
    puts = [signed(gateway, "PUT", f"/{bucket}/k{number}", body=b"%d" % number).bytes for number in range(5)]

    with Connection(gateway) as connection:
        connection.send(b"".join(puts) + b"garbage\r\n\r\n")
        answers = [connection.answer() for _ in range(6)]
        assert connection.ended

    assert [answer.status for answer in answers] == [200] * 5 + [400]
    assert [answer.headers["etag"] for answer in answers[:5]] == [
        f'"{hashlib.md5(b"%d" % number).hexdigest()}"' for number in range(5)
    ]
    assert sorted(path.name for path in directory.glob("k*")) == [f"k{number}" for number in range(5)]


def test_a_broken_chunk_behind_another_request_does_not_cost_that_one_its_answer(
    gateway: Gateway, s3: Any, bucket: str, directory: Path
):
    content = payload(4 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=content)
    headers = {"Transfer-Encoding": "chunked"}
    broken = signed(gateway, "PUT", f"/{bucket}/broken", headers=headers, content=UNSIGNED)

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(signed(gateway, "GET", f"/{bucket}/k").bytes + broken.head + b"no size\r\n")
        assert connection.answer().body == content
        assert refusal(connection.answer()) == (400, "BadRequest")
        assert connection.ended


@pytest.mark.parametrize(
    "body", [b"no size\r\n", b"5\r\nhel", b"5\r\nhello!!\r\n0\r\n\r\n", b"-5\r\nhello\r\n", b"fffffffffffffffff\r\n"]
)
def test_transfer_chunks_that_are_broken_store_nothing(gateway: Gateway, stored: str, directory: Path, body: bytes):
    request = signed(gateway, "PUT", f"/{stored}/k", headers={"Transfer-Encoding": "chunked"}, content=UNSIGNED)

    with unchanged(directory, within=SOON), Connection(gateway) as connection:
        connection.send(request.head, body)
        if body != b"5\r\nhel":
            assert refusal(connection.answer()) == (400, "BadRequest")
            assert connection.ended


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_body_that_the_method_has_no_use_for_is_ignored(gateway: Gateway, stored: str, method: str, size: int):
    # S3 answers such a request as if the body were not there; the next one is read from behind it.
    target = f"/{stored}/none" if method == "DELETE" else f"/{stored}/k"

    with Connection(gateway) as connection:
        for _ in range(3):
            answer = connection.ask(signed(gateway, method, target, body=payload(size)))
            assert answer.status == (204 if method == "DELETE" else 200)
            assert "connection" not in answer.headers
        assert connection.ask(signed(gateway, "GET", f"/{stored}/k")).body == b"old"


def test_a_long_body_on_a_get_is_answered_and_ends_the_connection(gateway: Gateway, stored: str):
    request = signed(gateway, "GET", f"/{stored}/k", headers={"Content-Length": str(500 * MIB)}, content=UNSIGNED)

    with Connection(gateway) as connection:
        connection.send(request.head, b"x" * 1000)
        answer = connection.answer()
        assert (answer.body, answer.headers["connection"]) == (b"old", "close")
        assert connection.ended


def test_an_upload_without_a_length_is_refused(gateway: Gateway, stored: str, directory: Path):
    with unchanged(directory), Connection(gateway) as connection:
        answer = connection.ask(signed(gateway, "PUT", f"/{stored}/k", content=UNSIGNED))
    assert refusal(answer) == (411, "MissingContentLength")


@pytest.mark.parametrize("size", [5 * 1024 * MIB + 1, 10**17])
def test_more_than_five_gigabytes_are_refused_before_they_come(
    gateway: Gateway, stored: str, directory: Path, size: int
):
    request = signed(gateway, "PUT", f"/{stored}/k", headers={"Content-Length": str(size)}, content=UNSIGNED)

    with unchanged(directory), Connection(gateway) as connection:
        answer = connection.ask(request)
    assert refusal(answer) == (400, "EntityTooLarge")
    assert answer.headers["connection"] == "close"
    assert answer.error["ProposedSize"] == str(size)


REFUSED: dict[str, tuple[dict[str, str], int]] = {
    "wrong digest": (md5_of(b"another"), 400),
    "bad header": ({"x-amz-storage-class": "FLOPPY"}, 400),
    "unmet condition": ({"If-None-Match": "*"}, 412),
}


@pytest.mark.parametrize("size", [0, 1, 100_000, 250_000])
@pytest.mark.parametrize("reason", REFUSED)
def test_requests_behind_a_refused_upload_stay_in_step(
    gateway: Gateway, stored: str, directory: Path, reason: str, size: int
):
    headers, status = REFUSED[reason]
    request = signed(gateway, "PUT", f"/{stored}/k", headers=headers, body=payload(size), content=UNSIGNED)

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(request.bytes * 2 + signed(gateway, "GET", f"/{stored}/k").bytes)
        answers = [connection.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [status, status, 200]
    assert answers[2].body == b"old"


def test_a_long_upload_that_is_refused_ends_the_connection_after_its_answer(
    gateway: Gateway, stored: str, directory: Path
):
    headers = {"If-None-Match": "*"}
    request = signed(gateway, "PUT", f"/{stored}/k", headers=headers, body=payload(20 * MIB), content=UNSIGNED)
    behind = signed(gateway, "PUT", f"/{stored}/smuggled", body=b"x").bytes

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(request.head, request.body, behind)
        answer = connection.answer()
        assert refusal(answer) == (412, "PreconditionFailed")
        assert answer.headers["connection"] == "close"
        assert connection.ended
