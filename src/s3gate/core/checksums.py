"""Checksums of objects: the algorithms S3 takes, running digests, and how those of parts make that of an object.

Source: "Checking object integrity in Amazon S3" of the S3 user guide. Values are base64 of the big-endian digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import msgspec
import xxhash
from awscrt import checksums as crt

from s3gate.core.errors import S3Error

__all__ = [
    "ALGORITHMS",
    "COMPOSITE",
    "DEFAULT_ALGORITHM",
    "FULL_OBJECT",
    "Algorithm",
    "Buffer",
    "Checksum",
    "Digest",
    "check_multipart_type",
    "combine",
    "composite",
    "default_multipart_type",
    "find_algorithm",
    "is_value",
]

Buffer = bytes | bytearray | memoryview

COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"
# What S3 computes for an object whose client sent no checksum (since December 2024).
DEFAULT_ALGORITHM = "CRC64NVME"


class Digest(Protocol):
    """A running digest, as hashlib's objects are."""

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""


class _Crc:
    """A CRC with the interface of hashlib's objects."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[Buffer, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


@dataclass(frozen=True)
class Algorithm:
    """A checksum algorithm: `size` of its digest in bytes; `combine` where digests of neighbours can be joined."""

    name: str
    size: int
    new: Callable[[], Digest]
    combine: Callable[[int, int, int], int] | None = None

    @cached_property
    def header(self) -> str:
        """The request and response header that carries a value of this algorithm."""
        return f"x-amz-checksum-{self.name.lower()}"

    @cached_property
    def element(self) -> str:
        """The XML element that carries a value of this algorithm."""
        return f"Checksum{self.name}"


class Checksum(msgspec.Struct, frozen=True, gc=False):
    """A checksum that was verified or computed here. `value` is base64, with `-N` behind it when COMPOSITE."""

    algorithm: str
    value: str
    type: str = FULL_OBJECT


def _algorithms() -> Mapping[str, Algorithm]:
    return {
        "CRC32": Algorithm("CRC32", 4, partial(_Crc, crt.crc32, 4), crt.combine_crc32),
        "CRC32C": Algorithm("CRC32C", 4, partial(_Crc, crt.crc32c, 4), crt.combine_crc32c),
        "CRC64NVME": Algorithm("CRC64NVME", 8, partial(_Crc, crt.crc64nvme, 8), crt.combine_crc64nvme),
        "SHA1": Algorithm("SHA1", 20, partial(hashlib.sha1, usedforsecurity=False)),
        "SHA256": Algorithm("SHA256", 32, hashlib.sha256),
        "SHA512": Algorithm("SHA512", 64, hashlib.sha512),
        "MD5": Algorithm("MD5", 16, partial(hashlib.md5, usedforsecurity=False)),
        "XXHASH64": Algorithm("XXHASH64", 8, xxhash.xxh64),
        "XXHASH3": Algorithm("XXHASH3", 8, xxhash.xxh3_64),
        "XXHASH128": Algorithm("XXHASH128", 16, xxhash.xxh3_128),
    }


ALGORITHMS = _algorithms()


def find_algorithm(name: str) -> Algorithm:
    """The algorithm that a client names in any case, else InvalidRequest with AWS's words."""
    try:
        return ALGORITHMS[name.upper()]
    except KeyError:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the "
            f"valid types: [{', '.join(ALGORITHMS)}]",
        ) from None


def is_value(algorithm: Algorithm, text: str) -> bool:
    """Whether `text` is base64 of a digest of this algorithm's size."""
    try:
        return len(base64.b64decode(text, validate=True)) == algorithm.size
    except (binascii.Error, ValueError):
        return False


def default_multipart_type(algorithm: str) -> str:
    """The checksum type of an upload whose client names only an algorithm."""
    return FULL_OBJECT if algorithm == "CRC64NVME" else COMPOSITE


def check_multipart_type(algorithm: str, kind: str) -> None:
    """Raise InvalidRequest for a pair of algorithm and type that S3 does not offer for multipart uploads."""
    if kind not in (COMPOSITE, FULL_OBJECT):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    allowed = FULL_OBJECT if ALGORITHMS[algorithm].combine else COMPOSITE
    if kind != allowed and not (kind == COMPOSITE and algorithm in ("CRC32", "CRC32C")):
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )


def composite(algorithm: str, values: Sequence[str]) -> Checksum:
    """The checksum of an assembled object as S3's COMPOSITE type: the digest of the parts' raw digests, and `-N`."""
    digest = ALGORITHMS[algorithm].new()
    for value in values:
        digest.update(base64.b64decode(value))
    text = base64.b64encode(digest.digest()).decode()
    return Checksum(algorithm, f"{text}-{len(values)}", COMPOSITE)


def combine(algorithm: str, parts: Iterable[tuple[str, int]]) -> Checksum:
    """The FULL_OBJECT checksum of an object from (base64 value, size in bytes) of its parts, reading no data."""
    known = ALGORITHMS[algorithm]
    if known.combine is None:
        raise ValueError(f"{algorithm} digests cannot be combined")
    total = 0
    for value, size in parts:
        total = known.combine(total, int.from_bytes(base64.b64decode(value), "big"), size)
    return Checksum(algorithm, base64.b64encode(total.to_bytes(known.size, "big")).decode(), FULL_OBJECT)
