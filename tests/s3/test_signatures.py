"""Who is let in: signatures of both versions in the Authorization header."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.raw_http import Request, ask, refusal
from support.signed import EMPTY, UNSIGNED, signed, signed_v2
from support.snapshot import unchanged

BODY = b"new"


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    return bucket


def changed(request: Request, **headers: str | None) -> Request:
    """The request with other headers; None takes one away."""
    wanted = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in request.headers.items() if name.lower() not in wanted}
    return replace(request, headers={**kept, **{name: value for name, value in wanted.items() if value is not None}})


@pytest.mark.parametrize("content", [None, UNSIGNED], ids=["signed body", "unsigned body"])
def test_a_signed_request_is_served(gateway: Gateway, bucket: str, directory: Path, content: str | None):
    request = signed(gateway, "PUT", f"/{bucket}/k", body=BODY, content=content)

    assert ask(gateway, request).status == 200
    assert (directory / "k").read_bytes() == BODY


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"key": ("AKIDUNKNOWN000000000", SECRET_KEY)}, (403, "InvalidAccessKeyId")),
        ({"key": (ACCESS_KEY, SECRET_KEY + "x")}, (403, "SignatureDoesNotMatch")),
        ({"region": "eu-west-1"}, (400, "AuthorizationHeaderMalformed")),
        ({"late": timedelta(minutes=16)}, (403, "RequestTimeTooSkewed")),
        ({"late": -timedelta(minutes=16)}, (403, "RequestTimeTooSkewed")),
        ({"signs": "/another/k"}, (403, "SignatureDoesNotMatch")),
        ({"signed_host": "another.example"}, (403, "SignatureDoesNotMatch")),
        ({"headers": {"x-amz-security-token": "token"}}, (400, "InvalidToken")),
    ],
)
def test_a_signature_that_does_not_hold_is_refused(
    gateway: Gateway, stored: str, directory: Path, arguments: dict[str, Any], expected: tuple[int, str]
):
    request = signed(gateway, "PUT", f"/{stored}/k", body=BODY, **arguments)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == expected


def test_a_clock_that_is_a_little_off_does_no_harm(gateway: Gateway, stored: str):
    for late in (timedelta(minutes=14), -timedelta(minutes=14)):
        assert ask(gateway, signed(gateway, "GET", f"/{stored}/k", late=late)).status == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-amz-meta-late": "1"}, (403, "AccessDenied")),
        ({"x-amz-date": None}, (403, "AccessDenied")),
        ({"x-amz-content-sha256": None}, (400, "InvalidRequest")),
        ({"x-amz-content-sha256": EMPTY}, (403, "SignatureDoesNotMatch")),
        ({"content-type": "text/plain"}, (200, "")),
        ({"authorization": None}, (403, "AccessDenied")),
        ({"authorization": ""}, (403, "AccessDenied")),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=nothing"}, (400, "AuthorizationHeaderMalformed")),
        ({"authorization": "Bearer token"}, (400, "InvalidArgument")),
        ({"authorization": "AWS HAHAHA"}, (400, "InvalidArgument")),
    ],
)
def test_headers_changed_on_their_way_are_refused_where_they_count(
    gateway: Gateway, stored: str, directory: Path, headers: dict[str, str | None], expected: tuple[int, str]
):
    request = signed(gateway, "PUT", f"/{stored}/k", body=BODY)
    damaged = changed(request, **{name.replace("-", "_"): value for name, value in headers.items()})

    if expected[0] == 200:
        assert ask(gateway, damaged).status == 200
        return
    with unchanged(directory):
        assert refusal(ask(gateway, damaged)) == expected


@pytest.mark.parametrize("part", ["Credential", "SignedHeaders", "Signature"])
def test_a_missing_part_of_the_authorization_is_named(gateway: Gateway, stored: str, directory: Path, part: str):
    request = signed(gateway, "PUT", f"/{stored}/k", body=BODY)
    scheme, _, rest = request.headers["Authorization"].partition(" ")
    kept = ", ".join(item for item in rest.split(", ") if not item.startswith(f"{part}="))

    with unchanged(directory):
        answer = ask(gateway, changed(request, authorization=f"{scheme} {kept}"))
    assert refusal(answer) == (400, "AuthorizationHeaderMalformed")
    assert part in answer.error["Message"]


def test_a_host_that_is_not_signed_is_refused(gateway: Gateway, stored: str):
    request = signed(gateway, "GET", f"/{stored}/k")
    authorization = request.headers["Authorization"].replace("SignedHeaders=host;", "SignedHeaders=")

    assert refusal(ask(gateway, changed(request, authorization=authorization))) == (403, "AccessDenied")


def test_a_wrong_signature_is_explained(gateway: Gateway, stored: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{stored}/k", key=(ACCESS_KEY, "x" * 40)))

    assert answer.error["AWSAccessKeyId"] == ACCESS_KEY
    assert answer.error["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert answer.error["CanonicalRequest"].startswith(f"GET\n/{stored}/k\n")
    assert SECRET_KEY not in answer.body.decode()


def test_a_wrong_region_is_told_the_right_one(gateway: Gateway, stored: str):
    assert ask(gateway, signed(gateway, "GET", f"/{stored}/k", region="eu-west-1")).error["Region"] == "us-east-1"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("place", ["/", "/{bucket}", "/{bucket}/k"])
def test_the_anonymous_caller_may_do_nothing(gateway: Gateway, stored: str, directory: Path, method: str, place: str):
    target = place.format(bucket=stored)
    headers = {"Host": gateway.address, "Content-Length": "0"}

    with unchanged(directory):
        answer = ask(gateway, Request(method, target, headers))
    is_operation = {"/": method == "GET", "/{bucket}": method != "POST", "/{bucket}/k": method != "POST"}[place]
    assert answer.status == 403 if is_operation else answer.status in (400, 405, 501)


@pytest.mark.parametrize(
    "target",
    ["/{bucket}/k", "/{bucket}/a%20b%2Bc", "/{bucket}?uploads", "/{bucket}?list-type=2&prefix=x", "/", "/{bucket}"],
)
def test_version_2_in_the_header_is_served(gateway: Gateway, stored: str, target: str):
    ask(gateway, signed(gateway, "PUT", f"/{stored}/a%20b%2Bc", body=b"x"))

    assert ask(gateway, signed_v2(gateway, "GET", target.format(bucket=stored))).status == 200


def test_version_2_signs_headers_of_an_upload(gateway: Gateway, bucket: str, directory: Path):
    headers = {"Content-Type": "text/plain", "x-amz-meta-colour": "blue"}
    request = signed_v2(gateway, "PUT", f"/{bucket}/k", headers=headers, body=BODY)

    with unchanged(directory):
        for name in ("Content-Type", "x-amz-meta-colour"):
            damaged = replace(request, headers={**request.headers, name: "other"})
            assert refusal(ask(gateway, damaged)) == (403, "SignatureDoesNotMatch")
    assert ask(gateway, request).status == 200
    head = ask(gateway, signed_v2(gateway, "HEAD", f"/{bucket}/k"))
    assert (head.headers["x-amz-meta-colour"], head.headers["content-type"]) == ("blue", "text/plain")


@pytest.mark.parametrize("date", ["", "no date", "Thu, 01 Jan 1970 00:00:00 GMT", "Tue, 07 Jul 2009 21:15:45 GMT"])
def test_version_2_needs_a_date_of_now(gateway: Gateway, stored: str, date: str):
    request = signed_v2(gateway, "GET", f"/{stored}/k")

    answer = ask(gateway, replace(request, headers={**request.headers, "Date": date}))

    assert answer.status == 403
    assert answer.code in ("AccessDenied", "RequestTimeTooSkewed")


def test_a_version_2_signature_by_another_secret_is_refused(gateway: Gateway, stored: str, directory: Path):
    request = signed_v2(gateway, "PUT", f"/{stored}/k", body=BODY)
    forged = replace(request, headers={**request.headers, "Authorization": f"AWS {ACCESS_KEY}:{'A' * 27}="})
    unknown = replace(request, headers={**request.headers, "Authorization": f"AWS AKIDUNKNOWN:{'A' * 27}="})

    with unchanged(directory):
        assert refusal(ask(gateway, forged)) == (403, "SignatureDoesNotMatch")
        assert refusal(ask(gateway, unknown)) == (403, "InvalidAccessKeyId")
