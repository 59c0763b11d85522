"""How a request says who makes it: what stands in it, whether it is right or not."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

__all__ = ["claimed_access_key", "redacted", "signing_of"]

_V4, _V2 = ("SigV4", "AuthHeader"), ("SigV2", "AuthHeader")
_QUERY_V4, _QUERY_V2 = ("SigV4", "QueryString"), ("SigV2", "QueryString")
_UNSIGNED = ("", "")
# The access key among them, which of a token is its secret as well; logs have it in a field of its own.
_SECRET = frozenset({"x-amz-signature", "signature", "x-amz-security-token", "x-amz-credential", "awsaccesskeyid"})
_TRACES_OF_SECRETS = ("ignature", "oken", "redential", "ccess", "%")
_MOST = 128  # characters of an access key that nobody has


def signing_of(headers: Mapping[str, str], query: bytes) -> tuple[str, str]:
    """Signature version and authentication type by the names of AWS's access logs; "": unsigned."""
    authorization = headers.get("authorization")
    if authorization is not None:
        return _V4 if authorization.startswith("AWS4") else _V2 if authorization.startswith("AWS ") else _UNSIGNED
    if query:
        if b"X-Amz-Signature=" in query:
            return _QUERY_V4
        if b"Signature=" in query:
            return _QUERY_V2
    return _UNSIGNED


def claimed_access_key(headers: Mapping[str, str], query: bytes) -> str:
    """The access key that a request names, "" where it names none. Nothing says that it is the caller's."""
    authorization = headers.get("authorization", "")
    if authorization.startswith("AWS "):
        return authorization[4:].partition(":")[0].strip()[:_MOST]
    if "Credential=" in authorization:
        return authorization.partition("Credential=")[2].partition("/")[0].strip()[:_MOST]
    given = dict(parse_qsl(query.decode("latin-1"))) if query else {}
    claimed = given.get("X-Amz-Credential", "").partition("/")[0] or given.get("AWSAccessKeyId", "")
    return claimed[:_MOST]


def redacted(query: str) -> str:
    """A query without what would let its reader make the request again: signatures, session tokens, access keys."""
    if not any(trace in query for trace in _TRACES_OF_SECRETS):
        return query
    return "&".join(
        f"{name}=REDACTED" if equals and unquote(name).lower() in _SECRET else pair
        for pair in query.split("&")
        for name, equals, _ in (pair.partition("="),)
    )
