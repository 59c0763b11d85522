"""Signature Version 2: the older scheme, an HMAC-SHA1 over a few lines of the request.

Source: "Signing and authenticating REST requests (AWS signature version 2)" of the Amazon S3 API reference
(https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from s3gate.auth.canonical import encoded_path
from s3gate.auth.checks import Verified, check_claim, mismatch, parse_moment
from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.identity.model import Credential
from s3gate.identity.store import CredentialStore

__all__ = ["check_signature", "signed_dates", "strings_to_sign", "verify_header"]

# The parameters that name another resource or change the answer, and so are signed: those of the page above, with
# the later ones that the AWS SDKs sign.
# fmt: off
_SIGNED_PARAMETERS = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId",
        "versioning", "versions", "website", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
    }
)
# fmt: on


def _amz_lines(wire: Wire, *, with_date: bool) -> str:
    names = sorted(name for name in wire.headers if name.startswith("x-amz-") and (with_date or name != "x-amz-date"))
    return "".join([name + ":" + wire.headers[name].strip(" \t") + "\n" for name in names])


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1"))


def _parameters(raw: str) -> Iterator[bytes]:
    """The signed parameters in the forms that clients sign: values decoded; `=` left off when empty; all as sent."""
    pairs = [pair.partition("=") for pair in raw.split("&")]
    signed = sorted((_decoded(name), equals.encode(), value) for name, equals, value in pairs if name)
    signed = [entry for entry in signed if entry[0].decode("latin-1") in _SIGNED_PARAMETERS]
    if not signed:
        yield b""
        return
    yield b"?" + b"&".join([name + equals + _decoded(value) for name, equals, value in signed])
    yield b"?" + b"&".join([name + (equals + _decoded(value) if value else b"") for name, equals, value in signed])
    yield b"?" + b"&".join([name + equals + value.encode("latin-1") for name, equals, value in signed])


def _resources(wire: Wire, host_bucket: str) -> Iterator[bytes]:
    """The CanonicalizedResource in the forms that clients sign; a path "taken literally" is the documented one."""
    bucket = f"/{host_bucket}" if host_bucket else ""
    path = wire.raw_path or "/"
    paths = dict.fromkeys((path, encoded_path(path)))
    if not host_bucket and path.count("/") == 1:
        paths[path + "/"] = None  # `/bucket` is sent, `/bucket/` signed, as in virtual-host style, by botocore
    for path in paths:
        for parameters in dict.fromkeys(_parameters(wire.raw_query)):
            yield (bucket + path).encode("latin-1") + parameters


def signed_dates(wire: Wire) -> tuple[tuple[str, bool], ...]:
    """What may stand as the date: text, and whether x-amz-date stands among the amz headers.

    The page has it both ways when x-amz-date is sent: the rules sign it as a header beside an empty date, the
    example "Delete" signs it in the place of the date; the AWS SDK for Python signs it beside Date.
    """
    headers = wire.headers
    if "x-amz-date" not in headers:
        return ((headers.get("date", ""), True),)
    return ("", True), (headers["x-amz-date"], False), (headers.get("date", ""), True)


def strings_to_sign(wire: Wire, dates: tuple[tuple[str, bool], ...], *, host_bucket: str = "") -> Iterator[bytes]:
    """Every string that an honest client may have signed for this request, the documented one first."""
    head = f"{wire.method}\n{wire.headers.get('content-md5', '')}\n{wire.headers.get('content-type', '')}\n"
    for date, with_date in dates:
        lines = f"{head}{date}\n{_amz_lines(wire, with_date=with_date)}".encode("latin-1")
        for resource in _resources(wire, host_bucket):
            yield lines + resource


def check_signature(
    wire: Wire, credential: Credential, provided: str, *, dates: tuple[tuple[str, bool], ...], host_bucket: str
) -> None:
    """Raise SignatureDoesNotMatch unless `provided` signs the request; `dates` as signed_dates gives them."""
    secret = credential.secret_key.encode()
    documented = b""
    for message in strings_to_sign(wire, dates, host_bucket=host_bucket):
        documented = documented or message
        if hmac.compare_digest(base64.b64encode(hmac.digest(secret, message, "sha1")), provided.encode()):
            return
    raise mismatch(credential.access_key, documented, provided)


def verify_header(
    wire: Wire, authorization: str, *, credentials: CredentialStore, host_bucket: str, now: int
) -> Verified:
    """Verify a request signed with `Authorization: AWS key:signature`.

    Args:
        wire: the request.
        authorization: the value of the header.
        credentials: where the access key is looked up.
        host_bucket: the bucket that the Host header names, or "".
        now: the time here, nanoseconds since 1970.
    """
    access_key, _, signature = authorization[len("AWS ") :].strip().rpartition(":")
    if not access_key or not signature:
        raise S3Error(
            "InvalidArgument",
            "AWS authorization header is invalid. Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
            ArgumentValue=authorization,
        )
    sent = wire.headers.get("x-amz-date", wire.headers.get("date", ""))
    date = parse_moment(sent)
    if date is None or date[0] < 0:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    credential = check_claim(wire.headers, credentials, access_key, moment=date[0], now=now, sent=sent)
    check_signature(wire, credential, signature, dates=signed_dates(wire), host_bucket=host_bucket)
    return Verified(credential, wire.headers.get("x-amz-content-sha256", ""))
