"""URLs that carry their own signature, of both versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.raw_http import Answer, Request, ask, refusal
from support.signed import signed
from support.snapshot import unchanged

VERSIONS = {"v4": "s3v4", "v2": "s3"}


def client(gateway: Gateway, version: str, key: tuple[str, str] = (ACCESS_KEY, SECRET_KEY)) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        region_name=REGION,
        config=Config(
            signature_version=VERSIONS[version],
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
        ),
    )


def presigned(gateway: Gateway, version: str, operation: str, *, seconds: int = 60, **parameters: Any) -> str:
    url = client(gateway, version).generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds)
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def follow(gateway: Gateway, method: str, target: str, *, body: bytes | None = None, **headers: str) -> Answer:
    sent = {"Host": gateway.address, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    return ask(gateway, Request(method, target, sent, body or b""))


def with_query(target: str, **changes: str | None) -> str:
    path, _, query = target.partition("?")
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    pairs.update({name.replace("_", "-"): value for name, value in changes.items() if value is not None})
    gone = {name.replace("_", "-") for name, value in changes.items() if value is None}
    return f"{path}?{urlencode({name: value for name, value in pairs.items() if name not in gone})}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", ["plain", "a folder/ключ+1", "100%25", "a//b"])
def test_who_holds_a_url_may_read(gateway: Gateway, s3: Any, bucket: str, version: str, key: str):
    s3.put_object(Bucket=bucket, Key=key, Body=b"content")

    answer = follow(gateway, "GET", presigned(gateway, version, "get_object", Bucket=bucket, Key=key))

    assert (answer.status, answer.body) == (200, b"content")


@pytest.mark.parametrize("version", VERSIONS)
def test_who_holds_a_url_may_write(gateway: Gateway, bucket: str, directory: Path, version: str):
    target = presigned(gateway, version, "put_object", Bucket=bucket, Key="k")

    assert follow(gateway, "PUT", target, body=b"content").status == 200
    assert (directory / "k").read_bytes() == b"content"


@pytest.mark.parametrize("version", VERSIONS)
def test_headers_that_were_signed_must_be_sent(gateway: Gateway, bucket: str, directory: Path, version: str):
    target = presigned(
        gateway, version, "put_object", Bucket=bucket, Key="k", ContentType="text/plain", Metadata={"colour": "blue"}
    )

    with unchanged(directory):
        wrong = follow(gateway, "PUT", target, body=b"x", content_type="text/html", x_amz_meta_colour="blue")
    assert refusal(wrong) == (403, "SignatureDoesNotMatch")
    right = follow(gateway, "PUT", target, body=b"x", content_type="text/plain", x_amz_meta_colour="blue")
    assert right.status == 200
    assert ask(gateway, signed(gateway, "HEAD", f"/{bucket}/k")).headers["x-amz-meta-colour"] == "blue"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_url_may_set_headers_of_its_answer(gateway: Gateway, s3: Any, bucket: str, version: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    target = presigned(
        gateway,
        version,
        "get_object",
        Bucket=bucket,
        Key="k",
        ResponseContentType="text/x-other",
        ResponseContentDisposition='attachment; filename="a b.txt"',
    )

    answer = follow(gateway, "GET", target)

    assert answer.headers["content-type"] == "text/x-other"
    assert answer.headers["content-disposition"] == 'attachment; filename="a b.txt"'
    other = with_query(target, response_content_type="text/html")
    assert refusal(follow(gateway, "GET", other)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_url_is_good_for_its_method_and_key_alone(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, version: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    target = presigned(gateway, version, "get_object", Bucket=bucket, Key="k")

    with unchanged(directory):
        for method, where in (
            ("PUT", target),
            ("DELETE", target),
            ("GET", target.replace("/k?", "/other?")),
            ("GET", with_query(target, versionId="null")),
        ):
            body = b"new" if method == "PUT" else None
            assert refusal(follow(gateway, method, where, body=body)) == (403, "SignatureDoesNotMatch")


def test_a_url_of_version_4_ends_with_its_time(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    request = AWSRequest("GET", f"{gateway.endpoint}/{bucket}/k", headers={"Host": gateway.address})
    two_minutes_ago = (datetime.now(UTC) - timedelta(minutes=2)).replace(tzinfo=None)
    with mock.patch.object(botocore_auth, "get_current_datetime", return_value=two_minutes_ago):
        credentials = Credentials(ACCESS_KEY, SECRET_KEY)
        botocore_auth.S3SigV4QueryAuth(credentials, "s3", REGION, expires=60).add_auth(request)

    answer = follow(gateway, "GET", request.url.removeprefix(gateway.endpoint))

    assert refusal(answer) == (403, "AccessDenied")
    assert answer.error["Message"] == "Request has expired"
    assert answer.error["Expires"] < answer.error["ServerTime"]
    assert answer.error["X-Amz-Expires"] == "60"


def test_a_url_of_version_2_ends_with_its_time(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    target = presigned(gateway, "v2", "get_object", seconds=-60, Bucket=bucket, Key="k")

    answer = follow(gateway, "GET", target)

    assert refusal(answer) == (403, "AccessDenied")
    assert answer.error["Message"] == "Request has expired"
    assert answer.error["Expires"] < answer.error["ServerTime"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"X_Amz_Expires": "604801"}, (403, "AccessDenied")),
        ({"X_Amz_Expires": "0"}, (403, "AccessDenied")),
        ({"X_Amz_Expires": "-5"}, (403, "AccessDenied")),
        ({"X_Amz_Expires": "soon"}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_Expires": "120"}, (403, "SignatureDoesNotMatch")),
        ({"X_Amz_Date": "20200101T000000Z"}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_Date": "yesterday"}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_Signature": None}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_Credential": None}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_SignedHeaders": None}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_SignedHeaders": "date"}, (403, "AccessDenied")),
        ({"X_Amz_Algorithm": "AWS4-HMAC-MD5"}, (400, "AuthorizationQueryParametersError")),
        ({"X_Amz_Signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
        ({"X_Amz_Security_Token": "token"}, (400, "InvalidToken")),
    ],
)
def test_a_query_that_was_tampered_with_is_refused(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, changes: dict[str, str | None], expected: tuple[int, str]
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    target = presigned(gateway, "v4", "put_object", Bucket=bucket, Key="k")

    with unchanged(directory):
        assert refusal(follow(gateway, "PUT", with_query(target, **changes), body=b"new")) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Signature": None}, (403, "AccessDenied")),
        ({"Expires": None}, (403, "AccessDenied")),
        ({"Expires": "99999999999"}, (403, "SignatureDoesNotMatch")),
        ({"Expires": "soon"}, (403, "AccessDenied")),
        ({"AWSAccessKeyId": "AKIDUNKNOWN000000000"}, (403, "InvalidAccessKeyId")),
    ],
)
def test_a_version_2_query_that_was_tampered_with_is_refused(
    gateway: Gateway, bucket: str, directory: Path, changes: dict[str, str | None], expected: tuple[int, str]
):
    target = presigned(gateway, "v2", "put_object", Bucket=bucket, Key="k")

    with unchanged(directory):
        assert refusal(follow(gateway, "PUT", with_query(target, **changes), body=b"new")) == expected


def test_a_header_that_the_url_did_not_sign_is_refused(gateway: Gateway, bucket: str, directory: Path):
    target = presigned(gateway, "v4", "put_object", Bucket=bucket, Key="k")

    with unchanged(directory):
        answer = follow(gateway, "PUT", target, body=b"x", x_amz_meta_extra="1")
    assert refusal(answer) == (403, "AccessDenied")


def test_two_signatures_at_once_are_refused(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    target = presigned(gateway, "v4", "get_object", Bucket=bucket, Key="k")

    assert refusal(ask(gateway, signed(gateway, "GET", target))) == (400, "InvalidArgument")


def test_a_part_can_be_put_and_an_upload_completed_by_url(gateway: Gateway, s3: Any, bucket: str, directory: Path):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    put = presigned(gateway, "v4", "upload_part", **where, UploadId=upload, PartNumber=1)
    etag = follow(gateway, "PUT", put, body=b"part").headers["etag"]
    complete = presigned(gateway, "v4", "complete_multipart_upload", **where, UploadId=upload)
    document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"

    answer = follow(gateway, "POST", complete, body=f"{document}</CompleteMultipartUpload>".encode())

    assert answer.status == 200
    assert (directory / "k").read_bytes() == b"part"


def test_a_listing_can_be_read_by_url(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="a b", Body=b"x")
    target = presigned(gateway, "v4", "list_objects_v2", Bucket=bucket, Prefix="a ")

    assert b"<KeyCount>1</KeyCount>" in follow(gateway, "GET", target).body
