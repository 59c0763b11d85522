"""What a request declares of its body."""

from __future__ import annotations

import base64
import hashlib

import pytest

from s3gate.core.checksums import ALGORITHMS
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.operations.integrity import Declared

CRC32 = "AAAAAA=="
SHA256 = base64.b64encode(hashlib.sha256(b"").digest()).decode()


def declared(headers: dict[str, str], *trailers: str, query: str = "") -> Declared:
    return Declared.of(Wire("PUT", "/b/k", query, headers), frozenset(trailers))


def refusal(headers: dict[str, str], *trailers: str) -> S3Error:
    with pytest.raises(S3Error) as caught:
        declared(headers, *trailers)
    return caught.value


def test_a_request_need_not_declare_anything() -> None:
    assert declared({}) == Declared()


def test_a_checksum_comes_in_a_header_or_is_announced_as_a_trailer() -> None:
    assert declared({"x-amz-checksum-crc32": CRC32}) == Declared(None, ALGORITHMS["CRC32"], CRC32)
    assert declared({}, "x-amz-checksum-sha1") == Declared(None, ALGORITHMS["SHA1"], None)


@pytest.mark.parametrize("text", ["", "YWJyYWNhZGFicmE=", "AWS HAHAHA", "!"])
def test_a_content_md5_that_is_none_is_an_invalid_digest(text: str) -> None:
    assert refusal({"content-md5": text}).code == "InvalidDigest"


@pytest.mark.parametrize("value", ["bad", "", "AAAA", SHA256])
def test_a_checksum_that_no_data_has_is_refused_before_the_body(value: str) -> None:
    error = refusal({"x-amz-checksum-crc32": value})
    assert (error.code, error.message) == ("BadDigest", "Value for x-amz-checksum-crc32 header is invalid.")


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [
        ({"x-amz-checksum-crc32": CRC32, "x-amz-checksum-sha256": SHA256}, ()),
        ({"x-amz-checksum-crc32": CRC32}, ("x-amz-checksum-sha256",)),
        ({}, ("x-amz-checksum-crc32", "x-amz-checksum-sha256")),
    ],
)
def test_two_checksums_are_one_too_many(headers: dict[str, str], trailers: tuple[str, ...]) -> None:
    error = refusal(headers, *trailers)
    assert error.code == "InvalidRequest"
    assert error.message.startswith("Expecting a single x-amz-checksum- header")


def test_a_trailer_that_is_no_checksum_is_refused() -> None:
    assert refusal({}, "x-amz-meta-late").code == "InvalidRequest"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": CRC32},
        {"x-amz-sdk-checksum-algorithm": "CRC7", "x-amz-checksum-crc32": CRC32},
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": CRC32},
    ],
)
def test_an_algorithm_that_is_named_must_be_that_of_the_checksum(headers: dict[str, str]) -> None:
    assert refusal(headers).code == "InvalidRequest"


def test_an_algorithm_may_be_named_in_any_case() -> None:
    headers = {"x-amz-sdk-checksum-algorithm": "crc32", "x-amz-checksum-crc32": CRC32}
    assert declared(headers).algorithm is ALGORITHMS["CRC32"]


def test_a_client_may_ask_for_a_checksum_without_sending_one() -> None:
    assert declared({"x-amz-checksum-algorithm": "crc32c"}).wanted is ALGORITHMS["CRC32C"]


def test_a_checksum_that_was_presigned_into_the_url_is_ignored_but_not_one_that_is_sent() -> None:
    query = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
    hoisted = {"x-amz-checksum-crc32": CRC32, "x-amz-sdk-checksum-algorithm": "CRC32"}
    assert declared(hoisted, query=query) == Declared()
    assert declared({**hoisted, "x-amz-checksum-crc32": "AAAAAQ=="}, query=query).value == "AAAAAQ=="


def test_headers_that_are_not_of_the_body_leave_content_md5_in_force() -> None:
    digest = hashlib.md5(b"").digest()
    headers = {"x-amz-checksum-crc32": "bad", "content-md5": base64.b64encode(digest).decode()}
    wire = Wire("POST", "/b/k", "uploadId=1", headers)
    assert Declared.of(wire, frozenset(), headers_of_body=False) == Declared(digest)
