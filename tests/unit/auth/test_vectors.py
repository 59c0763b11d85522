"""The published vectors of Signature Versions 2 and 4 verify, and yield the signatures that their pages give."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from s3gate.auth.authenticate import AuthRules, authenticate
from s3gate.auth.canonical import canonical_headers, canonical_request, encoded_path, encoded_query, string_to_sign
from s3gate.auth.signing_key import signing_key
from s3gate.core.clock import SECOND, parse_amz_date
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.identity.model import Credential
from support.signing import MemoryCredentials

_VECTORS = Path(__file__).parents[2] / "vectors"
_MIDNIGHT = parse_amz_date("20130524T000000Z") or 0


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_VECTORS / name).read_text(encoding="utf-8"))
    return loaded


SUITE = _load("sigv4_test_suite.json")
V4 = _load("s3_sigv4_examples.json")
V2 = _load("s3_sigv2_examples.json")
STORE = MemoryCredentials({V4["access_key"]: Credential(V4["access_key"], V4["secret_key"])})


def _names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases]


def _joined(pairs: list[list[str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    return headers


def _wire(case: dict[str, Any]) -> Wire:
    return Wire(case["method"], case["path"], case["query"], case["headers"])


@pytest.mark.parametrize("case", SUITE["cases"], ids=_names(SUITE["cases"]))
def test_each_case_of_the_test_suite_has_the_published_signature(case: dict[str, Any]) -> None:
    path, query = (case[part].encode().decode("latin-1") for part in ("path", "query"))
    signed = case["signed_headers"]
    canonical = canonical_request(
        case["method"],
        encoded_path(path),
        encoded_query(query),
        header_lines=canonical_headers(_joined(case["headers"]), signed.split(";")),
        signed_headers=signed,
        content=case["payload_hash"],
    )
    assert canonical.decode() == case["canonical_request"]
    stamp, region, service = SUITE["timestamp"], SUITE["region"], SUITE["service"]
    message = string_to_sign(stamp, f"{stamp[:8]}/{region}/{service}/aws4_request", canonical)
    assert message.decode() == case["string_to_sign"]
    assert signing_key(SUITE["secret_key"], stamp[:8], region, service).sign(message) == case["signature"]


@pytest.mark.parametrize("case", V4["requests"], ids=_names(V4["requests"]))
def test_each_signed_example_of_the_s3_reference_verifies(case: dict[str, Any]) -> None:
    result = authenticate(_wire(case), STORE, AuthRules("us-east-1", lambda: _MIDNIGHT))
    assert result.caller.access_key == V4["access_key"]
    decoder = result.payload.new_decoder()
    body = case.get("body", "").encode()
    assert b"".join(decoder.feed(body)) == body
    assert decoder.finish() == {}


@pytest.mark.parametrize("case", V4["chunked"], ids=_names(V4["chunked"]))
def test_each_chunked_example_of_the_s3_reference_decodes(case: dict[str, Any]) -> None:
    result = authenticate(_wire(case), STORE, AuthRules("us-east-1", lambda: _MIDNIGHT))
    decoder = result.payload.new_decoder()
    decoded = b""
    for size, signature in case["chunks"]:
        data = V4["chunk_byte"].encode() * size
        end = b"\r\n" if size or not case["trailers"] else b""
        wire_bytes = f"{size:x};chunk-signature={signature}\r\n".encode() + data + end
        decoded += b"".join(decoder.feed(wire_bytes))
    if case["trailers"]:
        lines = "".join(f"{name}:{value}\r\n" for name, value in case["trailers"].items())
        decoder.feed(f"{lines}x-amz-trailer-signature:{case['trailer_signature']}\r\n\r\n".encode())
    assert decoder.finish() == case["trailers"]
    assert decoded == b"a" * 66560
    assert result.payload.decoded_length == 66560
    assert result.payload.trailers == case["trailers"].keys()


def _v2_time(case: dict[str, Any]) -> int:
    date = case["headers"].get("x-amz-date") or case["headers"].get("date")
    return int(parsedate_to_datetime(date).timestamp()) * SECOND if date else 1_175_139_000 * SECOND


@pytest.mark.parametrize("case", V2["cases"], ids=_names(V2["cases"]))
def test_each_version_2_example_of_the_s3_reference_verifies(case: dict[str, Any]) -> None:
    rules = AuthRules("us-west-1", lambda: _v2_time(case))
    result = authenticate(_wire(case), STORE, rules, host_bucket=case["host_bucket"])
    assert result.caller.access_key == V2["access_key"]
    with pytest.raises(S3Error) as caught:
        authenticate(_wire(case), STORE, rules, host_bucket="other")
    assert caught.value.code == "SignatureDoesNotMatch"
