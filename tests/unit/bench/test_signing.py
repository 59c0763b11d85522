"""The signatures of the measurements' requests."""

from __future__ import annotations

from datetime import datetime
from unittest import mock

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.signing import ACCESS_KEY, REGION, SECRET_KEY, Request, Signer

NOW = datetime(2026, 11, 21, 8, 0, 0)  # UTC without a zone, as botocore has it
HOST = "127.0.0.1:9900"


def authorization_of_botocore(request: Request) -> str:
    url = f"http://{HOST}{request.target}"
    theirs = AWSRequest(request.method, url, headers={"Host": HOST}, data=request.body)
    theirs.context["payload_signing_enabled"] = False
    signer = auth.S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
    with (
        mock.patch.object(auth, "get_current_datetime", return_value=NOW),
        mock.patch.object(signer, "payload", return_value="UNSIGNED-PAYLOAD"),
    ):
        signer.add_auth(theirs)
    return str(theirs.headers["Authorization"])


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/bench/get-1KiB/0001"),
        Request("PUT", "/bench/key", body=b"body"),
        Request("GET", "/bench", "delimiter=%2F&list-type=2&max-keys=1000"),
        Request("POST", "/bench", "delete="),
    ],
)
def test_a_request_is_signed_as_botocore_signs_it(request_: Request) -> None:
    assert Signer(HOST, NOW).headers(request_)["Authorization"] == authorization_of_botocore(request_)


def test_the_head_announces_the_length_of_bodies_and_ends_with_an_empty_line() -> None:
    signer = Signer(HOST, NOW)
    assert b"\r\nContent-Length: 1048576\r\n\r\n" in signer.head(Request("PUT", "/bench/key", filler=1 << 20))
    assert b"\r\nContent-Length: 0\r\n\r\n" in signer.head(Request("PUT", "/bench/key"))
    assert b"Content-Length" not in signer.head(Request("GET", "/bench/key"))
