"""Requests, and their bytes on the wire with a SigV4 header over UNSIGNED-PAYLOAD, made before they are sent.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

__all__ = ["ACCESS_KEY", "REGION", "SECRET_KEY", "Request", "Signer"]

ACCESS_KEY = "AKIDEXAMPLEOFBENCH01"
SECRET_KEY = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

_PAYLOAD = "UNSIGNED-PAYLOAD"
_SIGNED = "host;x-amz-content-sha256;x-amz-date"


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `path` and `query` are percent-encoded, the query's parts in the order of their names.

    The body is `body`, or `filler` bytes of the filler (see Replay) where that is not 0.
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    filler: int = 0

    @property
    def target(self) -> str:
        """What stands behind the method."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Signer:
    """Signs requests for one host, `HOST:PORT`, at one time, which servers accept for 15 minutes."""

    def __init__(self, host: str, now: datetime) -> None:
        self._host = host
        self._stamp = now.strftime("%Y%m%dT%H%M%SZ")
        day = self._stamp[:8]
        self._scope = f"{day}/{REGION}/s3/aws4_request"
        key = f"AWS4{SECRET_KEY}".encode()
        for part in (day, REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def headers(self, request: Request) -> dict[str, str]:
        """The headers of the signed request, those that an AWS SDK sends among them."""
        canonical = (
            f"{request.method}\n{request.path}\n{request.query}\n"
            f"host:{self._host}\nx-amz-content-sha256:{_PAYLOAD}\nx-amz-date:{self._stamp}\n\n{_SIGNED}\n{_PAYLOAD}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self._stamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        length = request.filler or len(request.body)
        return {
            "Host": self._host,
            "Accept-Encoding": "identity",
            "User-Agent": "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11 cfg/retry-mode#standard",
            "X-Amz-Date": self._stamp,
            "X-Amz-Content-SHA256": _PAYLOAD,
            "amz-sdk-invocation-id": "0f4f6c1e-5d2b-4c3a-9e8d-7b6a5f4e3d2c",
            "amz-sdk-request": "attempt=1",
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{self._scope}, "
                f"SignedHeaders={_SIGNED}, Signature={signature}"
            ),
            **dict(request.headers),
            **({"Content-Length": str(length)} if length or request.method in ("PUT", "POST") else {}),
        }

    def head(self, request: Request) -> bytes:
        """Request line and headers, up to where the body begins."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers(request).items())
        return f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n".encode()
