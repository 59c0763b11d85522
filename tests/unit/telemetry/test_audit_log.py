"""The log of denials: which requests are in it, and what is said of them."""

from __future__ import annotations

import pytest

from s3gate.core.errors import CODES
from s3gate.telemetry.audit_log import DENIALS, audit_line
from s3gate.telemetry.signing import claimed_access_key
from support.telemetry import REQUESTER, served

V4 = "AWS4-HMAC-SHA256 Credential=CLAIMED/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0a"


def test_denials_are_codes_of_the_table():
    assert set(CODES) >= DENIALS
    assert {"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId", "RequestTimeTooSkewed"} <= DENIALS
    assert not DENIALS & {"NoSuchKey", "InvalidObjectState", "SlowDown", "InternalError"}


def test_who_has_proven_to_be_somebody_is_told_from_who_says_so():
    known = audit_line(served(error_code="AccessDenied", error_message="Access Denied", status=403), 0, str.lower)
    assert (known.verified, known.access_key, known.requester) == (True, "AKID", REQUESTER.id)
    assert (known.code, known.message, known.status, known.action) == (
        "AccessDenied",
        "Access Denied",
        403,
        "s3:GetObject",
    )

    headers = {"authorization": V4, "user-agent": "a"}
    claimed = audit_line(
        served(error_code="SignatureDoesNotMatch", headers=headers, requester=None, access_key="", status=403),
        0,
        str.lower,
    )
    assert (claimed.verified, claimed.access_key, claimed.requester) == (False, "claimed", "")
    assert (claimed.remote_ip, claimed.bucket, claimed.key, claimed.user_agent) == ("192.0.2.1", "bucket", "key", "a")


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"authorization": V4}, b"", "CLAIMED"),
        ({"authorization": "AWS4-HMAC-SHA256 SignedHeaders=host,Credential=A/b/c,Signature=0a"}, b"", "A"),
        ({"authorization": "AWS AKID:sig"}, b"", "AKID"),
        ({"authorization": "Basic xyz"}, b"", ""),
        ({}, b"X-Amz-Credential=AKID%2F20261121%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0", "AKID"),
        ({}, b"AWSAccessKeyId=AKID&Signature=b", "AKID"),
        ({}, b"prefix=a", ""),
        ({}, b"", ""),
        ({"authorization": "AWS " + "x" * 500 + ":sig"}, b"", "x" * 128),
    ],
)
def test_the_access_key_that_a_request_names(headers: dict[str, str], query: bytes, key: str):
    assert claimed_access_key(headers, query) == key
