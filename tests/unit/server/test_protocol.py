"""The HTTP/1.1 protocol over a real socket: what it refuses by itself, and how connections end."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from s3gate.server import protocol, turns, uvicorn_parts
from s3gate.server.app import create_app
from s3gate.server.protocol import MAX_HEAD, GatewayProtocol
from support.asgi import sample_gateway, served, talk
from support.sample_operations import READERS, Reader

Address = tuple[str, int]


@pytest.fixture(scope="module", autouse=True, params=["alone", "together"])
def company(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether each request counts as come alone, or with others that are read before it is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "_TOGETHER_SECONDS", float("inf") if request.param == "together" else -1.0)
        yield


@pytest.fixture(scope="module")
def open_server(company: None) -> Iterator[Address]:
    with served(create_app(sample_gateway())) as address:
        assert b" 200 " in talk(address, b"PUT /bucket HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        yield address


@pytest.fixture(scope="module")
def closed_server(company: None) -> Iterator[Address]:
    gateway = sample_gateway(open_access=False)
    with served(create_app(gateway)) as address:
        yield address


def request(line: str, *headers: str, close: bool = True) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: h", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_the_class_relies_on_nothing_that_uvicorn_does_not_have() -> None:
    assert uvicorn_parts.missing_from_protocol() == []
    assert GatewayProtocol is not HttpToolsProtocol


def test_a_header_section_of_100_kb_is_refused_in_xml(open_server: Address) -> None:
    answer = talk(open_server, request("GET /", "X-Long: " + "x" * 100_000))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>RequestHeaderSectionTooLarge</Code>" in answer
    assert b"content-type: application/xml\r\n" in answer
    assert b"x-amz-request-id: " in answer
    assert b"connection: close\r\n" in answer


def test_many_headers_count_together(open_server: Address) -> None:
    answer = talk(open_server, request("GET /", *(f"X-{n}: {'x' * 100}" for n in range(1000))))
    assert b"RequestHeaderSectionTooLarge" in answer


def test_a_header_section_that_never_ends_is_not_buffered_without_bound(open_server: Address) -> None:
    piece = b"x" * 65536
    answer = talk(open_server, b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: ", more=[piece] * 12)
    assert b"RequestHeaderSectionTooLarge" in answer


def test_a_header_section_within_the_limit_is_served(open_server: Address) -> None:
    answer = talk(open_server, request("GET /", "X-Long: " + "x" * (MAX_HEAD - 200)))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_large_body_does_not_count_as_head(open_server: Address) -> None:
    body = b"b" * 500_000
    first = request("PUT /bucket/k", f"Content-Length: {len(body)}", close=False) + body
    answer = talk(open_server, first + first + request("GET /"))
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.count(b"x-test-size: 500000") == 2


@pytest.mark.parametrize(
    "data",
    [
        b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /b/\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"FROB / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PUT /bucket/k HTTP/1.1\r\nHost: h\r\nContent-Length: abc\r\n\r\n",
        b"PUT /bucket/k HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"PUT /bucket/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PUT /bucket/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT /bucket/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PUT /bucket/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-size\r\n",
        b"GET /b/a\x01b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_one_clean_400_in_xml(open_server: Address, data: bytes) -> None:
    answer = talk(open_server, data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"<Code>BadRequest</Code>" in answer


def test_garbage_behind_requests_is_refused_after_their_answers(open_server: Address) -> None:
    first = request("PUT /bucket/k", "Content-Length: 5", close=False) + b"12345"
    second = request("PUT /bucket/k", "Content-Length: 7", close=False) + b"1234567"
    answer = talk(open_server, first + second + b"garbage\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 3
    places = [answer.index(text) for text in (b"x-test-size: 5", b"x-test-size: 7", b"<Code>BadRequest</Code>")]
    assert places == sorted(places)


def test_a_broken_body_is_refused_after_the_answers_before_it(open_server: Address) -> None:
    first = request("PUT /bucket/k", "Content-Length: 5", close=False) + b"12345"
    broken = request("PUT /bucket/k", "Transfer-Encoding: chunked", close=False) + b"no-size\r\n"
    answer = talk(open_server, first + broken)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.index(b"x-test-size: 5") < answer.index(b"<Code>BadRequest</Code>")


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_another_version_of_http_is_refused(open_server: Address, version: str) -> None:
    answer = talk(open_server, request("GET /").replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
    assert b"<Code>BadRequest</Code>" in answer


def test_a_raw_number_sign_is_refused_and_not_cut_off(open_server: Address) -> None:
    assert b"<Code>InvalidURI</Code>" in talk(open_server, request("GET /bucket/a#b"))


def test_the_asterisk_form_is_an_invalid_uri(open_server: Address) -> None:
    assert b"<Code>InvalidURI</Code>" in talk(open_server, request("OPTIONS *"))


def test_a_request_for_another_protocol_is_served_and_the_connection_closed(open_server: Address) -> None:
    headers = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    answer = talk(open_server, request("GET /", *headers, close=False))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


def test_a_body_is_never_lost_to_another_protocol(open_server: Address) -> None:
    headers = ("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3")
    answer = talk(open_server, request("PUT /bucket/k", *headers, close=False) + b"abc")
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b"<Header>Upgrade</Header>" in answer


def test_a_refusal_comes_before_100_continue(closed_server: Address) -> None:
    data = request("PUT /bucket/k", "Content-Length: 5000000000", "Expect: 100-continue", close=False)
    with socket.create_connection(closed_server, timeout=20) as connection:
        connection.sendall(data)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 40")
    assert b"connection: close" in answer
    assert b"100 Continue" not in answer


def test_100_continue_comes_before_an_upload_that_is_allowed(open_server: Address) -> None:
    data = request("PUT /bucket/k", "Content-Length: 5", "Expect: 100-continue")
    with socket.create_connection(open_server, timeout=20) as connection:
        connection.sendall(data)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"12345")
        assert b"x-test-size: 5" in connection.recv(65536)


def test_a_client_that_sends_a_long_refused_body_still_reads_the_answer(closed_server: Address) -> None:
    data = request("PUT /bucket/k", "Content-Length: 5000000000", close=False)
    answer = talk(closed_server, data, more=[b"x" * 65536] * 64)
    assert b"<Error>" in answer


def test_a_short_unread_body_leaves_the_connection_usable(closed_server: Address) -> None:
    refused = request("PUT /bucket/k", "Content-Length: 5", close=False) + b"12345"
    answer = talk(closed_server, refused + request("GET /"))
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"connection: close" in answer.split(b"HTTP/1.1 ")[2]
    assert b"connection: close" not in answer.split(b"HTTP/1.1 ")[1]


def test_every_answer_has_date_and_server_once(open_server: Address) -> None:
    for data in (request("GET /"), request("GET /x#")):
        head = talk(open_server, data).partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\r\ndate: ") == 1
        assert head.count(b"\r\nserver: s3gate") == 1


def test_a_large_object_arrives_whole_and_one_that_fails_is_cut_short(open_server: Address) -> None:
    READERS["whole"], READERS["short"] = Reader(5 << 20), Reader(5 << 20, fails_at=1 << 20)
    whole = talk(open_server, request("GET /bucket/whole"))
    short = talk(open_server, request("GET /bucket/short"))
    assert len(whole.partition(b"\r\n\r\n")[2]) == 5 << 20
    assert len(short.partition(b"\r\n\r\n")[2]) == 1 << 20
    assert b"content-length: 5242880\r\n" in short


def test_head_sends_the_length_and_no_body(open_server: Address) -> None:
    READERS["whole"] = Reader(5 << 20)
    head, _, body = talk(open_server, request("HEAD /bucket/whole")).partition(b"\r\n\r\n")
    assert b"content-length: 5242880" in head
    assert body == b""


def test_trailer_fields_of_http_are_no_headers(closed_server: Address) -> None:
    """A field behind the body slips past a proxy that filters headers; here it never counts."""
    body = b"3\r\nabc\r\n0\r\nAuthorization: AWS nobody:signature\r\n\r\n"

    answer = talk(closed_server, request("PUT /bucket/key", "Transfer-Encoding: chunked") + body)

    assert b"<Code>NoSuchBucket</Code>" in answer, "an anonymous request, not one that claims an unknown key"


def test_trailer_fields_are_bounded(open_server: Address) -> None:
    trailers = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100))
    body = b"3\r\nabc\r\n0\r\n"

    answer = talk(
        open_server, request("PUT /bucket/key", "Transfer-Encoding: chunked") + body, more=[trailers, b"\r\n"]
    )

    assert b"RequestHeaderSectionTooLarge" in answer or b" 400 " in answer


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_client_that_never_sends_a_head_loses_its_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.2)
    with served(create_app(sample_gateway())) as address, socket.create_connection(address, timeout=10) as client:
        client.sendall(begun)
        assert client.recv(1) == b""
