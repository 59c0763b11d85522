"""Requests that name what cannot be: each is refused with AWS's code, and nothing is stored or changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway
from support.raw_http import Request, ask, refusal
from support.refused import refused
from support.signed import signed
from support.snapshot import unchanged


@pytest.mark.parametrize(
    "bad",
    [
        "ab",
        "a" * 64,
        "Upper-Case",
        "under_score",
        "-leading",
        "trailing-",
        ".leading",
        "trailing.",
        "two..periods",
        "192.168.5.4",
        "xn--prefix",
        "suffix-s3alias",
        "suffix--ol-s3",
        ".s3gate",
        ".s3gate-x",
        "sp%20ace",
        "sla%2Fsh",
        "%C3%BCber",
        "nul%00",
        "line%0Afeed",
        "..",
        "...",
        "%2E%2E",
        "a%2F..%2F..%2Fb",
    ],
)
def test_a_bad_bucket_name_is_refused(gateway: Gateway, directory: Path, bad: str):
    with unchanged(directory):
        made = ask(gateway, signed(gateway, "PUT", f"/{bad}"))
        put = ask(gateway, signed(gateway, "PUT", f"/{bad}/k", body=b"x"))
        got = ask(gateway, signed(gateway, "GET", f"/{bad}/k"))

    assert refusal(made) == (400, "InvalidBucketName")
    assert made.error["Resource"] == f"/{bad}"
    for answer in (put, got):
        assert refusal(answer) in ((400, "InvalidBucketName"), (404, "NoSuchBucket"))


def test_a_bucket_without_a_name_is_refused(gateway: Gateway):
    assert refusal(ask(gateway, signed(gateway, "PUT", "//k", body=b"x"))) == (400, "InvalidBucketName")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["%FF", "a%C3", "%C3%28", "%ED%A0%80", "%zz", "a%2", "%", "%F4%90%80%80", "%C0%AF"])
def test_a_path_that_is_not_utf_8_is_refused(gateway: Gateway, bucket: str, directory: Path, method: str, path: str):
    body = b"x" if method == "PUT" else None

    with unchanged(directory):
        for target in (f"/{bucket}/{path}", f"/{path}", f"/{path}/k"):
            assert refusal(ask(gateway, signed(gateway, method, target, body=body))) == (400, "InvalidURI"), target


def test_raw_bytes_in_a_path_are_refused(gateway: Gateway, bucket: str, directory: Path):
    with unchanged(directory):
        request = Request("PUT", f"/{bucket}/\xe9", {"Host": gateway.address, "Content-Length": "1"}, b"x")
        answer = ask(gateway, request)
    assert answer.status == 400
    assert answer.code in ("BadRequest", "InvalidURI")


@pytest.mark.parametrize("query", ["list-type=2&prefix=%FF", "marker=%C3%28", "delimiter=%ED%A0%80"])
def test_a_query_that_is_not_utf_8_is_refused(gateway: Gateway, bucket: str, query: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{bucket}?{query}"))

    assert answer.status == 400
    assert answer.code in ("InvalidURI", "InvalidArgument")


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_more_than_two_kilobytes_of_metadata_are_refused(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, method: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    headers = {f"x-amz-meta-name-{number}": "v" * 500 for number in range(5)}
    target = f"/{bucket}/k" if method == "PUT" else f"/{bucket}/k?uploads"

    with unchanged(directory):
        answer = ask(gateway, signed(gateway, method, target, headers=headers, body=b"new"))
    assert refusal(answer) == (400, "MetadataTooLarge")
    assert answer.error["MaxSizeAllowed"] == "2048"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("place", ["/", "/{bucket}", "/{bucket}/k"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("name", ["colour", "X-Amz-Colour", "analytics", "intelligent-tiering", "metadataTable", "ACL"])
def test_a_sub_resource_that_is_not_known_is_never_ignored(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, name: str, method: str, place: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    target = f"{place.format(bucket=bucket)}?{name}"

    with unchanged(directory):
        answer = ask(gateway, signed(gateway, method, target, body=b"new" if method in ("PUT", "POST") else None))
    assert answer.status in (400, 404, 405, 501)
    if method != "HEAD":
        assert answer.error["Code"]


@pytest.mark.parametrize("query", ["colour=red", "versionId=null&x", "Tagging=", "partNumber=1", "x-id=&colour"])
def test_a_parameter_that_a_write_does_not_know_is_refused(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, query: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    with unchanged(directory):
        for method in ("PUT", "DELETE"):
            answer = ask(gateway, signed(gateway, method, f"/{bucket}/k?{query}", body=b"new"))
            assert answer.status in (400, 501), method


@pytest.mark.parametrize(
    "header",
    [
        "x-amz-colour",
        "x-amz-server-side-encryption-of-mine",
        "x-amz-write-offset-bytes",
        "x-amz-copy-source-range",
        "x-amz-acls",
    ],
)
def test_a_header_that_a_write_does_not_know_is_refused(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, header: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    with unchanged(directory):
        for method, target in (("PUT", "k"), ("POST", "k?uploads")):
            answer = ask(gateway, signed(gateway, method, f"/{bucket}/{target}", headers={header: "x"}, body=b"new"))
            assert refusal(answer) == (501, "NotImplemented"), method


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("x-amz-storage-class", "FLOPPY", (400, "InvalidStorageClass")),
        ("x-amz-storage-class", "GLACIER", (400, "InvalidStorageClass")),
        ("x-amz-acl", "everybody", (400, "InvalidArgument")),
        ("x-amz-acl", "public-read", (400, "AccessControlListNotSupported")),
    ],
)
def test_a_value_that_a_header_cannot_have_is_refused(
    gateway: Gateway, bucket: str, directory: Path, header: str, value: str, expected: tuple[int, str]
):
    with unchanged(directory):
        answer = ask(gateway, signed(gateway, "PUT", f"/{bucket}/k", headers={header: value}, body=b"x"))
    assert refusal(answer) == expected


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "OPTIONS", "LOCK", "MKCOL"])
def test_a_method_that_s3_has_not_is_refused(gateway: Gateway, s3: Any, bucket: str, directory: Path, method: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    with unchanged(directory):
        answer = ask(gateway, signed(gateway, method, f"/{bucket}/k"))
    assert answer.status in (400, 403, 405, 501)
    assert answer.error["Message"]


BAD_PART = (400, "InvalidArgument")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "one", "", "1.5", "+1", "99999999999999999999", "%D9%A1"])
def test_a_part_number_is_one_to_ten_thousand(gateway: Gateway, s3: Any, bucket: str, directory: Path, number: str):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")
    target = f"/{bucket}/k?partNumber={number}&uploadId={upload}"
    copy = {"x-amz-copy-source": f"{bucket}/from"}

    with unchanged(directory):
        assert refusal(ask(gateway, signed(gateway, "PUT", target, body=b"x"))) == BAD_PART
        assert refusal(ask(gateway, signed(gateway, "PUT", target, headers=copy))) == BAD_PART
        assert refusal(ask(gateway, signed(gateway, "GET", f"/{bucket}/from?partNumber={number}"))) == BAD_PART
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


UPLOAD_IDS = ["unknown", "", "../..", "..%2F..", "0" * 26, "%00", "a" * 2000, "..%2F..%2F..%2Fetc%2Fpasswd"]


@pytest.mark.parametrize("upload", UPLOAD_IDS, ids=lambda text: text[:20])
def test_an_upload_that_nobody_began_is_refused(gateway: Gateway, bucket: str, directory: Path, upload: str):
    document = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
    )

    with unchanged(directory):
        for method, target, body in (
            ("PUT", f"k?partNumber=1&uploadId={upload}", b"x"),
            ("POST", f"k?uploadId={upload}", document),
            ("GET", f"k?uploadId={upload}", None),
            ("DELETE", f"k?uploadId={upload}", None),
        ):
            answer = ask(gateway, signed(gateway, method, f"/{bucket}/{target}", body=body))
            assert refusal(answer) == (404, "NoSuchUpload"), method


@pytest.fixture
def upload(s3: Any, bucket: str) -> dict[str, Any]:
    """An upload with two small parts and the object it is to replace."""
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"old")
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=b"%d" % number)["ETag"]}
        for number in (1, 2)
    ]
    return {"where": where, "parts": parts}


def completion(s3: Any, upload: dict[str, Any], *parts: dict[str, Any]) -> tuple[int, str]:
    return refused(s3.complete_multipart_upload, **upload["where"], MultipartUpload={"Parts": list(parts)})


def test_a_completion_that_does_not_fit_its_parts_is_refused(s3: Any, directory: Path, upload: dict[str, Any]):
    one, two = upload["parts"]
    missing = {"PartNumber": 3, "ETag": one["ETag"]}
    wrong = {"PartNumber": 2, "ETag": one["ETag"]}

    with unchanged(directory):
        assert completion(s3, upload, two, one) == (400, "InvalidPartOrder")
        assert completion(s3, upload, one, one) == (400, "InvalidPartOrder")
        assert completion(s3, upload, one, two) == (400, "EntityTooSmall")
        assert completion(s3, upload, missing) == (400, "InvalidPart")
        assert completion(s3, upload, wrong) == (400, "InvalidPart")
        assert completion(s3, upload) == (400, "MalformedXML")
    s3.complete_multipart_upload(**upload["where"], MultipartUpload={"Parts": [two]})
    assert (directory / "k").read_bytes() == b"2"


def test_a_part_too_small_is_named(gateway: Gateway, bucket: str, upload: dict[str, Any]):
    parts = "".join(
        f"<Part><PartNumber>{part['PartNumber']}</PartNumber><ETag>{part['ETag']}</ETag></Part>"
        for part in upload["parts"]
    )
    target = f"/{bucket}/k?uploadId={upload['where']['UploadId']}"
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()

    error = ask(gateway, signed(gateway, "POST", target, body=body)).error

    assert (error["Code"], error["ProposedSize"], error["MinSizeAllowed"]) == ("EntityTooSmall", "1", "5242880")
    assert error["PartNumber"] == "1"


def test_control_characters_leave_an_error_well_formed(gateway: Gateway, bucket: str):
    for target in (f"/{bucket}/a%01b", f"/{bucket}/a%00b", f"/{bucket}/%EF%BF%BE", f"/{bucket}?encoding-type=%08"):
        answer = ask(gateway, signed(gateway, "GET", target))
        assert answer.code in ("NoSuchKey", "InvalidArgument")
        assert answer.error["Resource"] == target.partition("?")[0]


def test_markup_in_a_request_is_text_in_its_error(gateway: Gateway, bucket: str):
    key = "%3C%2FKey%3E%26%22'"

    error = ask(gateway, signed(gateway, "GET", f"/{bucket}/{key}")).error

    assert (error["Code"], error["Key"], error["Resource"]) == ("NoSuchKey", "</Key>&\"'", f"/{bucket}/{key}")
