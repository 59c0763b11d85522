"""Messages that break the rules of HTTP or its limits, and Expect: 100-continue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.gateway import SECRET_KEY, Gateway
from support.raw_http import Connection, Request, ask, refusal
from support.signed import UNSIGNED, signed
from support.snapshot import unchanged


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    return bucket


def test_headers_of_100_kb_are_refused(gateway: Gateway, stored: str, directory: Path):
    for headers in ({"x-amz-meta-long": "x" * 100_000}, {f"x-{number}": "x" * 1000 for number in range(100)}):
        request = signed(gateway, "PUT", f"/{stored}/k", headers=headers, body=b"new")
        with unchanged(directory), Connection(gateway) as connection:
            assert refusal(connection.ask(request)) == (400, "RequestHeaderSectionTooLarge")
            assert connection.ended


def test_a_target_of_100_kb_is_refused(gateway: Gateway, stored: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{stored}?list-type=2&prefix={'x' * 100_000}"))

    assert refusal(answer) == (400, "RequestHeaderSectionTooLarge")


def test_what_s3_takes_of_headers_is_taken(gateway: Gateway, stored: str):
    headers = {"x-padding": "x" * 8000}

    assert ask(gateway, signed(gateway, "GET", f"/{stored}/k", headers=headers)).body == b"old"


@pytest.mark.parametrize("length", ["-1", "abc", "1.5", "0x10", "1e3", "+3", "3 3", "99999999999999999999999"])
def test_a_length_that_is_no_number_is_refused(gateway: Gateway, stored: str, directory: Path, length: str):
    request = signed(gateway, "PUT", f"/{stored}/k", headers={"Content-Length": length}, content=UNSIGNED)

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(request.head, b"new")
        answer = connection.answer()
        assert connection.ended
    assert answer.status == 400
    assert answer.code in ("BadRequest", "InvalidArgument")


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Content-Length : 3",
        "Content-Length: 3\nX: y",
    ],
)
def test_framing_that_could_be_read_in_two_ways_is_refused(
    gateway: Gateway, stored: str, directory: Path, framing: str
):
    request = signed(gateway, "PUT", f"/{stored}/k", content=UNSIGNED)
    head = request.head[:-2] + framing.encode() + b"\r\n\r\n"
    behind = signed(gateway, "PUT", f"/{stored}/smuggled", body=b"x").bytes

    with unchanged(directory, within=10), Connection(gateway) as connection:
        connection.send(head + b"new" + behind)
        assert refusal(connection.answer()) == (400, "BadRequest")
        assert connection.ended


@pytest.mark.parametrize(
    "line",
    [
        "PUT {path} HTTP/9.9",
        "PUT {path} HTTP/0.9",
        "PUT {path} HTTP/2.0",
        "PUT {path} with space HTTP/1.1",
        "PUT {path}#fragment HTTP/1.1",
        "PUT  HTTP/1.1",
        "PUT {path}\x01 HTTP/1.1",
        "BREW {path} HTTP/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(gateway: Gateway, stored: str, directory: Path, line: str):
    request = signed(gateway, "PUT", f"/{stored}/k", body=b"new")
    headers = request.head.partition(b"\r\n")[2]

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(line.format(path=f"/{stored}/k").encode() + b"\r\n" + headers + b"new")
        answer = connection.answer()
        assert connection.ended
    assert answer.status == 400
    assert answer.code in ("BadRequest", "InvalidURI")


def test_an_upload_that_may_come_is_told_to_continue(gateway: Gateway, stored: str, directory: Path):
    request = signed(gateway, "PUT", f"/{stored}/k", headers={"Expect": "100-continue"}, body=b"new")

    with Connection(gateway) as connection:
        connection.send(request.head)
        assert connection.answer().status == 100
        connection.send(request.body)
        assert connection.answer().status == 200
        assert connection.ask(signed(gateway, "GET", f"/{stored}/k")).body == b"new"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"key": ("AKIDUNKNOWN000000000", SECRET_KEY)}, (403, "InvalidAccessKeyId")),
        ({"headers": {"If-None-Match": "*"}}, (412, "PreconditionFailed")),
        ({"headers": {"x-amz-meta-long": "x" * 3000}}, (400, "MetadataTooLarge")),
        ({"headers": {"x-amz-colour": "red"}}, (501, "NotImplemented")),
        ({"headers": {"Content-MD5": "nonsense"}}, (400, "InvalidDigest")),
        ({"target": "/no-such-bucket-here/k"}, (404, "NoSuchBucket")),
        ({"target": "/{bucket}/k?partNumber=1&uploadId=none"}, (404, "NoSuchUpload")),
        ({"target": "/{bucket}/" + "k" * 1025}, (400, "KeyTooLongError")),
    ],
)
def test_an_upload_that_is_refused_is_not_told_to_continue(
    gateway: Gateway, stored: str, directory: Path, arguments: dict[str, Any], expected: tuple[int, str]
):
    more = dict(arguments)
    target = more.pop("target", "/{bucket}/k").format(bucket=stored)
    headers = {"Content-Length": "1000000", "Expect": "100-continue", **more.pop("headers", {})}
    request = signed(gateway, "PUT", target, headers=headers, content=UNSIGNED, **more)

    with unchanged(directory), Connection(gateway) as connection:
        connection.send(request.head)
        answer = connection.answer()
    assert refusal(answer) == expected
    assert answer.headers["connection"] == "close"


def test_an_anonymous_upload_is_not_told_to_continue(gateway: Gateway, stored: str, directory: Path):
    headers = {"Host": gateway.address, "Content-Length": "1000000", "Expect": "100-continue"}

    with unchanged(directory):
        assert refusal(ask(gateway, Request("PUT", f"/{stored}/k", headers))) == (403, "AccessDenied")


def test_many_requests_share_a_connection(gateway: Gateway, stored: str):
    get = signed(gateway, "GET", f"/{stored}/k").bytes

    with Connection(gateway) as connection:
        connection.send(get * 50)
        assert [connection.answer().body for _ in range(50)] == [b"old"] * 50


def test_http_1_0_is_answered_and_closed(gateway: Gateway, stored: str):
    request = signed(gateway, "GET", f"/{stored}/k")

    with Connection(gateway) as connection:
        connection.send(request.head.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert connection.answer().body == b"old"
        assert connection.ended
