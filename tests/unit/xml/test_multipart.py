"""Documents of multipart uploads."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.xml.multipart import CompletedPart, CompleteMultipartUpload


def parts(number: int) -> bytes:
    one = b"<Part><PartNumber>%d</PartNumber><ETag>e</ETag></Part>"
    body = b"".join(one % min(i, 10_000) for i in range(1, number + 1))
    return b"<CompleteMultipartUpload>" + body + b"</CompleteMultipartUpload>"


def refused(body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        CompleteMultipartUpload.parse(body)
    return caught.value.code


def test_parts_are_read_with_bare_entity_tags_and_their_checksums() -> None:
    body = (
        b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>&quot;e&quot;</ETag></Part>"
        b"<Part><ETag>f</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><PartNumber> 1 </PartNumber></Part>"
        b"</CompleteMultipartUpload>"
    )
    assert CompleteMultipartUpload.parse(body).parts == [
        CompletedPart(2, "e", {}),
        CompletedPart(1, "f", {"CRC32": "AAAAAA=="}),
    ]


def test_ten_thousand_parts_are_read_and_one_more_is_refused() -> None:
    assert len(CompleteMultipartUpload.parse(parts(10_000)).parts) == 10_000
    assert refused(parts(10_001)) == "MalformedXML"


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"<Part/>",
        b"<Part><PartNumber>1</PartNumber></Part>",
        b"<Part><ETag>e</ETag></Part>",
        b"<Part><PartNumber>1</PartNumber><ETag>e</ETag><ETag>f</ETag></Part>",
        b"<Part><PartNumber>1</PartNumber><ETag>e</ETag><Checksum>x</Checksum></Part>",
        b"<Other/>",
    ],
)
def test_what_is_not_such_a_document_is_malformed(part: bytes) -> None:
    assert refused(b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>") == "MalformedXML"


@pytest.mark.parametrize("number", [b"0", b"10001", b"-1", b"one"])
def test_a_part_number_that_no_part_can_have_is_an_invalid_argument(number: bytes) -> None:
    part = b"<Part><PartNumber>" + number + b"</PartNumber><ETag>e</ETag></Part>"
    assert refused(b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>") == "InvalidArgument"
