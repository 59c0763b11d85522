"""What every signature scheme checks alike: the key, the clock, and how a wrong signature is refused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from s3gate.auth.signing_key import Seed
from s3gate.core.clock import SECOND, amz_date, parse_amz_date, parse_http_date
from s3gate.core.errors import S3Error
from s3gate.identity.model import Credential
from s3gate.identity.store import CredentialStore

__all__ = [
    "MAX_SKEW",
    "Verified",
    "check_claim",
    "expired",
    "find_credential",
    "mismatch",
    "parse_moment",
    "refuse_session_token",
]

# "Time stamp requirement" of the S3 API reference: within 15 minutes of the server's clock.
MAX_SKEW = 15 * 60 * SECOND
_SESSION_HEADER = "x-amz-security-token"


class Verified(msgspec.Struct, frozen=True):
    """A request whose signature is right.

    `content` is the x-amz-content-sha256 that holds for the body ("" for none); `seed` is there for Signature
    Version 4 alone, the only one that can sign chunks.
    """

    credential: Credential
    content: str
    seed: Seed | None = None


@lru_cache(maxsize=512)
def parse_moment(text: str) -> tuple[int, str] | None:
    """A date header as nanoseconds and in the form of x-amz-date, or None when it is no date."""
    moment = parse_amz_date(text)
    if moment is None:
        moment = parse_http_date(text)
    return None if moment is None else (moment, amz_date(moment))


def _iso_seconds(ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // SECOND))


def _skewed(now: int, sent: str) -> S3Error:
    return S3Error(
        "RequestTimeTooSkewed",
        RequestTime=sent,
        ServerTime=_iso_seconds(now),
        MaxAllowedSkewMilliseconds=MAX_SKEW // 1_000_000,
    )


def expired(deadline: int, now: int) -> S3Error:
    """The refusal of a presigned request past its deadline."""
    return S3Error("AccessDenied", "Request has expired", Expires=_iso_seconds(deadline), ServerTime=_iso_seconds(now))


def refuse_session_token(values: Mapping[str, str], name: str = _SESSION_HEADER) -> None:
    """Raise InvalidToken when the request carries a session token: none are issued here, so that none is valid."""
    if name in values:
        raise _invalid_token(values[name])


def _invalid_token(token: str) -> S3Error:
    error = S3Error("InvalidToken")
    error.fields["Token-0"] = token
    return error


def find_credential(credentials: CredentialStore, access_key: str) -> Credential:
    """The credential of an access key, else InvalidAccessKeyId; AWS answers so for an inactive key as well."""
    credential = credentials.find(access_key)
    if credential is None or not credential.enabled:
        raise _unknown_key(access_key)
    return credential


def _unknown_key(access_key: str) -> S3Error:
    return S3Error("InvalidAccessKeyId", AWSAccessKeyId=access_key)


def check_claim(
    headers: Mapping[str, str], credentials: CredentialStore, access_key: str, *, moment: int, now: int, sent: str
) -> Credential:
    """The credential of a request signed in its headers, once its clock is right and it carries no session token.

    Args:
        headers: those of the request.
        credentials: where the access key is looked up.
        access_key: who claims to have signed.
        moment: when, nanoseconds since 1970; `sent` is that as the client wrote it.
        now: the time here.

    Raises RequestTimeTooSkewed, and what refuse_session_token and find_credential raise.
    """
    if abs(moment - now) > MAX_SKEW:
        raise _skewed(now, sent)
    if _SESSION_HEADER in headers:
        raise _invalid_token(headers[_SESSION_HEADER])
    credential = credentials.find(access_key)
    if credential is None or not credential.enabled:
        raise _unknown_key(access_key)
    return credential


def mismatch(access_key: str, message: bytes, provided: str, *, canonical: bytes | None = None) -> S3Error:
    """The refusal of a wrong signature, with what was signed here so that a client's author can compare."""
    error = S3Error(
        "SignatureDoesNotMatch",
        AWSAccessKeyId=access_key,
        StringToSign=message.decode("utf-8", "replace"),
        SignatureProvided=provided,
        StringToSignBytes=message.hex(" "),
    )
    if canonical is not None:
        error.fields["CanonicalRequest"] = canonical.decode("utf-8", "replace")
        error.fields["CanonicalRequestBytes"] = canonical.hex(" ")
    return error
