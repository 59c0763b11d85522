"""Requests to a live gateway that botocore's signers have signed, in forms that its clients do not send."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from unittest import mock

from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support import signing
from support.gateway import REGION, Gateway
from support.raw_http import Request, chunked

__all__ = ["EMPTY", "UNSIGNED", "put_in_chunks", "signed", "signed_v2"]

EMPTY = hashlib.sha256().hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


class _Signer(botocore_auth.S3SigV4Auth):
    """Signature Version 4 with a given x-amz-content-sha256; text is one character a byte."""

    def __init__(self, key: tuple[str, str], region: str, content: str) -> None:
        super().__init__(Credentials(*key), "s3", region)
        self._content = content

    def payload(self, request: AWSRequest) -> str:
        return self._content

    def _header_value(self, value: str) -> str:
        return re.sub("[ \t]+", " ", value.strip(" \t"))

    def string_to_sign(self, request: AWSRequest, canonical_request: str) -> str:
        digest = hashlib.sha256(canonical_request.encode("latin-1")).hexdigest()
        return "\n".join(["AWS4-HMAC-SHA256", request.context["timestamp"], self.credential_scope(request), digest])


def _plain(headers: Mapping[str, object]) -> dict[str, str]:
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()}


def signed(
    gateway: Gateway,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    content: str | None = None,
    key: tuple[str, str] | None = None,
    region: str = REGION,
    late: timedelta = timedelta(),
    signs: str | None = None,
    signed_host: str | None = None,
) -> Request:
    """A request signed in its Authorization header.

    Args:
        gateway: whom it is for; its first credential signs unless `key` is given.
        method: as `GET`.
        target: raw path and query. They are signed as they are, or `signs` in their place.
        headers: further ones, all signed, one character a byte. A `Host` among them stands for the gateway's address.
        body: with its Content-Length; None for a request that has neither.
        content: x-amz-content-sha256; the hash of the body if not given.
        key: access key and secret.
        region: the one that the signature names.
        late: how far the signer's clock is behind.
        signs: the path and query that are signed.
        signed_host: the host that is signed.
    """
    found = {"Host": gateway.address, **(headers or {})}
    if body is not None and "Transfer-Encoding" not in found:
        found.setdefault("Content-Length", str(len(body)))
    host = found["Host"]
    request = AWSRequest(
        method, f"http://{gateway.address}{signs or target}", headers={**found, "Host": signed_host or host}
    )
    now = (datetime.now(UTC) - late).replace(tzinfo=None)
    signer = _Signer(key or gateway.credentials[0], region, content or hashlib.sha256(body or b"").hexdigest())
    with mock.patch.object(botocore_auth, "get_current_datetime", return_value=now):
        signer.add_auth(request)
    return Request(method, target, {**_plain(request.headers), "Host": host}, body or b"")


def signed_v2(
    gateway: Gateway,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    signs: str | None = None,
) -> Request:
    """A request signed by Signature Version 2 in its Authorization header; `signs` as in `signed`."""
    found = {"Host": gateway.address, **(headers or {})}
    if body is not None:
        found["Content-Length"] = str(len(body))
    request = AWSRequest(method, f"http://{gateway.address}{signs or target}", headers=found)
    botocore_auth.HmacV1Auth(Credentials(*gateway.credentials[0])).add_auth(request)
    return Request(method, target, _plain(request.headers), body or b"")


def put_in_chunks(
    gateway: Gateway,
    target: str,
    chunks: Sequence[bytes],
    *,
    content: str,
    trailers: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    transfer: bool = False,
    style: str = "sdk",
    announced: str | None = None,
    length: int | None = None,
    change: Callable[[bytes], bytes] = lambda body: body,
) -> Request:
    """A PUT whose body is aws-chunked as `content` says.

    Args:
        gateway: whom it is for.
        target: raw path and query.
        chunks: the pieces of the object.
        content: one of the STREAMING- values of x-amz-content-sha256.
        trailers: behind the last chunk, signed where `content` has it so.
        headers: further ones.
        transfer: with Transfer-Encoding: chunked around it, in place of Content-Length.
        style: line ends of the trailers, as in `signing.SignedBody`.
        announced: what x-amz-trailer says; the names of the trailers if not given.
        length: what x-amz-decoded-content-length says; the truth if not given.
        change: what becomes of the encoded body on its way; Content-Length stays as it was.
    """
    size = sum(map(len, chunks)) if length is None else length
    found = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(size), **(headers or {})}
    names = ",".join(trailers or ()) if announced is None else announced
    if names:
        found["x-amz-trailer"] = names
    is_signed = content.startswith("STREAMING-AWS4-")
    # A signature does not change the length of a body, so that one of nothing tells the Content-Length to be signed.
    draft = _encoded(chunks, trailers, signing.seed() if is_signed else None, style)
    if transfer:
        found["Transfer-Encoding"] = "chunked"
    else:
        found["Content-Length"] = str(len(draft))
    request = signed(gateway, "PUT", target, headers=found, content=content)
    if is_signed:
        signature = request.headers["Authorization"].rpartition("Signature=")[2]
        start = signing.seed(signature, timestamp=request.headers["X-Amz-Date"], secret=gateway.credentials[0][1])
        draft = _encoded(chunks, trailers, start, style)
    body = change(draft)
    if transfer:
        body = chunked([body[:100], body[100:]])
    return Request("PUT", target, request.headers, body)


def _encoded(
    chunks: Sequence[bytes], trailers: Mapping[str, str] | None, start: signing.Seed | None, style: str
) -> bytes:
    if start is not None:
        return signing.SignedBody(start).encode(chunks, trailers, style=style)
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    lines = "".join(f"{name}:{value}\r\n" for name, value in (trailers or {}).items())
    return data + f"0\r\n{lines}\r\n".encode()
