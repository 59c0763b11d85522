"""What may be an access key or a secret key, and how new ones are made."""

from __future__ import annotations

import re
import secrets
import string

__all__ = ["access_key_fault", "new_access_key", "new_secret_key", "new_token", "secret_key_fault", "split_pair"]

_BASE32 = string.ascii_uppercase + "234567"
_BASE62 = string.ascii_letters + string.digits

# An access key stands in `Credential=KEY/date/...,` (SigV4), in `AWS KEY:signature` (SigV2) and in queries: the
# characters that end it there are not among these.
_ACCESS_KEY = re.compile(r"[A-Za-z0-9!$*+.@_|~-]{3,128}")
_MIN_SECRET, _MAX_SECRET = 8, 256


def access_key_fault(text: str) -> str | None:
    """Why `text` may not be an access key, or None when it may."""
    if _ACCESS_KEY.fullmatch(text):
        return None
    return "an access key has 3 to 128 characters out of letters, digits and ! $ * + - . @ _ | ~"


def secret_key_fault(text: str) -> str | None:
    """Why `text` may not be a secret key, or None when it may. The answer never holds the text."""
    if not _MIN_SECRET <= len(text) <= _MAX_SECRET:
        return f"a secret key has {_MIN_SECRET} to {_MAX_SECRET} characters"
    if not text.isprintable() or text != text.strip():
        return "a secret key has printable characters only, and no space at its ends"
    return None


def split_pair(text: str) -> tuple[str, str]:
    """An access key and its secret from `ACCESS_KEY:SECRET_KEY`; ValueError, without the secret, for other text."""
    access_key, colon, secret_key = text.partition(":")
    if not colon:
        raise ValueError("credentials are given as ACCESS_KEY:SECRET_KEY")
    fault = access_key_fault(access_key) or secret_key_fault(secret_key)
    if fault is not None:
        raise ValueError(fault)
    return access_key, secret_key


def new_access_key() -> str:
    """A random access key of 20 characters, in the form of AWS's long-term keys (AKIA...); 80 bits of chance."""
    return "AKIA" + "".join(secrets.choice(_BASE32) for _ in range(16))


def new_secret_key() -> str:
    """A random secret key of 40 letters and digits; 238 bits of chance."""
    return "".join(secrets.choice(_BASE62) for _ in range(40))


def new_token() -> str:
    """A random token, which is access key and secret key alike: 40 letters and digits, 238 bits of chance."""
    return new_secret_key()
