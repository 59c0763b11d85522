"""Requests signed by botocore, and by hand where botocore does not go, as the gateway's Wire sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlsplit

from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec.structs import replace

from s3gate.auth.authenticate import Authenticated, AuthRules, authenticate
from s3gate.auth.signing_key import Seed, signing_key
from s3gate.core.clock import SECOND
from s3gate.core.wire import Wire
from s3gate.identity.model import Credential

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
HOST = "s3.example.com:9900"
NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * SECOND


class MemoryCredentials(dict[str, Credential]):
    """A credential store in memory."""

    def find(self, access_key: str) -> Credential | None:
        return self.get(access_key)


STORE = MemoryCredentials({ACCESS_KEY: Credential(ACCESS_KEY, SECRET_KEY)})


def rules(now_ns: int = NOW_NS, region: str = REGION, *, any_region: bool = False, path_prefix: str = "") -> AuthRules:
    return AuthRules(region, lambda: now_ns, any_region, path_prefix)


def authenticated(wire: Wire, *, now_ns: int = NOW_NS, host_bucket: str = "") -> Authenticated:
    return authenticate(wire, STORE, rules(now_ns), host_bucket=host_bucket)


def wire_of(method: str, target: str, headers: Mapping[str, str]) -> Wire:
    path, _, query = target.partition("?")
    return Wire(method, path, query, {name.lower(): value for name, value in headers.items()})


def signed_by_botocore(
    signer: str,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    **options: int,
) -> Wire:
    """The request as it leaves botocore: `signer` is a class of botocore.auth, `target` a raw path and query."""
    request = AWSRequest(method, f"http://{HOST}{target}", headers={"Host": HOST, **(headers or {})}, data=body)
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    now = NOW.replace(tzinfo=None)
    with (
        mock.patch.object(botocore_auth, "get_current_datetime", return_value=now),
        mock.patch.object(
            botocore_auth.HmacV1Auth, "_get_date", return_value=NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")
        ),
        mock.patch.object(botocore_auth.time, "time", return_value=NOW.timestamp()),
    ):
        if signer == "HmacV1Auth":
            botocore_auth.HmacV1Auth(credentials).add_auth(request)
        elif signer == "HmacV1QueryAuth":
            botocore_auth.HmacV1QueryAuth(credentials, **options).add_auth(request)
        else:
            getattr(botocore_auth, signer)(credentials, "s3", REGION, **options).add_auth(request)
    url = urlsplit(request.url)
    found = {
        name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    return wire_of(method, url.path + (f"?{url.query}" if url.query else ""), found)


def changed(wire: Wire, **parts: object) -> Wire:
    """The request with other parts; `headers` are merged, a value of None takes a header away."""
    headers = dict(wire.headers)
    for name, value in dict(parts.pop("headers", {})).items():  # type: ignore[call-overload]
        if value is None:
            headers.pop(name, None)
        else:
            headers[name] = value
    return replace(wire, headers=headers, **parts)  # type: ignore[arg-type]


def seed(signature: str = "0" * 64, *, timestamp: str = "20261121T080000Z", secret: str = SECRET_KEY) -> Seed:
    day = timestamp[:8]
    return Seed(signing_key(secret, day, REGION, "s3"), timestamp, f"{day}/{REGION}/s3/aws4_request", signature)


@dataclass(frozen=True)
class SignedBody:
    """An aws-chunked body under construction from the seed of its request."""

    start: Seed

    def encode(
        self, chunks: Sequence[bytes], trailers: Mapping[str, str] | None = None, *, style: str = "sdk"
    ) -> bytes:
        """The body; `style` is "sdk", or "minio" for the line ends of MinIO's Go client."""
        previous, out = self.start.signature, b""
        for chunk in (*chunks, b""):
            previous = self._sign(
                "PAYLOAD", previous, (hashlib.sha256().hexdigest(), hashlib.sha256(chunk).hexdigest())
            )
            out += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk
            out += b"\r\n" if chunk or trailers is None else b""
        if trailers is None:
            return out
        lines = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        signature = self._sign("TRAILER", previous, (hashlib.sha256(lines.encode()).hexdigest(),))
        sent = lines + "\r\n" if style == "minio" else lines.replace("\n", "\r\n")
        return out + f"{sent}x-amz-trailer-signature:{signature}\r\n\r\n".encode()

    def _sign(self, kind: str, previous: str, hashes: Iterable[str]) -> str:
        start = self.start
        lines = (f"AWS4-HMAC-SHA256-{kind}", start.timestamp, start.scope, previous, *hashes)
        return start.key.sign("\n".join(lines).encode())
