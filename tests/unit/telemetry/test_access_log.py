"""The lines of access logs: what they say, and that nothing a client sends can break one."""

from __future__ import annotations

import json
import re
import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.operations import ROUTES
from s3gate.telemetry.access_log import aws_line, line_of, renderer, since_1970
from s3gate.telemetry.aws_names import aws_operation
from support.telemetry import REQUESTER, served, with_scope

# The fields of "Amazon S3 server access log format" of the S3 user guide, in order.
FIELDS = [
    *("bucket_owner", "bucket", "time", "remote_ip", "requester", "request_id", "operation", "key", "request_uri"),
    *("status", "error_code", "bytes_sent", "object_size", "total_time", "turn_around_time", "referer", "user_agent"),
    *("version_id", "host_id", "signature_version", "cipher_suite", "auth_type", "host", "tls_version"),
    *("access_point", "acl_required", "source_region"),
]
V4 = "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0a"


def aws(**changes: object) -> dict[str, str]:
    """The fields of a line in AWS's format."""
    text = aws_line(line_of(served(**changes), 0)).decode()
    assert text.endswith("\n")
    found = re.findall(r'\[[^\]]*\]|"[^"]*"|[^ \n]+', text)
    return dict(zip(FIELDS, found, strict=True))


def as_json(**changes: object) -> dict[str, object]:
    (line,) = renderer("json")([served(**changes)]).splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_line_of_aws_has_its_fields():
    headers = {"host": "s3.example.com", "referer": "http://x/", "user-agent": "a b/1", "authorization": V4}
    scope = with_scope(scheme="https", extensions={"s3gate.tls": {"version": "TLSv1.3", "cipher": "TLS_AES_256"}})
    line = aws(
        headers=headers,
        scope=scope,
        began_ns=1_549_411_238_000_000_000,
        answer_headers={"x-amz-version-id": "v1"},
    )
    assert line == {
        "bucket_owner": REQUESTER.id,
        "bucket": "bucket",
        "time": "[06/Feb/2019:00:00:38 +0000]",
        "remote_ip": "192.0.2.1",
        "requester": REQUESTER.id,
        "request_id": "0123456789ABCDEF",
        "operation": "REST.GET.OBJECT",
        "key": "key",
        "request_uri": '"GET /bucket/key HTTP/1.1"',
        "status": "200",
        "error_code": "-",
        "bytes_sent": "100",
        "object_size": "100",
        "total_time": "10",
        "turn_around_time": "4",
        "referer": '"http://x/"',
        "user_agent": '"a b/1"',
        "version_id": "v1",
        "host_id": "aG9zdA==",
        "signature_version": "SigV4",
        "cipher_suite": "TLS_AES_256",
        "auth_type": "AuthHeader",
        "host": "s3.example.com",
        "tls_version": "TLSv1.3",
        "access_point": "-",
        "acl_required": "-",
        "source_region": "-",
    }


def test_what_is_not_known_is_a_dash_or_left_out():
    nothing = {
        "headers": {}, "bucket": "", "key": "", "bucket_owner": None, "requester": None, "access_key": "", "status": 0,
        "size": None, "sent": 0, "turned_ns": 0, "operation": "none", "scope_client": None,
    }  # fmt: skip
    line = aws(**nothing)
    known = {"time", "request_id", "operation", "request_uri", "total_time", "host_id"}
    quoted = {"referer", "user_agent"}
    assert {name for name, text in line.items() if text not in ("-", '"-"')} == known
    assert {name for name, text in line.items() if text == '"-"'} == quoted
    assert as_json(**nothing).keys() == {
        "time", "request_id", "operation", "method", "uri", "http_version", "host_id", "bytes_sent", "bytes_received",
        "total_ms",
    }  # fmt: skip


def test_a_line_of_json_says_the_same():
    line = as_json(error_code="NoSuchKey", status=404, received=9)
    assert line["time"] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + str(line["time"])[19:]
    assert re.fullmatch(r"\.\d{6}Z", str(line["time"])[19:])
    assert {name: line[name] for name in ("status", "error_code", "bytes_received", "bytes_sent")} == {
        "status": 404,
        "error_code": "NoSuchKey",
        "bytes_received": 9,
        "bytes_sent": 100,
    }
    assert (line["total_ms"], line["turnaround_ms"]) == (10.0, 4.0)
    assert (line["access_key"], line["requester"]) == ("AKID", REQUESTER.id)


def test_the_turn_around_begins_with_the_last_byte_of_the_body():
    request = served(operation="PutObject")
    request.read_ns = request.began_ns + 3_000_000
    assert line_of(request, 0).turnaround_ms == 1.0


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
def test_the_size_of_what_is_written_is_that_of_the_body(operation: str):
    assert line_of(served(operation=operation, size=None, received=12), 0).object_size == 12
    assert line_of(served(operation=operation, size=None, received=12, status=403), 0).object_size is None


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"X-Amz-Date=1&X-Amz-Signature=0a1b&x=2", "X-Amz-Date=1&X-Amz-Signature=REDACTED&x=2"),
        (b"AWSAccessKeyId=A&Signature=a%3D&Expires=1", "AWSAccessKeyId=REDACTED&Signature=REDACTED&Expires=1"),
        (b"X-Amz-Credential=token%2F20261121&prefix=a", "X-Amz-Credential=REDACTED&prefix=a"),
        (b"X-Amz-Security-Token=t", "X-Amz-Security-Token=REDACTED"),
        (b"%58-Amz-Signature=0a", "%58-Amz-Signature=REDACTED"),
        (b"prefix=Signature&continuation-token=t", "prefix=Signature&continuation-token=t"),
    ],
)
def test_no_log_lets_its_reader_make_a_presigned_request_again(query: bytes, shown: str):
    assert line_of(served(scope_query_string=query), 0).uri == f"/bucket/key?{shown}"


