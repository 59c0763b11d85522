"""GetObjectAttributes."""

from __future__ import annotations

from typing import Any

import pytest

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import ask, refusal
from support.refused import refused
from support.signed import signed

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


def test_all_attributes_of_an_object_in_one_piece(s3: Any, bucket: str):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"content", ChecksumAlgorithm="SHA256")

    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)

    assert got["ETag"] == put["ETag"].strip('"')
    assert got["ObjectSize"] == 7
    assert got["StorageClass"] == "STANDARD"
    assert got["Checksum"] == {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in got
    assert got["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]


@pytest.mark.parametrize("attribute", ["ETag", "StorageClass", "ObjectSize"])
def test_only_what_was_asked_for_is_told(s3: Any, bucket: str, attribute: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")

    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=[attribute])

    assert set(got) & set(ALL) == {attribute}


def test_the_parts_of_an_object_come_in_pages(s3: Any, bucket: str):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    pieces = [payload(5 * MIB, 1), payload(5 * MIB, 2), b"tail"]
    parts = []
    for number, piece in enumerate(pieces, 1):
        part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    first = s3.get_object_attributes(**where, ObjectAttributes=ALL, MaxParts=2)
    marker = first["ObjectParts"]["NextPartNumberMarker"]
    second = s3.get_object_attributes(**where, ObjectAttributes=ALL, MaxParts=2, PartNumberMarker=marker)

    assert first["Checksum"]["ChecksumType"] == "COMPOSITE"
    assert first["ObjectSize"] == 10 * MIB + 4
    assert (first["ObjectParts"]["TotalPartsCount"], first["ObjectParts"]["IsTruncated"]) == (3, True)
    assert second["ObjectParts"]["IsTruncated"] is False
    told = [*first["ObjectParts"]["Parts"], *second["ObjectParts"]["Parts"]]
    assert [(part["PartNumber"], part["Size"], part["ChecksumSHA256"]) for part in told] == [
        (part["PartNumber"], len(piece), part["ChecksumSHA256"]) for part, piece in zip(parts, pieces, strict=True)
    ]


def test_an_object_that_is_not_there_has_no_attributes(s3: Any, bucket: str):
    assert refused(s3.get_object_attributes, Bucket=bucket, Key="k", ObjectAttributes=ALL) == (404, "NoSuchKey")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (400, "InvalidRequest")),
        ({"x-amz-object-attributes": "Colour"}, (400, "InvalidArgument")),
        ({"x-amz-object-attributes": "ETag", "x-amz-max-parts": "many"}, (400, "InvalidArgument")),
        ({"x-amz-object-attributes": "ETag", "x-amz-part-number-marker": "-1"}, (400, "InvalidArgument")),
    ],
)
def test_bad_questions_are_refused(
    gateway: Gateway, s3: Any, bucket: str, headers: dict[str, str], expected: tuple[int, str]
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    assert refusal(ask(gateway, signed(gateway, "GET", f"/{bucket}/k?attributes", headers=headers))) == expected
