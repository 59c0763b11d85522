"""Continuation tokens: where a listing goes on. They hold all it takes, so that any process can go on with them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from s3gate.core.errors import S3Error

__all__ = ["Place", "read_token", "write_token"]

# The first byte says what `last` is, and with it which form of token this is.
_KEY, _PREFIX = b"\x01", b"\x02"


@dataclass(frozen=True, slots=True)
class Place:
    """The last entry that was given: a key, or a common prefix."""

    last: str
    is_prefix: bool = False


def write_token(last: str, *, is_prefix: bool = False) -> str:
    """An opaque token that is safe in a URL and in XML."""
    return base64.urlsafe_b64encode((_PREFIX if is_prefix else _KEY) + last.encode()).rstrip(b"=").decode()


def read_token(token: str) -> Place:
    """The place that `write_token` was given, else InvalidArgument with AWS's words."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if data[:1] in (_KEY, _PREFIX) and len(data) > 1:
            return Place(data[1:].decode(), data[:1] == _PREFIX)
    except (binascii.Error, ValueError):
        pass
    raise S3Error(
        "InvalidArgument",
        "The continuation token provided is incorrect",
        ArgumentName="continuation-token",
        ArgumentValue=token,
    )
