"""The fast ways for large bodies and the plain ones give the same answers, byte for byte."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fast_paths import fast_path_flags
from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import Answer, Connection, Request, ask, chunked

LARGE = payload(5 * MIB + 12_345)
SMALL = payload(1000, seed=2)
MEDIUM = payload(256 * 1024, seed=3)
BEYOND = payload(256 * 1024 + 1, seed=4)
OBJECTS = {"large": LARGE, "small": SMALL, "medium": MEDIUM, "beyond": BEYOND, "empty": b""}

# What is another with each answer, whichever way it is sent.
OWN = ("date", "x-amz-request-id", "x-amz-id-2")
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Gateway]]:
    """Two over one directory: with the fast ways, and without."""
    root = tmp_path_factory.mktemp("served")
    options = ["--no-auth", "--durability", "none", "--create-bucket", "bucket"]
    with (
        Gateway(root, *options, "--zero-copy", "--overlap-uploads", workers=1) as fast,
        Gateway(root, *options, *fast_path_flags(fast=False), workers=1) as plain,
    ):
        for key, content in OBJECTS.items():
            assert ask(fast, Request("PUT", f"/bucket/{key}", {"Host": "h", **length(content)}, content)).status == 200
        yield fast, plain


def length(content: bytes) -> dict[str, str]:
    return {"Content-Length": str(len(content))}


def essence(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what is another each time; its header lines in their order."""
    lines = [(name, value) for name, value in answer.headers.items() if name not in OWN]
    body = answer.body
    for name in OWN:
        body = body.replace(answer.headers.get(name, "\0").encode(), b"")
    return answer.status, lines, body


GETS = {
    "whole": {},
    "range": {"Range": "bytes=1000-3000000"},
    "short range": {"Range": "bytes=7-20"},
    "range to the end": {"Range": "bytes=100000-"},
    "last bytes": {"Range": "bytes=-400000"},
    "bad range": {"Range": "bytes=99999999-"},
    "conditional": {"If-None-Match": "*"},
    "precondition": {"If-Match": '"other"'},
    "checksum": {"x-amz-checksum-mode": "ENABLED"},
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("key", [*OBJECTS, "missing"])
@pytest.mark.parametrize("what", GETS)
def test_a_download_is_the_same(gateways: tuple[Gateway, Gateway], method: str, key: str, what: str):
    request = Request(method, f"/bucket/{key}", {"Host": "h", **GETS[what]})
    fast, plain = [ask(gateway, request) for gateway in gateways]
    assert essence(fast) == essence(plain)
    if what == "whole" and method == "GET" and key in OBJECTS:
        assert fast.body == OBJECTS[key]


def test_a_download_and_the_requests_behind_it_are_the_same_on_one_connection(gateways):
    requests = [Request("GET", f"/bucket/{key}", {"Host": "h"}) for key in ("large", "small", "beyond", "large")]
    answers = []
    for gateway in gateways:
        with Connection(gateway) as connection:
            connection.send(b"".join(request.bytes for request in requests))
            answers.append([essence(connection.answer()) for _ in requests])
    assert answers[0] == answers[1]
    assert [body for _, _, body in answers[0]] == [LARGE, SMALL, BEYOND, LARGE]


def test_requests_of_many_clients_at_the_same_time_are_answered_the_same(gateways):
    """Each gets its own answer, and what it asks next the next: small and large ones, errors, and HEADs."""
    keys = ["small", "medium", "missing", "beyond", "empty", "large"]
    asked = [("HEAD" if number % 7 == 6 else "GET", keys[number % len(keys)]) for number in range(40)] * 3
    answers = []
    for gateway in gateways:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(Connection(gateway)) for _ in range(40)]
            got = []
            for at in range(0, len(asked), len(connections)):
                for connection, (method, key) in zip(connections, asked[at:], strict=False):
                    connection.send(Request(method, f"/bucket/{key}", {"Host": "h"}).bytes)
                for connection, (method, _) in zip(connections, asked[at:], strict=False):
                    got.append(essence(connection.answer(method)))
            answers.append(got)
    assert answers[0] == answers[1]
    for (method, key), (status, _, body) in zip(asked, answers[0], strict=True):
        assert status == (200 if key in OBJECTS else 404)
        assert method == "HEAD" or body == OBJECTS.get(key, body)


