"""The one entry of authentication: from a request to its caller and the payload it carries. Pure."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from s3gate.auth import presigned, sigv2, sigv4
from s3gate.auth.canonical import ALGORITHM
from s3gate.auth.checks import Verified
from s3gate.auth.content import payload_of
from s3gate.auth.payload import Payload
from s3gate.core import clock
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.identity.model import ANONYMOUS, Caller
from s3gate.identity.store import CredentialStore

__all__ = ["AuthRules", "Authenticated", "authenticate"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuthRules:
    """The settings of authentication: the region that signatures name, unless `any_region`, and the clock.

    `path_prefix` (as `/s3`, or "") stands before the path of every request. `unverified`: nobody is asked who they
    are; a signature, of whatever key, says nothing, and every caller is the anonymous one.
    """

    region: str
    now_ns: Callable[[], int] = clock.now_ns
    any_region: bool = False
    path_prefix: str = ""
    unverified: bool = False


class Authenticated(msgspec.Struct, frozen=True):
    """Who makes the request, and its body."""

    caller: Caller
    payload: Payload


def _invalid_authorization(value: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName="Authorization", ArgumentValue=value)


def _verify(wire: Wire, credentials: CredentialStore, rules: AuthRules, *, host_bucket: str) -> Verified | None:
    authorization = wire.headers.get("authorization", "").strip()
    query_v4 = query_v2 = False
    if wire.query:
        query_v4, query_v2 = presigned.is_v4(wire), presigned.is_v2(wire)
    if bool(authorization) + query_v4 + query_v2 > 1:
        raise _invalid_authorization(
            authorization,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
        )
    region, now = None if rules.any_region else rules.region, rules.now_ns()
    if authorization:
        scheme = authorization.partition(" ")[0]
        if scheme == ALGORITHM:
            return sigv4.verify_header(wire, authorization, credentials=credentials, region=region, now=now)
        if scheme == "AWS":
            return sigv2.verify_header(wire, authorization, credentials=credentials, host_bucket=host_bucket, now=now)
        raise _invalid_authorization(authorization, "Unsupported Authorization Type")
    if query_v4:
        return presigned.verify_v4(wire, credentials=credentials, region=region, now=now)
    if query_v2:
        return presigned.verify_v2(wire, credentials=credentials, host_bucket=host_bucket, now=now)
    return None


def _without_prefix(wire: Wire, prefix: str) -> Wire | None:
    """The request as clients sign it that take the prefix for a part of the host's name; None where there is none.

    s3cmd with `--host=HOST/s3` signs the host `HOST/s3` and the path without `/s3`, and botocore's Signature Version 2
    signs the path without it: both name the same request.
    """
    if not prefix or not wire.raw_path.startswith(prefix):
        return None
    headers = {**wire.headers, "host": wire.headers.get("host", "") + prefix}
    path = wire.raw_path[len(prefix) :] or "/"
    if path.startswith(prefix):
        # Version 2 does not sign the host: what is left would be the path, as sent, of a request for another object.
        return None
    return Wire(wire.method, path, wire.raw_query, headers, peer=wire.peer, secure=wire.secure)


def _verify_without_prefix(
    wire: Wire, credentials: CredentialStore, rules: AuthRules, *, host_bucket: str, refused: S3Error
) -> Verified | None:
    """Verify a request, `refused` as it was sent, in the one other form that an honest client signs below a prefix."""
    other = _without_prefix(wire, rules.path_prefix) if refused.code == "SignatureDoesNotMatch" else None
    if other is not None:
        with contextlib.suppress(S3Error):
            return _verify(other, credentials, rules, host_bucket=host_bucket)
    _log.debug("%s %r from %s is refused: %s: %s", wire.method, wire.raw_path, wire.peer, refused.code, refused.message)
    raise refused from None


def authenticate(wire: Wire, credentials: CredentialStore, rules: AuthRules, *, host_bucket: str = "") -> Authenticated:
    """Find out who makes a request.

    Args:
        wire: the request; its path is taken as it was sent, with any prefix.
        credentials: where access keys are looked up.
        rules: region and clock.
        host_bucket: the bucket that the Host header names in virtual-host style, "" in path style. Signature
            Version 2 signs it.

    Raises S3Error with AWS's code for whatever is wrong; a request that claims no signature is the anonymous
    caller's. The body is verified by the decoder of the payload while it is read.
    """
    unverified = rules.unverified
    try:
        verified = None if unverified else _verify(wire, credentials, rules, host_bucket=host_bucket)
    except S3Error as error:
        verified = _verify_without_prefix(wire, credentials, rules, host_bucket=host_bucket, refused=error)
    if verified is None:
        content = wire.headers.get(sigv4.CONTENT_HEADER, "")
        return Authenticated(ANONYMOUS, payload_of(wire.headers, content, None, unverified=unverified))
    return Authenticated(verified.credential.caller, payload_of(wire.headers, verified.content, verified.seed))
