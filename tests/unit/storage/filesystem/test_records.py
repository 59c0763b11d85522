"""Records as bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.checksums import Checksum
from s3gate.core.values import ObjectRecord
from s3gate.storage.filesystem import records
from s3gate.storage.filesystem.records import Binding, BrokenRecord, decode, encode

BINDING = Binding(1 << 30, 1764000000000000000)
INODE_BYTES = 64  # that fit into an inode of ext4 with 256 bytes


def record(**fields: object) -> ObjectRecord:
    checksum = Checksum("CRC64NVME", "AAAAAAAAAAA=")
    return ObjectRecord("0" * 32, 1 << 30, 1764000000012345678, checksum=checksum, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8", "video/mp4"])
def test_the_record_of_an_object_with_a_common_content_type_fits_into_the_inode(content_type: str) -> None:
    assert len(encode(record(headers={"content-type": content_type}), BINDING)) <= INODE_BYTES


@given(st.dictionaries(st.sampled_from(["content-type", "expires", "cache-control"]), st.text(max_size=40)))
def test_headers_are_read_back_as_they_were_written(headers: dict[str, str]) -> None:
    written = record(headers=headers)
    assert decode(encode(written, BINDING)).record == written


@pytest.mark.parametrize("content_type", records._CONTENT_TYPES)
def test_every_content_type_of_the_table_is_read_back(content_type: str) -> None:
    written = record(headers={"expires": "0", "content-type": content_type})
    assert decode(encode(written, BINDING)).record == written


@pytest.mark.parametrize("number", [len(records._CONTENT_TYPES) + 1, -1])
def test_a_content_type_of_no_table_makes_a_broken_record_and_no_guess(number: int) -> None:
    fields = [1, 2, b"", 0, b"", {"t": number}]
    with pytest.raises(BrokenRecord):
        decode(records._framed(msgspec.msgpack.encode(fields)))
