"""Requests signed in the query: what a presigned URL is, in both versions of the signature.

Sources: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of the Amazon S3 API reference
(https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html), and for version 2 the page that
sigv2 names.
"""

from __future__ import annotations

import re

from s3gate.auth import sigv2, sigv4
from s3gate.auth.canonical import ALGORITHM
from s3gate.auth.checks import MAX_SKEW, Verified, expired, find_credential, refuse_session_token
from s3gate.core.clock import SECOND, parse_amz_date
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.identity.store import CredentialStore

__all__ = ["MAX_EXPIRES", "is_v2", "is_v4", "verify_v2", "verify_v4"]

MAX_EXPIRES = 604_800  # seconds: a week

_REQUIRED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_SECONDS = re.compile(r"-?[0-9]{1,15}")


def is_v4(wire: Wire) -> bool:
    """Whether the query claims a Signature Version 4."""
    return "X-Amz-Algorithm" in wire.query or "X-Amz-Signature" in wire.query or "X-Amz-Credential" in wire.query


def is_v2(wire: Wire) -> bool:
    """Whether the query claims a Signature Version 2."""
    return "AWSAccessKeyId" in wire.query or "Signature" in wire.query


def _refuse(message: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", message)


def _credential_malformed(reason: str) -> S3Error:
    return _refuse(f"Error parsing the X-Amz-Credential parameter; {reason}")


def _lifetime(text: str) -> int:
    """X-Amz-Expires in seconds.

    Out of range is refused with AWS's words but as AccessDenied: the S3 compatibility suites expect a 403 there,
    where AWS answers with its status 400.
    """
    if not _SECONDS.fullmatch(text):
        raise _refuse("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise S3Error("AccessDenied", "X-Amz-Expires must be non-negative")
    if seconds > MAX_EXPIRES:
        raise S3Error(
            "AccessDenied",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES} seconds",
        )
    return seconds


def _check_lifetime(moment: int, lifetime: int, now: int) -> None:
    if moment > now + MAX_SKEW:
        raise S3Error("AccessDenied", "Request is not yet valid")
    deadline = moment + lifetime * SECOND
    if lifetime == 0 or now > deadline:
        error = expired(deadline, now)
        error.fields["X-Amz-Expires"] = str(lifetime)
        raise error


def verify_v4(wire: Wire, *, credentials: CredentialStore, region: str | None, now: int) -> Verified:
    """Verify a request signed with X-Amz-Signature in the query.

    The body is not signed unless X-Amz-Content-Sha256 stands in the query or is a signed header.
    """
    query = wire.query
    if any(not query.get(name) or not query[name].isascii() for name in _REQUIRED):
        raise _refuse(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise _refuse(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    claim = sigv4.make_claim(
        query["X-Amz-Credential"], query["X-Amz-SignedHeaders"], region=region, refuse=_credential_malformed
    )
    timestamp = query["X-Amz-Date"]
    moment = parse_amz_date(timestamp)
    if moment is None:
        raise _refuse("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if timestamp[:8] != claim.scope.day:
        raise _refuse(
            f'Invalid credential date "{claim.scope.day}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    _check_lifetime(moment, _lifetime(query["X-Amz-Expires"]), now)
    refuse_session_token(query, "X-Amz-Security-Token")
    refuse_session_token(wire.headers)
    credential = find_credential(credentials, claim.access_key)
    content = query.get("X-Amz-Content-Sha256", "")
    if not content.isascii():
        raise _refuse("X-Amz-Content-Sha256 is malformed")
    if not content and sigv4.CONTENT_HEADER in claim.names:
        content = wire.headers.get(sigv4.CONTENT_HEADER, "")
    content = content or "UNSIGNED-PAYLOAD"
    sigv4.check_signed_headers(wire, claim.names, content=content)
    seed = sigv4.check_signature(
        wire,
        claim,
        signature=query["X-Amz-Signature"],
        credential=credential,
        timestamp=timestamp,
        content=content,
        without="X-Amz-Signature",
    )
    return Verified(credential, content, seed)


def verify_v2(wire: Wire, *, credentials: CredentialStore, host_bucket: str, now: int) -> Verified:
    """Verify a request signed with AWSAccessKeyId, Expires and Signature in the query."""
    query = wire.query
    if not (query.get("AWSAccessKeyId") and query.get("Signature") and query.get("Expires")):
        raise S3Error(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    text = query["Expires"]
    if not _SECONDS.fullmatch(text):
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {text}")
    # time.gmtime has no year for every number of seconds; what is past year 9999 never comes, nor does it expire here.
    deadline = max(0, min(int(text), 253_402_300_799)) * SECOND
    if now > deadline:
        raise expired(deadline, now)
    refuse_session_token(query)
    refuse_session_token(wire.headers)
    credential = find_credential(credentials, query["AWSAccessKeyId"])
    # Clients of this age leave `+` as it is, which reads as a space; base64 has none.
    signature = query["Signature"].replace(" ", "+")
    sigv2.check_signature(wire, credential, signature, dates=((text, True),), host_bucket=host_bucket)
    return Verified(credential, wire.headers.get("x-amz-content-sha256", ""))
