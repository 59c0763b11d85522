"""Byte ranges: the Range header and x-amz-copy-source-range."""

from __future__ import annotations

import re

import msgspec

from s3gate.core.errors import S3Error

__all__ = ["ByteRange", "parse_copy_range", "parse_range"]

_ONE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE)
_COPY = re.compile(r"bytes=(\d+)-(\d+)")


class ByteRange(msgspec.Struct, frozen=True):
    """`length` bytes from `start` of an object of `size` bytes."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of the Content-Range header."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def parse_range(text: str, size: int) -> ByteRange | None:
    """The one range a GET asks for, or None where the whole object is the answer.

    S3 answers a Range that is malformed, or that names several ranges, with the whole object (GetObject: "Amazon S3
    doesn't support retrieving multiple ranges of data per GET request"). A range without a byte is InvalidRange.
    """
    match = _ONE.fullmatch(text.strip())
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None  # RFC 9110 section 14.1.1: an invalid int-range is ignored
    elif last:
        start, end = max(size - int(last), 0), size - 1
        if int(last) == 0:
            start = size
    else:
        return None
    if start >= size:
        raise S3Error(
            "InvalidRange",
            headers={"content-range": f"bytes */{size}"},
            RangeRequested=text,
            ActualObjectSize=size,
        )
    return ByteRange(start, end - start + 1, size)


def parse_copy_range(text: str, size: int) -> ByteRange:
    """x-amz-copy-source-range, which has one form only and must lie within the source.

    A range beyond the end is InvalidRange, as ceph/s3-tests has it (AWS was also seen to say InvalidArgument).
    """
    match = _COPY.fullmatch(text.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=text,
        )
    first, last = int(match[1]), int(match[2])
    if last >= size:
        raise S3Error(
            "InvalidRange",
            f"Range specified is not valid for source object of size: {size}",
            RangeRequested=text,
            ActualObjectSize=size,
        )
    return ByteRange(first, last - first + 1, size)
