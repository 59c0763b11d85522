"""Contents are compared with everything that a record says of them."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
import xxhash

from s3gate.core.checksums import ALGORITHMS, Checksum, composite
from s3gate.core.etags import digest_etag, joined_etag
from s3gate.core.values import ObjectRecord, PartSpan
from s3gate.storage.filesystem.verification import contents_fault

PARTS = [b"first part " * 1000, b"second part"]
DATA = b"".join(PARTS)
MD5 = hashlib.md5(DATA).hexdigest()
JOINED = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in PARTS)).hexdigest() + "-2"


def digest(algorithm: str, data: bytes) -> str:
    running = ALGORITHMS[algorithm].new()
    running.update(data)
    return base64.b64encode(running.digest()).decode()


def in_parts(algorithm: str) -> ObjectRecord:
    values = [digest(algorithm, part) for part in PARTS]
    spans = tuple(
        PartSpan(number, len(part), value) for number, (part, value) in enumerate(zip(PARTS, values, strict=True), 1)
    )
    return ObjectRecord(JOINED, len(DATA), 0, parts=spans, checksum=composite(algorithm, values))


RECORDS = {
    "an ETag": ObjectRecord(MD5, len(DATA), 0),
    "an ETag of parts": ObjectRecord(JOINED, len(DATA), 0, parts=tuple(PartSpan(1, len(part)) for part in PARTS)),
    "an ETag by xxhash": ObjectRecord(digest_etag("xxhash", xxhash.xxh3_128_digest(DATA)), len(DATA), 0),
    "an ETag of parts by xxhash": ObjectRecord(
        joined_etag([digest_etag("xxhash", xxhash.xxh3_128_digest(part)) for part in PARTS]),
        len(DATA),
        0,
        parts=tuple(PartSpan(1, len(part)) for part in PARTS),
    ),
    **{
        f"{name} of the whole": ObjectRecord("x", len(DATA), 0, checksum=Checksum(name, digest(name, DATA)))
        for name in ALGORITHMS
    },
    **{f"{name} of parts": in_parts(name) for name in ("CRC32", "SHA256", "SHA1")},
}


def fault(tmp_path: Path, data: bytes, record: ObjectRecord) -> str | None:
    path = tmp_path / "file"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    read: list[int] = []
    try:
        return contents_fault(fd, record, read.append)
    finally:
        os.close(fd)
        assert sum(read) <= record.size


@pytest.mark.parametrize("name", RECORDS)
def test_what_was_stored_agrees_and_one_changed_bit_does_not(name: str, tmp_path: Path) -> None:
    record = RECORDS[name]
    assert fault(tmp_path, DATA, record) is None
    for at in (0, len(DATA) // 2, len(DATA) - 1):
        changed = bytearray(DATA)
        changed[at] ^= 1
        assert fault(tmp_path, bytes(changed), record) is not None


@pytest.mark.parametrize("name", RECORDS)
def test_contents_that_are_too_short_do_not_agree(name: str, tmp_path: Path) -> None:
    assert "end at byte" in (fault(tmp_path, DATA[:-1], RECORDS[name]) or "")


def test_what_cannot_be_compared_is_not_called_wrong(tmp_path: Path) -> None:
    synthetic = ObjectRecord("0" * 32 + "-1", len(DATA), 0)
    without_sizes = ObjectRecord(JOINED, len(DATA), 0)
    assert fault(tmp_path, b"anything", synthetic) is None
    assert fault(tmp_path, b"anything", without_sizes) is None


def test_an_empty_object_has_the_digests_of_nothing(tmp_path: Path) -> None:
    empty = ObjectRecord(hashlib.md5(b"").hexdigest(), 0, 0, checksum=Checksum("CRC32", digest("CRC32", b"")))
    assert fault(tmp_path, b"", empty) is None
