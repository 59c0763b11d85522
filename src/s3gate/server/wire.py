"""A `Wire` from an ASGI scope, and the headers that a presigned request carries in its query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.operations.registry import AUTH_QUERIES
from s3gate.server.header_names import keep

__all__ = ["from_scope", "headers_of", "with_query_headers"]

_names: dict[bytes, str] = {}
_V2_QUERIES = ("AWSAccessKeyId", "Signature")


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The headers of an ASGI scope as `Wire` has them: lower-case names, Latin-1 values, repeated ones joined."""
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    headers = {}
    for name, value in raw:
        headers[_names.get(name) or keep(_names, name, name.decode("latin-1"))] = value.decode("latin-1")
    return headers if len(headers) == len(raw) else _joined(raw)


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def from_scope(scope: Mapping[str, Any], headers: Mapping[str, str]) -> Wire:
    """The request of an ASGI http scope; InvalidURI for a path or query that is not ASCII, as RFC 3986 wants it."""
    try:
        path, query = scope["raw_path"].decode("ascii"), scope["query_string"].decode("ascii")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None
    client = scope.get("client")
    return Wire(
        method=scope["method"],
        raw_path=path,
        raw_query=query,
        headers=headers,
        peer=client[0] if client else "",
        secure=scope["scheme"] == "https",
    )


def with_query_headers(wire: Wire) -> Wire:
    """`wire` with the x-amz-* parameters of a SigV4 presigned request as headers where the header itself is absent.

    "Authenticating Requests: Using Query Parameters" of the S3 API reference: headers may be given so, and SDKs that
    presign do. Only SigV4 signs every parameter; elsewhere they stay parameters, so that whoever holds a URL cannot
    turn it into another request.
    """
    query = wire.query
    if "X-Amz-Signature" not in query or "authorization" in wire.headers or any(v2 in query for v2 in _V2_QUERIES):
        return wire
    found: dict[str, str] = {}
    for name, value in query.items():
        lowered = name.lower()
        if lowered.startswith("x-amz-") and lowered not in AUTH_QUERIES and lowered not in wire.headers:
            found.setdefault(lowered, value.encode().decode("latin-1"))
    return replace(wire, headers={**wire.headers, **found}) if found else wire