def test_a_download_with_a_body_that_nobody_asked_for_is_the_same(gateways):
    """The connection is closed behind it: most of the body is still to come."""
    answers = []
    for gateway in gateways:
        with Connection(gateway) as connection:
            connection.send(Request("GET", "/bucket/large", {"Host": "h", **length(LARGE)}).head)
            answers.append(essence(connection.answer()))
            assert connection.ended
    assert answers[0] == answers[1]
    assert answers[0][2] == LARGE


def test_an_http_1_0_download_is_the_same(gateways):
    answers = []
    for gateway in gateways:
        with Connection(gateway) as connection:
            connection.send(Request("GET", "/bucket/large", {"Host": "h"}).bytes.replace(b"HTTP/1.1", b"HTTP/1.0"))
            answers.append(essence(connection.answer()))
            assert connection.ended
    assert answers[0] == answers[1]


def md5(content: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(content).digest()).decode()}


def unsigned_chunks(content: bytes) -> tuple[dict[str, str], bytes]:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(content)),
        "x-amz-trailer": "x-amz-checksum-sha256",
        "Content-Encoding": "aws-chunked",
    }
    pieces = [content[at : at + 65536] for at in range(0, len(content), 65536)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    digest = base64.b64encode(hashlib.sha256(content).digest())
    body += b"0\r\nx-amz-checksum-sha256:%b\r\n\r\n" % digest
    return {**headers, **length(body)}, body


def broken_chunks() -> tuple[dict[str, str], bytes]:
    headers, body = unsigned_chunks(LARGE)
    return headers, body[: 2 * MIB] + b"?" + body[2 * MIB + 1 :]


PUTS = {
    "plain": (length(LARGE), LARGE),
    "small": (length(SMALL), SMALL),
    "empty": (length(b""), b""),
    "just a batch": (length(LARGE[:MIB]), LARGE[:MIB]),
    "chunked": ({"Transfer-Encoding": "chunked"}, chunked([LARGE[:MIB], LARGE[MIB:-3], LARGE[-3:]])),
    "expects": ({**length(SMALL), "Expect": "100-continue"}, SMALL),
    "md5": ({**length(LARGE), **md5(LARGE)}, LARGE),
    "wrong md5": ({**length(LARGE), **md5(SMALL)}, LARGE),
    "sha512": ({**length(LARGE), "x-amz-checksum-algorithm": "SHA512"}, LARGE),
    "chunks with a trailer": unsigned_chunks(LARGE),
    "chunks with another byte": broken_chunks(),
    "too large": ({"Content-Length": str(6 << 30)}, b""),
    "bad digest": ({**length(SMALL), "Content-MD5": "x"}, SMALL),
}


@pytest.mark.parametrize("what", PUTS)
def test_an_upload_is_the_same(gateways: tuple[Gateway, Gateway], what: str, tmp_path: Path):
    headers, body = PUTS[what]
    answers, stored = [], []
    key = f"put-{next(_NUMBERS)}"
    for gateway in gateways:
        with Connection(gateway) as connection:
            connection.send(Request("PUT", f"/bucket/{key}", {"Host": "h", **headers}, body).bytes)
            answer = connection.answer()
            interim = 0
            while answer.status == 100:
                interim += 1
                answer = connection.answer()
            answers.append((interim, essence(answer)))
        path = gateway.root / "bucket" / key
        stored.append(path.read_bytes() if path.exists() else None)
        path.unlink(missing_ok=True)
    assert answers[0] == answers[1]
    assert stored[0] == stored[1]
    assert (stored[0] is not None) is (answers[0][1][0] == 200)


def test_an_upload_that_is_broken_off_leaves_nothing_either_way(gateways):
    for gateway in gateways:
        key = f"put-{next(_NUMBERS)}"
        with Connection(gateway) as connection:
            connection.send(Request("PUT", f"/bucket/{key}", {"Host": "h", **length(LARGE)}, LARGE[: 3 * MIB]).bytes)
        deadline = time.monotonic() + 30
        staging = gateway.root / "bucket" / ".s3gate"
        while any(path.is_file() and path.stat().st_size > MIB for path in staging.rglob("*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ask(gateway, Request("HEAD", f"/bucket/{key}", {"Host": "h"})).status == 404
