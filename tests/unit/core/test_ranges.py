"""Byte ranges of GET and of copies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.core.ranges import ByteRange, parse_copy_range, parse_range


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=4-7", 4, 4),
        ("bytes=4-", 4, 6),
        ("bytes=4-100", 4, 6),
        ("bytes=-3", 7, 3),
        ("bytes=-100", 0, 10),
        ("Bytes = 1 - 2", 1, 2),
    ],
)
def test_a_range_is_cut_to_the_object(text: str, start: int, length: int) -> None:
    assert parse_range(text, 10) == ByteRange(start, length, 10)


@pytest.mark.parametrize("text", ["bytes=0-1,3-4", "bytes=5-2", "bytes=a-b", "bytes=-", "bytes", "lines=1-2", ""])
def test_what_is_no_single_range_is_answered_with_the_whole_object(text: str) -> None:
    assert parse_range(text, 10) is None


@pytest.mark.parametrize(
    ("text", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-0", 0)]
)
def test_a_range_without_a_byte_is_refused_with_the_size(text: str, size: int) -> None:
    with pytest.raises(S3Error) as raised:
        parse_range(text, size)

    assert raised.value.code == "InvalidRange"
    assert raised.value.headers == {"content-range": f"bytes */{size}"}
    assert raised.value.fields["ActualObjectSize"] == str(size)


@given(st.integers(1, 1000), st.integers(0, 2000), st.integers(0, 2000))
def test_a_range_names_the_bytes_that_slicing_does(size: int, first: int, last: int) -> None:
    data = bytes(index % 251 for index in range(size))
    if first >= size and first <= last:
        with pytest.raises(S3Error):
            parse_range(f"bytes={first}-{last}", size)
        return
    found = parse_range(f"bytes={first}-{last}", size)
    if found is None:
        assert last < first
    else:
        assert data[found.start : found.start + found.length] == data[first : last + 1]
        assert found.content_range == f"bytes {first}-{min(last, size - 1)}/{size}"


def test_a_copy_range_lies_within_its_source() -> None:
    assert parse_copy_range("bytes=2-9", 10) == ByteRange(2, 8, 10)
    for text, code in {
        "bytes=2-10": "InvalidRange",
        "bytes=2-": "InvalidArgument",
        "bytes=-2": "InvalidArgument",
        "bytes=3-2": "InvalidArgument",
        "2-3": "InvalidArgument",
    }.items():
        with pytest.raises(S3Error) as raised:
            parse_copy_range(text, 10)
        assert raised.value.code == code, text
