"""What x-amz-content-sha256 says of a body: how it is encoded, and what it must hash to.

Source: the table of x-amz-content-sha256 values on the page that sigv4 names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from s3gate.auth.chunked import ChunkedDecoder, PlainDecoder
from s3gate.auth.payload import Payload
from s3gate.auth.signing_key import Seed
from s3gate.core.errors import S3Error

__all__ = ["payload_of"]

_UNKNOWN = Payload(partial(PlainDecoder, None, ""), None)  # nothing is said of it
_HASH = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_UNSIGNED = "UNSIGNED-PAYLOAD"
_SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise S3Error("InvalidArgument", "Invalid Content-Length", ArgumentName="Content-Length", ArgumentValue=text)
    return int(text)


def _announced(headers: Mapping[str, str]) -> frozenset[str]:
    names = (name.strip().lower() for name in headers.get("x-amz-trailer", "").split(","))
    return frozenset(name for name in names if name)


def _streaming(headers: Mapping[str, str], content: str, seed: Seed | None, *, unverified: bool) -> Payload:
    if content.startswith("STREAMING-AWS4-ECDSA-"):
        raise S3Error("NotImplemented", f"{content} is not implemented")
    if content not in (_SIGNED_CHUNKS, _SIGNED_CHUNKS_TRAILER, _UNSIGNED_TRAILER):
        raise _unknown(content)
    signed = content != _UNSIGNED_TRAILER
    if signed and seed is None and not unverified:
        raise S3Error(
            "InvalidRequest",
            "Requests without Signature Version 4 don't support this x-amz-content-sha256 value. Please use "
            f"{_UNSIGNED} or {_UNSIGNED_TRAILER}.",
        )
    length = headers.get("x-amz-decoded-content-length", "")
    if not _NUMBER.fullmatch(length):
        raise S3Error("MissingContentLength")
    trailers = None if content == _SIGNED_CHUNKS else _announced(headers)
    decoder = partial(
        ChunkedDecoder, int(length), seed=seed if signed else None, unverified=signed and unverified, trailers=trailers
    )
    return Payload(decoder, int(length), trailers or frozenset())


def _unknown(content: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        f"x-amz-content-sha256 must be {_UNSIGNED}, {_UNSIGNED_TRAILER}, {_SIGNED_CHUNKS}, "
        f"{_SIGNED_CHUNKS_TRAILER}, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=content,
    )


def payload_of(headers: Mapping[str, str], content: str, seed: Seed | None, *, unverified: bool = False) -> Payload:
    """The payload of a request.

    Args:
        headers: those of the request.
        content: the value of x-amz-content-sha256 that holds, "" for none. It alone decides the framing,
            Content-Encoding does not.
        seed: what chunk signatures follow from, or None.
        unverified: the signatures of chunks are read over; `seed` is None.

    Raises InvalidArgument for an unknown value, NotImplemented for AWS's asymmetric signatures, and
    MissingContentLength for a chunked body without x-amz-decoded-content-length.
    """
    if not content or content == _UNSIGNED:
        content = ""
    elif content.startswith("STREAMING-"):
        return _streaming(headers, content, seed, unverified=unverified)
    elif not _HASH.fullmatch(content):
        raise _unknown(content)
    text = headers.get("content-length")
    if text is None and not content:
        return _UNKNOWN
    length = None if text is None else _number(text)
    return Payload(partial(PlainDecoder, length, content), length)
