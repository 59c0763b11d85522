"""Bodies in chunks of AWS's own: each chunk's signature, the framing, and what both do to an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.files import payload
from support.gateway import Gateway
from support.raw_http import Connection, ask, refusal
from support.signed import put_in_chunks, signed
from support.snapshot import unchanged

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
TRAILERS = {"x-amz-checksum-sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}  # of b"abc"


@pytest.mark.parametrize("transfer", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("sizes", [[], [1], [65_536], [65_536, 65_536, 17], [8192] * 20, [300_000, 1]])
def test_signed_chunks_are_stored_without_their_framing(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, sizes: list[int], transfer: bool
):
    chunks = [payload(size, number) for number, size in enumerate(sizes)]
    request = put_in_chunks(gateway, f"/{bucket}/k", chunks, content=SIGNED, transfer=transfer)

    answer = ask(gateway, request)

    content = b"".join(chunks)
    assert (answer.status, answer.headers["etag"]) == (200, f'"{hashlib.md5(content).hexdigest()}"')
    assert (directory / "k").read_bytes() == content
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("content", [SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_a_trailing_form_without_trailers_is_taken(gateway: Gateway, bucket: str, directory: Path, content: str):
    request = put_in_chunks(gateway, f"/{bucket}/k", [b"abc"], content=content, trailers={})

    assert ask(gateway, request).status == 200
    assert (directory / "k").read_bytes() == b"abc"


@pytest.mark.parametrize("style", ["sdk", "minio"])
def test_signed_trailers_are_read_with_the_line_ends_of_each_sdk(
    gateway: Gateway, bucket: str, directory: Path, style: str
):
    request = put_in_chunks(
        gateway, f"/{bucket}/k", [b"ab", b"c"], content=SIGNED_TRAILER, trailers=TRAILERS, style=style
    )

    answer = ask(gateway, request)

    assert (answer.status, answer.headers["x-amz-checksum-sha256"]) == (200, TRAILERS["x-amz-checksum-sha256"])
    assert (directory / "k").read_bytes() == b"abc"


def test_chunks_that_arrive_byte_by_byte_are_put_together(gateway: Gateway, bucket: str, directory: Path):
    request = put_in_chunks(gateway, f"/{bucket}/k", [b"hello ", b"world"], content=SIGNED)

    with Connection(gateway) as connection:
        connection.send(request.head, *(request.body[at : at + 1] for at in range(len(request.body))))
        assert connection.answer().status == 200
    assert (directory / "k").read_bytes() == b"hello world"


def test_a_part_may_come_in_chunks(gateway: Gateway, s3: Any, bucket: str):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    target = f"/{bucket}/k?partNumber=1&uploadId={upload}"

    answer = ask(gateway, put_in_chunks(gateway, target, [b"ab", b"c"], content=SIGNED))

    part = {"PartNumber": 1, "ETag": answer.headers["etag"]}
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [part]})
    assert s3.get_object(**where)["Body"].read() == b"abc"


def _other(digit: bytes) -> bytes:
    return b"1" if digit == b"0" else b"0"


def _wrong_signature(body: bytes, *, last: bool = False) -> bytes:
    mark = b"chunk-signature="
    at = (body.rindex(mark) if last else body.index(mark)) + len(mark)
    return body[:at] + _other(body[at : at + 1]) + body[at + 1 :]


def _exchanged(body: bytes) -> bytes:
    first, rest = body.split(b"\r\nhello\r\n")
    second, end = rest.split(b"\r\nworld\r\n")
    return second + b"\r\nworld\r\n" + first + b"\r\nhello\r\n" + end


NO_MATCH, INCOMPLETE = (403, "SignatureDoesNotMatch"), (400, "IncompleteBody")
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], tuple[int, str]]] = {
    "a byte of the data": (lambda body: body.replace(b"hello", b"hallo"), NO_MATCH),
    "the first signature": (_wrong_signature, NO_MATCH),
    "the last signature": (lambda body: _wrong_signature(body, last=True), NO_MATCH),
    "chunks exchanged": (_exchanged, NO_MATCH),
    "no signature": (lambda body: body.replace(b";chunk-signature=", b";chunk-signatory="), INCOMPLETE),
    "no size": (lambda body: b"x" + body[1:], INCOMPLETE),
    "no line end": (lambda body: body.replace(b"hello\r\n", b"helloXX"), INCOMPLETE),
}


@pytest.mark.parametrize("content", [SIGNED, SIGNED_TRAILER])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_stores_nothing(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, damage: str, content: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    trailers = {} if content == SIGNED_TRAILER else None
    whole = put_in_chunks(gateway, f"/{bucket}/k", [b"hello", b"world"], content=content, trailers=trailers)
    change, expected = DAMAGES[damage]
    request = replace(whole, body=change(whole.body))
    assert request.body != whole.body
    assert len(request.body) == len(whole.body)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"x-amz-checksum-sha256:u", b"x-amz-checksum-sha256:v", (403, "SignatureDoesNotMatch")),
        (b"x-amz-trailer-signature:", b"x-amz-trailer-signatory:", (400, "MalformedTrailerError")),
        (b"x-amz-checksum-sha256:", b"x-amz-checksum-sha257:", (400, "MalformedTrailerError")),
    ],
)
def test_a_damaged_trailer_stores_nothing(
    gateway: Gateway, bucket: str, directory: Path, old: bytes, new: bytes, expected: tuple[int, str]
):
    request = put_in_chunks(gateway, f"/{bucket}/k", [b"abc"], content=SIGNED_TRAILER, trailers=TRAILERS)
    assert request.body.count(old) == 1

    with unchanged(directory):
        assert refusal(ask(gateway, replace(request, body=request.body.replace(old, new)))) == expected


@pytest.mark.parametrize("content", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("kept", ["nothing", "the first chunk", "all but the end"])
def test_a_body_that_ends_too_early_stores_nothing(
    gateway: Gateway, bucket: str, directory: Path, content: str, kept: str
):
    def cut(body: bytes) -> bytes:
        return body[: {"nothing": 0, "the first chunk": body.index(b"hello") + 7, "all but the end": -2}[kept]]

    request = put_in_chunks(
        gateway,
        f"/{bucket}/k",
        [b"hello", b"world"],
        content=content,
        trailers=None if content == SIGNED else {},
        transfer=True,
        change=cut,
    )

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == INCOMPLETE


@pytest.mark.parametrize("length", [4, 6, 0])
@pytest.mark.parametrize("content", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_a_decoded_length_that_is_wrong_stores_nothing(
    gateway: Gateway, bucket: str, directory: Path, content: str, length: int
):
    trailers = None if content == SIGNED else {}
    request = put_in_chunks(gateway, f"/{bucket}/k", [b"hello"], content=content, trailers=trailers, length=length)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == (400, "IncompleteBody")


@pytest.mark.parametrize("value", [None, "", "-1", "five", "5.0"])
def test_a_decoded_length_must_be_a_number(gateway: Gateway, bucket: str, directory: Path, value: str | None):
    headers = {} if value is None else {"x-amz-decoded-content-length": value}
    body = b"5\r\nhello\r\n0\r\n\r\n"
    request = signed(gateway, "PUT", f"/{bucket}/k", headers=headers, body=body, content=UNSIGNED_TRAILER)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == (411, "MissingContentLength")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", (501, "NotImplemented")),
        ("STREAMING-SOMETHING-ELSE", (400, "InvalidArgument")),
        ("0123", (400, "InvalidArgument")),
        ("unsigned-payload", (400, "InvalidArgument")),
    ],
)
def test_an_unknown_kind_of_body_is_refused(
    gateway: Gateway, bucket: str, directory: Path, content: str, expected: tuple[int, str]
):
    headers = {"x-amz-decoded-content-length": "5"}
    request = signed(gateway, "PUT", f"/{bucket}/k", headers=headers, body=b"hello", content=content)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == expected


def test_a_body_that_is_not_what_was_signed_stores_nothing(gateway: Gateway, bucket: str, directory: Path):
    request = signed(gateway, "PUT", f"/{bucket}/k", body=b"hello")

    with unchanged(directory):
        answer = ask(gateway, replace(request, body=b"hallo"))
    assert refusal(answer) == (400, "XAmzContentSHA256Mismatch")
