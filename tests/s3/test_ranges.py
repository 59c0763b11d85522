"""Parts of an object's bytes: Range and partNumber."""

from __future__ import annotations

from typing import Any

import pytest

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import ask
from support.refused import refused
from support.signed import signed

CONTENT = payload(1000)
SPANS = {
    "bytes=0-9": (0, 9),
    "bytes=990-999": (990, 999),
    "bytes=990-5000": (990, 999),
    "bytes=500-": (500, 999),
    "bytes=-1": (999, 999),
    "bytes=-5000": (0, 999),
    "bytes=0-0": (0, 0),
    "BYTES=1-2": (1, 2),
}


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    return bucket


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("header", SPANS)
def test_a_range_gives_its_bytes(gateway: Gateway, stored: str, method: str, header: str):
    first, last = SPANS[header]

    answer = ask(gateway, signed(gateway, method, f"/{stored}/k", headers={"Range": header}))

    assert answer.status == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.body == (CONTENT[first : last + 1] if method == "GET" else b"")


@pytest.mark.parametrize(
    "header", ["bytes=0-1,5-6", "bytes=5-2", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "0-1", "bytes 0-1"]
)
def test_what_is_not_one_range_gives_the_whole(gateway: Gateway, stored: str, header: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{stored}/k", headers={"Range": header}))

    assert (answer.status, answer.body) == (200, CONTENT)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(gateway: Gateway, stored: str, header: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{stored}/k", headers={"Range": header}))

    assert (answer.status, answer.code) == (416, "InvalidRange")
    assert answer.error["ActualObjectSize"] == "1000"
    assert answer.error["RangeRequested"] == header
    assert answer.headers["content-range"] == "bytes */1000"


def test_an_empty_object_has_no_range(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")

    assert refused(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-") == (416, "InvalidRange")
    assert refused(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=-1") == (416, "InvalidRange")


def test_a_large_range_that_begins_off_any_boundary_is_right(s3: Any, bucket: str):
    content = payload(4 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=content)

    got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes=333333-{3 * MIB + 1}")["Body"].read()

    assert got == content[333_333 : 3 * MIB + 2]


def test_a_range_of_a_version_that_changed_can_be_refused(s3: Any, stored: str):
    etag = s3.head_object(Bucket=stored, Key="k")["ETag"]
    part = s3.get_object(Bucket=stored, Key="k", Range="bytes=0-3", IfMatch=etag)
    s3.put_object(Bucket=stored, Key="k", Body=b"something else")

    assert part["Body"].read() == CONTENT[:4]
    arguments = {"Bucket": stored, "Key": "k", "Range": "bytes=4-7", "IfMatch": etag}
    assert refused(s3.get_object, **arguments) == (412, "PreconditionFailed")


def test_an_object_put_in_one_piece_is_its_own_part_one(s3: Any, stored: str):
    answer = s3.get_object(Bucket=stored, Key="k", PartNumber=1)

    assert answer["Body"].read() == CONTENT
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert "PartsCount" not in answer
    assert refused(s3.get_object, Bucket=stored, Key="k", PartNumber=2)[0] in (400, 416)


def test_each_part_of_an_object_can_be_read_by_its_number(s3: Any, bucket: str):
    where = {"Bucket": bucket, "Key": "k"}
    pieces = {2: payload(5 * MIB, 1), 5: payload(5 * MIB, 2), 9: payload(10, 3)}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=n, Body=piece)["ETag"]}
        for n, piece in pieces.items()
    ]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    for number, piece in pieces.items():
        got = s3.get_object(**where, PartNumber=number)
        assert got["Body"].read() == piece
        assert (got["PartsCount"], got["ResponseMetadata"]["HTTPStatusCode"]) == (3, 206)
    head = s3.head_object(**where, PartNumber=9)
    assert (head["ContentLength"], head["ContentRange"]) == (10, f"bytes {10 * MIB}-{10 * MIB + 9}/{10 * MIB + 10}")
    assert refused(s3.get_object, **where, PartNumber=1)[0] in (400, 416)


def test_a_part_and_a_range_exclude_each_other(s3: Any, stored: str):
    both = {"Bucket": stored, "Key": "k", "PartNumber": 1, "Range": "bytes=0-1"}

    assert refused(s3.get_object, **both) == (400, "InvalidRequest")
