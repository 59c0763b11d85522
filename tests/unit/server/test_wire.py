"""A `Wire` from an ASGI scope."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.server.wire import from_scope, headers_of, with_query_headers
from support.asgi import scope_of


def test_a_scope_becomes_text_that_nobody_has_interpreted() -> None:
    scope = scope_of("PUT", "/b/%2F+?a=%20&a=2", {"X-Name": "\xe9"})
    wire = from_scope(scope, headers_of(scope))
    assert (wire.method, wire.raw_path, wire.raw_query) == ("PUT", "/b/%2F+", "a=%20&a=2")
    assert wire.headers["x-name"] == "\xe9"
    assert (wire.peer, wire.secure, wire.query) == ("192.0.2.1", False, {"a": " "})


def test_repeated_headers_are_joined() -> None:
    scope = scope_of("GET", "/")
    scope["headers"] += [(b"x-amz-meta-a", b"1"), (b"x-amz-meta-a", b"2")]
    assert headers_of(scope)["x-amz-meta-a"] == "1,2"


def test_a_header_has_its_own_name_and_value_however_many_names_came_before() -> None:
    many = [(b"x-%d" % number, b"%d" % number) for number in range(2000)] + [(b"x" * 100, b"long")]
    for _ in range(2):
        scope = scope_of("GET", "/")
        scope["headers"] = many
        assert headers_of(scope) == {name.decode(): value.decode() for name, value in many}


@pytest.mark.parametrize("path", ["/b/\xe9", "/b?\xe9"])
def test_bytes_that_are_not_ascii_are_an_invalid_uri(path: str) -> None:
    with pytest.raises(S3Error) as caught:
        from_scope(scope_of("GET", path), {})
    assert caught.value.code == "InvalidURI"


PRESIGNED = "X-Amz-Signature=s&X-Amz-Date=d&x-amz-checksum-crc32=AA%3D%3D&X-Amz-Storage-Class=STANDARD&x-id=PutObject"


def test_a_presigned_request_has_its_amz_parameters_as_headers() -> None:
    wire = with_query_headers(Wire("PUT", "/b/k", PRESIGNED, {"host": "h"}))
    assert wire.headers == {"host": "h", "x-amz-checksum-crc32": "AA==", "x-amz-storage-class": "STANDARD"}
    assert wire.query["X-Amz-Date"] == "d"


def test_a_header_that_is_there_counts_and_the_parameter_does_not() -> None:
    wire = with_query_headers(Wire("PUT", "/b/k", PRESIGNED, {"x-amz-storage-class": "GLACIER"}))
    assert wire.headers["x-amz-storage-class"] == "GLACIER"


def test_a_parameter_beyond_ascii_has_the_form_of_a_header() -> None:
    wire = with_query_headers(Wire("PUT", "/b/k", "X-Amz-Signature=s&x-amz-meta-a=%E2%82%AC", {}))
    assert wire.headers["x-amz-meta-a"] == "\xe2\x82\xac"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("x-amz-copy-source=/b/k", {}),
        ("x-amz-copy-source=/b/k&AWSAccessKeyId=a&Signature=s&Expires=1", {}),
        ("x-amz-copy-source=/b/k&X-Amz-Signature=s&AWSAccessKeyId=a", {}),
        ("x-amz-copy-source=/b/k&X-Amz-Signature=s", {"authorization": "AWS a:s"}),
    ],
)
def test_parameters_that_no_signature_covers_never_become_headers(query: str, headers: dict[str, str]) -> None:
    wire = Wire("PUT", "/b/k", query, headers)
    assert with_query_headers(wire) is wire
