"""What may be the name of a bucket, a key, a part or an upload."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from functools import lru_cache

from s3gate.core.errors import S3Error

__all__ = [
    "MAX_KEY_BYTES",
    "MAX_PART_NUMBER",
    "RESERVED",
    "bucket_name_fault",
    "check_bucket_name",
    "check_key",
    "is_upload_id",
    "new_upload_id",
    "part_number",
]

RESERVED = ".s3gate"
MAX_KEY_BYTES = 1024
MAX_PART_NUMBER = 10_000

_STRICT = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RELAXED = re.compile(r"[A-Za-z0-9._-]{3,255}")
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_UPLOAD_ID = re.compile(rf"[{_BASE32}]{{26}}")


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def bucket_name_fault(name: str, *, relaxed: bool) -> str | None:
    """Why `name` may not name a bucket, or None when it may.

    Strict: "General purpose bucket naming rules" of the S3 user guide. Relaxed: 3 to 255 letters, digits, `.`, `_`
    and `-`, as AWS took them in us-east-1 before 2018. The name the store keeps for itself is refused in both.
    """
    if name.startswith(RESERVED) or name in (".", ".."):
        return f"names that begin with {RESERVED} are kept for the gateway"
    if relaxed:
        return None if _RELAXED.fullmatch(name) else "a name has 3 to 255 letters, digits, '.', '_' or '-'"
    if not _STRICT.fullmatch(name):
        return "a name has 3 to 63 lower-case letters, digits, '.' or '-', and begins and ends with a letter or digit"
    if ".." in name or _is_ip_address(name):
        return "a name has no two periods in a row and is not an IP address"
    if name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
    ):
        return "the name has a prefix or suffix that S3 keeps for itself"
    return None


def check_bucket_name(name: str, *, relaxed: bool) -> None:
    """Raise InvalidBucketName for a name that may not be given to a new bucket."""
    if bucket_name_fault(name, relaxed=relaxed) is not None:
        raise S3Error("InvalidBucketName", BucketName=name)


def check_key(key: str) -> None:
    """Raise KeyTooLongError for a key of more than 1024 bytes of UTF-8."""
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", Size=size, MaxSizeAllowed=MAX_KEY_BYTES)


def new_upload_id() -> str:
    """26 characters, time-ordered like a ULID: 48 bits of milliseconds, 80 bits of chance."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


def is_upload_id(text: str) -> bool:
    """Whether `text` has the form of our upload ids (so that it is safe as a name on disk)."""
    return _UPLOAD_ID.fullmatch(text) is not None


def part_number(text: str) -> int:
    """`partNumber` as a number from 1 to 10,000, else InvalidArgument."""
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_PART_NUMBER:
        return int(text)
    raise S3Error(
        "InvalidArgument",
        "Part number must be an integer between 1 and 10000, inclusive",
        ArgumentName="partNumber",
        ArgumentValue=text,
    )