@pytest.mark.parametrize(
    ("headers", "query", "kind"),
    [
        ({"authorization": V4}, b"", ("SigV4", "AuthHeader")),
        ({"authorization": "AWS AKID:sig"}, b"", ("SigV2", "AuthHeader")),
        ({}, b"X-Amz-Signature=0a", ("SigV4", "QueryString")),
        ({}, b"AWSAccessKeyId=A&Signature=b", ("SigV2", "QueryString")),
        ({}, b"prefix=a", ("", "")),
        ({"authorization": "Bearer x"}, b"", ("", "")),
    ],
)
def test_the_kind_of_signature_is_told(headers: dict[str, str], query: bytes, kind: tuple[str, str]):
    line = line_of(served(headers=headers, scope_query_string=query), 0)
    assert (line.signature_version, line.auth_type) == kind


texts = st.text(st.characters(min_codepoint=0, max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=20)


@given(texts, texts, texts, texts, st.binary(max_size=20), st.binary(max_size=20))
def test_no_text_of_a_client_breaks_a_line(
    key: str, agent: str, referer: str, host: str, path: bytes, query: bytes
) -> None:
    headers = {"host": host, "user-agent": agent, "referer": referer}
    changes = {"key": key, "headers": headers, "scope_raw_path": path, "scope_query_string": query}
    line = aws(**changes)
    assert line["source_region"] == "-"
    assert line["request_id"] == "0123456789ABCDEF"
    assert as_json(**changes)["request_id"] == "0123456789ABCDEF"


def test_a_line_can_be_taken_apart_by_the_rules_of_a_shell():
    assert len(shlex.split(aws_line(line_of(served(headers={"user-agent": "a 'b' c"}), 0)).decode())) >= len(FIELDS)


@pytest.mark.parametrize(
    ("operation", "method", "name"),
    [
        ("GetObject", "GET", "REST.GET.OBJECT"),
        ("PutObject", "PUT", "REST.PUT.OBJECT"),
        ("CopyObject", "PUT", "REST.COPY.OBJECT"),
        ("UploadPartCopy", "PUT", "REST.COPY.PART"),
        ("DeleteObjects", "POST", "REST.POST.MULTI_OBJECT_DELETE"),
        ("CreateMultipartUpload", "POST", "REST.POST.UPLOADS"),
        ("CompleteMultipartUpload", "POST", "REST.POST.UPLOAD"),
        ("GetObjectTagging", "GET", "REST.GET.OBJECT_TAGGING"),
        ("GetBucketTagging", "GET", "REST.GET.TAGGING"),
        ("GetBucketVersioning", "GET", "REST.GET.VERSIONING"),
        ("GetBucketLocation", "GET", "REST.GET.LOCATION"),
        ("GetBucketAcl", "GET", "REST.GET.ACL"),
        ("ListBuckets", "GET", "REST.GET.SERVICE"),
        ("ListObjectsV2", "GET", "REST.GET.BUCKET"),
        ("HeadBucket", "HEAD", "REST.HEAD.BUCKET"),
    ],
)
def test_operations_have_the_names_of_aws(operation: str, method: str, name: str):
    assert aws_operation(operation, method, has_bucket=True, has_key=True) == name


def test_every_operation_has_a_name():
    for op in ROUTES.operations:
        name = aws_operation(op.name, op.method, has_bucket=True, has_key=True)
        assert re.fullmatch(r"REST\.(GET|HEAD|PUT|POST|DELETE|COPY)\.[A-Z0-9_]+", name), (op.name, name)


@pytest.mark.parametrize(
    ("has_bucket", "has_key", "name"),
    [(True, True, "REST.PUT.OBJECT"), (True, False, "REST.PUT.BUCKET"), (False, False, "REST.PUT.SERVICE")],
)
def test_what_no_operation_claims_is_named_by_its_path(has_bucket: bool, has_key: bool, name: str):
    assert aws_operation("none", "PUT", has_bucket=has_bucket, has_key=has_key) == name
    assert aws_operation("none", "OPTIONS", has_bucket=has_bucket, has_key=has_key) == "REST.OPTIONS.PREFLIGHT"


def test_times_are_those_of_the_clock():
    before = time.time_ns()
    assert before - 1_000_000_000 < since_1970() + time.perf_counter_ns() < before + 1_000_000_000


def test_a_presigned_page_that_a_request_comes_from_is_told_without_its_signature():
    headers = {"referer": "http://x/b/k?X-Amz-Signature=0a0b&page=2"}
    assert line_of(served(headers=headers), 0).referer == "http://x/b/k?X-Amz-Signature=REDACTED&page=2"
