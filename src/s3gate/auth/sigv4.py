"""Signature Version 4: who claims to have signed a request, and whether they did.

Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)" of the Amazon S3 API
reference (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from s3gate.auth.canonical import (
    ALGORITHM,
    canonical_headers,
    canonical_request,
    other_forms,
    sorted_query,
    string_to_sign,
)
from s3gate.auth.checks import Verified, check_claim, mismatch, parse_moment
from s3gate.auth.signing_key import TERMINATOR, Seed, signing_key
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.identity.model import Credential
from s3gate.identity.store import CredentialStore

__all__ = [
    "CONTENT_HEADER",
    "SERVICE",
    "Claim",
    "Refusal",
    "Scope",
    "check_signature",
    "check_signed_headers",
    "make_claim",
    "parse_credential",
    "verify_header",
]

SERVICE = "s3"
CONTENT_HEADER = "x-amz-content-sha256"

# The form that nearly every client writes; any other is taken apart slowly, so that its fault can be named.
_USUAL = re.compile(rf"{ALGORITHM} Credential=([^, ]+), ?SignedHeaders=([^, ]+), ?")
_DAY = re.compile(r"[0-9]{8}")
# What is longer, or has more names, is looked at each time: whoever sends much must not fill the memory with it.
_USUAL_LENGTH = 1024
_FEW_NAMES = 64

Refusal = Callable[[str], S3Error]


class Scope(msgspec.Struct, frozen=True):
    """For when and where a signature holds. `text` is its four parts as they are signed."""

    day: str
    region: str
    text: str


class Claim(msgspec.Struct, frozen=True):
    """Who a request says has signed it, and what: `signed_headers` as written, `names` one by one."""

    access_key: str
    scope: Scope
    signed_headers: str
    names: tuple[str, ...]


def _header_malformed(reason: str) -> S3Error:
    return S3Error("AuthorizationHeaderMalformed", f"The authorization header is malformed; {reason}")


def parse_credential(text: str, *, region: str | None, refuse: Refusal) -> tuple[str, Scope]:
    """Take `KEY/20130524/us-east-1/s3/aws4_request` apart and check the scope.

    Args:
        text: the credential of the request.
        region: the one region that is right, or None for any.
        refuse: makes the error from AWS's words for what is wrong.
    """
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        raise refuse('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    access_key, day, named, service, terminator = parts
    if not _DAY.fullmatch(day):
        raise refuse(f'incorrect date format "{day}". This date in the credential must be in the format "yyyyMMdd".')
    if region is not None and named != region:
        error = refuse(f"the region '{named}' is wrong; expecting '{region}'")
        error.fields["Region"] = region
        raise error
    if service != SERVICE:
        raise refuse(f'incorrect service "{service}". This endpoint belongs to "{SERVICE}".')
    if terminator != TERMINATOR:
        raise refuse(f'incorrect terminal "{terminator}". This endpoint uses "{TERMINATOR}".')
    return access_key, Scope(day, named, text[len(access_key) + 1 :])


def make_claim(credential: str, signed_headers: str, *, region: str | None, refuse: Refusal) -> Claim:
    """The claim of a credential, as parse_credential takes it, and of names joined with semicolons."""
    access_key, scope = parse_credential(credential, region=region, refuse=refuse)
    return Claim(access_key, scope, signed_headers, tuple(signed_headers.split(";")))


@lru_cache(maxsize=512)
def _usual_claim(head: str, region: str | None) -> Claim | None:
    """The claim of a header up to its signature, which a client repeats all day long; None when not as usual."""
    usual = _USUAL.fullmatch(head)
    return None if usual is None else make_claim(usual[1], usual[2], region=region, refuse=_header_malformed)


def _parse_authorization(authorization: str, region: str | None) -> tuple[Claim, str]:
    """The claim and the signature of an Authorization header, in whatever order its parts stand."""
    found: dict[str, str] = {}
    for component in authorization[len(ALGORITHM) :].split(","):
        name, equals, value = component.strip().partition("=")
        if not equals or name in found:
            raise _header_malformed(
                "the authorization header requires three components: Credential, SignedHeaders, and Signature."
            )
        found[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not found.get(name):
            raise _header_malformed(f"missing {name}.")
    claim = make_claim(found["Credential"], found["SignedHeaders"], region=region, refuse=_header_malformed)
    return claim, found["Signature"]


def check_signed_headers(wire: Wire, names: tuple[str, ...], *, content: str) -> None:
    """Raise AccessDenied unless `host` and every x-amz- header that was sent are signed.

    x-amz-content-sha256 needs no line of its own where its value is `content`, which is signed anyway.
    """
    headers = wire.headers
    few = len(headers) + len(names) <= _FEW_NAMES
    unsigned = (_known_unsigned if few else _unsigned)(tuple(headers), names)
    if unsigned and headers.get(CONTENT_HEADER) == content:
        unsigned = tuple([name for name in unsigned if name != CONTENT_HEADER])
    if unsigned:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned),
        )


def _unsigned(sent: tuple[str, ...], signed: tuple[str, ...]) -> tuple[str, ...]:
    """The names, in order, that would have to be among the signed ones."""
    unsigned = {name for name in sent if name.startswith("x-amz-") and name not in signed}
    return tuple(sorted(unsigned if "host" in signed else unsigned | {"host"}))


_known_unsigned = lru_cache(maxsize=256)(_unsigned)


def check_signature(
    wire: Wire,
    claim: Claim,
    *,
    signature: str,
    credential: Credential,
    timestamp: str,
    content: str,
    without: str = "",
) -> Seed:
    """Raise SignatureDoesNotMatch unless the claim holds; gives what chunk signatures follow from.

    Args:
        wire: the request.
        claim: who has signed, and what.
        signature: the signature of the request.
        credential: the access key that the claim names.
        timestamp: the date of the request in the form of x-amz-date.
        content: the hash of the payload as it was signed, or the word that stands for it.
        without: a query parameter that is not signed.
    """
    scope = claim.scope
    key = signing_key(credential.secret_key, scope.day, scope.region, SERVICE)
    lines, provided = canonical_headers(wire.headers, claim.names), signature.encode()
    path, query = wire.raw_path or "/", sorted_query(wire.raw_query, without=without) if wire.raw_query else ""
    others = None
    while True:
        canonical = canonical_request(
            wire.method, path, query, header_lines=lines, signed_headers=claim.signed_headers, content=content
        )
        message = string_to_sign(timestamp, scope.text, canonical)
        if hmac.compare_digest(key.sign(message).encode(), provided):
            return Seed(key, timestamp, scope.text, signature)
        others = others or other_forms(wire.raw_path or "/", wire.raw_query, without=without)
        form = next(others, None)
        if form is None:
            raise mismatch(claim.access_key, message, signature, canonical=canonical)
        path, query = form


def verify_header(
    wire: Wire, authorization: str, *, credentials: CredentialStore, region: str | None, now: int
) -> Verified:
    """Verify a request signed in its Authorization header.

    Args:
        wire: the request.
        authorization: the value of the header.
        credentials: where the access key is looked up.
        region: the region that the scope must name, None for any.
        now: the time here, nanoseconds since 1970.
    """
    headers = wire.headers
    head, _, signature = authorization.rpartition("Signature=")
    claim = _usual_claim(head, region) if len(head) <= _USUAL_LENGTH else None
    if claim is None or not signature:
        claim, signature = _parse_authorization(authorization, region)
    sent = headers.get("x-amz-date") or headers.get("date", "")
    date = parse_moment(sent)
    if date is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    moment, timestamp = date
    if timestamp[:8] != claim.scope.day:
        raise _header_malformed(
            f'Invalid credential date "{claim.scope.day}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    credential = check_claim(headers, credentials, claim.access_key, moment=moment, now=now, sent=sent)
    content = headers.get(CONTENT_HEADER, "")
    if not content:
        raise S3Error("InvalidRequest", f"Missing required header for this request: {CONTENT_HEADER}")
    check_signed_headers(wire, claim.names, content=content)
    seed = check_signature(
        wire, claim, signature=signature, credential=credential, timestamp=timestamp, content=content
    )
    return Verified(credential, content, seed)
