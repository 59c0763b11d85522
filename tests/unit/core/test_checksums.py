"""Checksums of S3, and how those of parts make that of the whole."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.checksums import (
    ALGORITHMS,
    Algorithm,
    check_multipart_type,
    combine,
    composite,
    default_multipart_type,
    find_algorithm,
    is_value,
)
from s3gate.core.errors import S3Error

COMBINABLE = sorted(name for name, algorithm in ALGORITHMS.items() if algorithm.combine)


def value_of(algorithm: Algorithm, data: bytes) -> str:
    digest = algorithm.new()
    digest.update(data)
    return base64.b64encode(digest.digest()).decode()


# The check values of the catalogue of parametrised CRC algorithms, of RFC 1321, FIPS 180-4 and xxHash's specification.
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "MD5": hashlib.md5(b"123456789").hexdigest(),
    "SHA1": hashlib.sha1(b"123456789").hexdigest(),
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "SHA512": hashlib.sha512(b"123456789").hexdigest(),
    "XXHASH64": "8cb841db40e6ae83",
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_digest_is_the_published_one(name: str) -> None:
    assert base64.b64decode(value_of(ALGORITHMS[name], b"123456789")).hex() == KNOWN[name]


@given(st.sampled_from(sorted(ALGORITHMS)), st.lists(st.binary(max_size=50), max_size=6))
def test_a_digest_does_not_depend_on_how_the_bytes_arrive(name: str, pieces: list[bytes]) -> None:
    digest = ALGORITHMS[name].new()
    for piece in pieces:
        digest.update(memoryview(piece))

    assert base64.b64encode(digest.digest()).decode() == value_of(ALGORITHMS[name], b"".join(pieces))
    assert len(digest.digest()) == ALGORITHMS[name].size


@given(st.sampled_from(COMBINABLE), st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_the_checksums_of_parts_combine_to_that_of_the_whole(name: str, parts: list[bytes]) -> None:
    algorithm = ALGORITHMS[name]

    found = combine(name, [(value_of(algorithm, part), len(part)) for part in parts])

    assert found.value == value_of(algorithm, b"".join(parts))
    assert found.type == "FULL_OBJECT"


def test_a_composite_checksum_is_the_digest_of_the_digests_and_their_number() -> None:
    parts = [b"one", b"two"]
    raw = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in parts)

    found = composite("CRC32", [value_of(ALGORITHMS["CRC32"], part) for part in parts])

    assert found.value == base64.b64encode(zlib.crc32(raw).to_bytes(4, "big")).decode() + "-2"
    assert found.type == "COMPOSITE"


@pytest.mark.parametrize("name", ["SHA256", "MD5"])
def test_digests_that_cannot_be_combined_are_not(name: str) -> None:
    with pytest.raises(ValueError, match="combined"):
        combine(name, [])


@pytest.mark.parametrize(
    ("algorithm", "kind", "allowed"),
    [
        ("CRC64NVME", "FULL_OBJECT", True),
        ("CRC64NVME", "COMPOSITE", False),
        ("CRC32", "FULL_OBJECT", True),
        ("CRC32", "COMPOSITE", True),
        ("CRC32C", "COMPOSITE", True),
        ("SHA1", "COMPOSITE", True),
        ("SHA256", "FULL_OBJECT", False),
        ("SHA256", "HALF", False),
    ],
)
def test_each_algorithm_has_the_multipart_types_that_s3_gives_it(algorithm: str, kind: str, allowed: bool) -> None:
    if allowed:
        check_multipart_type(algorithm, kind)
        return
    with pytest.raises(S3Error) as raised:
        check_multipart_type(algorithm, kind)
    assert raised.value.code == "InvalidRequest"


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_the_default_type_of_an_algorithm_is_one_it_has(name: str) -> None:
    check_multipart_type(name, default_multipart_type(name))


def test_names_are_taken_in_any_case_and_unknown_ones_refused() -> None:
    assert find_algorithm("crc32c").header == "x-amz-checksum-crc32c"
    assert find_algorithm("Sha1").element == "ChecksumSHA1"
    with pytest.raises(S3Error) as raised:
        find_algorithm("ROT13")
    assert raised.value.code == "InvalidRequest"


@pytest.mark.parametrize(("text", "valid"), [("AAAAAA==", True), ("AAAA", False), ("!!!", False), ("", False)])
def test_a_value_has_the_size_of_its_algorithm(text: str, valid: bool) -> None:
    assert is_value(ALGORITHMS["CRC32"], text) is valid
