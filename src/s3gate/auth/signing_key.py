"""The signing keys of Signature Version 4, ready to sign, and what the chunks of a body are signed with.

Source: "Signature Calculations for the Authorization Header" of the Amazon S3 API reference
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

import msgspec

__all__ = ["TERMINATOR", "Seed", "SigningKey", "signing_key"]

TERMINATOR = "aws4_request"
_BLOCK = 64  # SHA-256 takes in blocks of this many bytes (FIPS 180-4), and so does HMAC over it (RFC 2104)


class SigningKey:
    """A derived key as HMAC-SHA256's two half-finished hashes: to sign is then two copies and two updates."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, message: bytes) -> str:
        """The signature of `message` in lower-case hex."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


@lru_cache(maxsize=2048)
def signing_key(secret: str, day: str, region: str, service: str) -> SigningKey:
    """The key of a secret for a day (`20130524`), a region and a service.

    Kept for the keys in use: one entry for each secret, day and region that signs.
    """
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return SigningKey(key)


class Seed(msgspec.Struct, frozen=True):
    """What the signature of the first chunk of a body follows from: the request's own signature and its scope."""

    key: SigningKey
    timestamp: str
    scope: str
    signature: str
