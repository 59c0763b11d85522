"""What x-amz-content-sha256 decides: the framing of the body, its length and its trailers."""

from __future__ import annotations

import hashlib

import pytest

from s3gate.auth.content import payload_of
from s3gate.core.errors import S3Error
from support.signing import SignedBody, authenticated, seed, signed_by_botocore, wire_of

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = f"{SIGNED}-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
LENGTH = "x-amz-decoded-content-length"


def _refused(headers: dict[str, str], content: str, *, signed: bool = True) -> S3Error:
    with pytest.raises(S3Error) as caught:
        payload_of(headers, content, seed() if signed else None)
    return caught.value


@pytest.mark.parametrize(
    "content", ["", "UNSIGNED-PAYLOAD", hashlib.sha256(b"data").hexdigest()], ids=["none", "unsigned", "hash"]
)
def test_a_plain_body_has_the_length_of_content_length(content: str) -> None:
    payload = payload_of({"content-length": "4", "content-encoding": "aws-chunked"}, content, None)
    assert (payload.decoded_length, payload.trailers) == (4, frozenset())
    decoder = payload.new_decoder()
    assert decoder.feed(b"data") == [b"data"]
    assert decoder.finish() == {}


def test_a_body_of_transfer_encoding_chunked_has_no_known_length() -> None:
    assert payload_of({"transfer-encoding": "chunked"}, "UNSIGNED-PAYLOAD", None).decoded_length is None


@pytest.mark.parametrize("text", ["-1", "", "1.5", "+1", "\u00b2", "1_0"])
def test_a_content_length_that_is_no_number_is_a_bad_request(text: str) -> None:
    assert _refused({"content-length": text}, "UNSIGNED-PAYLOAD").status == 400


@pytest.mark.parametrize("content", ["x", "E3" * 32, "e3" * 31, "unsigned-payload", "STREAMING-", "STREAMING-X"])
def test_an_unknown_value_is_an_invalid_argument(content: str) -> None:
    error = _refused({LENGTH: "1"}, content)
    assert error.code == "InvalidArgument"
    assert error.fields == {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": content}


@pytest.mark.parametrize("suffix", ["", "-TRAILER"])
def test_asymmetric_signatures_are_not_implemented(suffix: str) -> None:
    assert _refused({LENGTH: "1"}, f"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD{suffix}").code == "NotImplemented"


@pytest.mark.parametrize("content", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("headers", [{}, {LENGTH: ""}, {LENGTH: "-1"}, {LENGTH: "many"}])
def test_a_chunked_body_needs_its_decoded_length(content: str, headers: dict[str, str]) -> None:
    error = _refused({"content-length": "9", **headers}, content)
    assert (error.code, error.status) == ("MissingContentLength", 411)


@pytest.mark.parametrize("content", [SIGNED, SIGNED_TRAILER])
def test_signed_chunks_need_a_version_4_signature_to_follow_from(content: str) -> None:
    assert _refused({LENGTH: "1"}, content, signed=False).code == "InvalidRequest"


def test_trailers_are_announced_in_any_case_and_spacing() -> None:
    headers = {LENGTH: "1", "x-amz-trailer": "X-Amz-Checksum-CRC32 ,x-amz-checksum-sha1,"}
    payload = payload_of(headers, UNSIGNED_TRAILER, None)
    assert payload.decoded_length == 1
    assert payload.trailers == {"x-amz-checksum-crc32", "x-amz-checksum-sha1"}


def _unsigned_wire_headers(length: int) -> dict[str, str]:
    trailer = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-content-sha256": UNSIGNED_TRAILER}
    return {**trailer, LENGTH: str(length), "content-encoding": "aws-chunked"}


@pytest.mark.parametrize("signer", ["", "HmacV1Auth", "S3SigV4Auth"])
def test_unsigned_chunks_are_decoded_for_every_kind_of_caller(signer: str) -> None:
    headers = _unsigned_wire_headers(4)
    wire = signed_by_botocore(signer, "PUT", "/b/k", headers=headers) if signer else wire_of("PUT", "/b/k", headers)
    if signer == "S3SigV4Auth":
        # botocore replaces the literal by a hash unless its own machinery chose it.
        wire = signed_by_botocore("SigV4Auth", "PUT", "/b/k", headers=headers)
    decoder = authenticated(wire).payload.new_decoder()
    data = decoder.feed(b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32:rfPzYw==\r\n\r\n")
    assert b"".join(data) == b"data"
    assert decoder.finish() == {"x-amz-checksum-crc32": "rfPzYw=="}


def test_signed_chunks_follow_from_the_signature_of_the_request() -> None:
    headers = {"x-amz-content-sha256": SIGNED, LENGTH: "4"}
    wire = signed_by_botocore("SigV4Auth", "PUT", "/b/k", headers=headers)
    start = seed(wire.headers["authorization"].rpartition("=")[2])
    payload = authenticated(wire).payload
    first, second = payload.new_decoder(), payload.new_decoder()
    for decoder in (first, second):
        assert b"".join(decoder.feed(SignedBody(start).encode([b"data"]))) == b"data"
        assert decoder.finish() == {}
    with pytest.raises(S3Error) as caught:
        payload.new_decoder().feed(SignedBody(seed()).encode([b"data"]))
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("content", [SIGNED, SIGNED_TRAILER])
def test_signed_chunks_are_read_without_a_signature_to_follow_from_where_nobody_is_asked(content: str) -> None:
    trailers = {"x-amz-checksum-crc32": "rfPzYw=="} if content == SIGNED_TRAILER else None
    headers = {LENGTH: "4", **({"x-amz-trailer": "x-amz-checksum-crc32"} if trailers else {})}
    decoder = payload_of(headers, content, None, unverified=True).new_decoder()
    data = decoder.feed(SignedBody(seed(secret="of somebody else")).encode([b"data"], trailers))
    assert b"".join(map(bytes, data)) == b"data"
    assert decoder.finish() == (trailers or {})
