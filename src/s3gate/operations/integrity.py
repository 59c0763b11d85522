"""What a request declares of its body: Content-MD5, x-amz-checksum-* and trailers, checked before a byte is read.

Sources: "Checking object integrity" of the S3 user guide, and the request headers of PutObject and UploadPart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from s3gate.core.checksums import ALGORITHMS, Algorithm, find_algorithm, is_value
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire

__all__ = ["CHECKSUM_HEADERS", "UPLOAD_HEADERS", "Declared", "check_value", "checksum_values"]

CHECKSUM_HEADERS = tuple(algorithm.header for algorithm in ALGORITHMS.values())
_ALGORITHM = "x-amz-checksum-algorithm"
_TYPE = "x-amz-checksum-type"
# For `reads` of an operation that takes the bytes of an object. The last two are of CreateMultipartUpload in S3, but
# MinIO's clients send them with every part.
UPLOAD_HEADERS = (*CHECKSUM_HEADERS, _ALGORITHM, _TYPE)
_BY_HEADER = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}
_SDK_ALGORITHM = "x-amz-sdk-checksum-algorithm"
_CONTENT_MD5 = "content-md5"
# The headers that say anything here; most requests have none of them.
_DECLARING = frozenset({_CONTENT_MD5, _SDK_ALGORITHM, *UPLOAD_HEADERS})


def check_value(algorithm: Algorithm, value: str) -> None:
    """Raise BadDigest for a checksum that no data can have, because it is not base64 of the right length.

    AWS answers InvalidRequest with this message; the conformance suite of Ceph, and with it the servers it is run on,
    BadDigest, the code of every other value that does not match. Both are 400.
    """
    if not is_value(algorithm, value):
        raise S3Error("BadDigest", f"Value for {algorithm.header} header is invalid.")


def _single_error() -> S3Error:
    return S3Error(
        "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )


def _sent_headers(wire: Wire) -> Mapping[str, str]:
    """The headers without those that only stand for parameters of a presigned URL.

    An SDK that presigns an upload has no body yet and puts the checksum of nothing into the URL; S3 ignores it there.
    """
    hoisted = {
        name.lower(): value
        for name, value in wire.query.items()
        if name.lower().startswith(("x-amz-checksum-", _SDK_ALGORITHM))
    }
    if not hoisted:
        return wire.headers
    return {name: value for name, value in wire.headers.items() if hoisted.get(name) != value}


def checksum_values(headers: Mapping[str, str]) -> dict[str, str]:
    """The x-amz-checksum-* values among `headers`, by name of the algorithm."""
    if _BY_HEADER.keys().isdisjoint(headers):
        return {}
    return {name: headers[algorithm.header] for name, algorithm in ALGORITHMS.items() if algorithm.header in headers}


def _content_md5(headers: Mapping[str, str]) -> bytes | None:
    text = headers.get(_CONTENT_MD5)
    if text is None:
        return None
    try:
        digest = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest")
    return digest


def _trailing(trailers: frozenset[str]) -> list[Algorithm]:
    for name in trailers:
        if name not in _BY_HEADER:
            raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return [_BY_HEADER[name] for name in trailers]


def _check_sdk_algorithm(headers: Mapping[str, str], algorithm: Algorithm | None) -> None:
    name = headers.get(_SDK_ALGORITHM)
    if not name:
        return
    if algorithm is None:
        raise S3Error(
            "InvalidRequest",
            f"{_SDK_ALGORITHM} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
        )
    if find_algorithm(name) is not algorithm:
        raise S3Error("InvalidRequest", f"Value for {_SDK_ALGORITHM} header is invalid.")


def _wanted(headers: Mapping[str, str], algorithm: Algorithm | None) -> Algorithm | None:
    name = headers.get(_ALGORITHM)
    if not name:
        return None
    wanted = find_algorithm(name)
    if algorithm not in (None, wanted):
        raise S3Error("InvalidRequest", f"Value for {_ALGORITHM} header is invalid.")
    return wanted


class Declared(msgspec.Struct, frozen=True):
    """What the request says its body is.

    `value` is base64; None with an `algorithm` that comes as a trailer. `wanted` is the algorithm whose checksum the
    client asks to be computed and kept, also where it sends none itself; `kind` is its type.
    """

    content_md5: bytes | None = None
    algorithm: Algorithm | None = None
    value: str | None = None
    wanted: Algorithm | None = None
    kind: str | None = None

    @classmethod
    def of(cls, wire: Wire, trailers: frozenset[str], *, headers_of_body: bool = True) -> Declared:
        """Read and check the headers, else InvalidDigest, InvalidRequest or BadDigest.

        `headers_of_body` is false where the x-amz-checksum-* headers speak of something else than the body.
        """
        headers = _sent_headers(wire) if wire.query else wire.headers
        if not trailers and _DECLARING.isdisjoint(headers):
            return _NOTHING
        md5 = _content_md5(headers)
        values = checksum_values(headers) if headers_of_body else {}
        trailing = _trailing(trailers)
        if len(values) + len(trailing) > 1:
            raise _single_error()
        algorithm = next(iter([*(ALGORITHMS[name] for name in values), *trailing]), None)
        value = next(iter(values.values()), None)
        if algorithm is not None and value is not None:
            check_value(algorithm, value)
        _check_sdk_algorithm(headers, algorithm)
        if not headers_of_body:
            return cls(md5, algorithm, value)
        return cls(md5, algorithm, value, _wanted(headers, algorithm), headers.get(_TYPE))


_NOTHING = Declared()
