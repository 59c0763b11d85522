"""The log of requests that were denied: who, what, from where, and why; a JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from s3gate.core.errors import CODES
from s3gate.telemetry.access_log import line_of, since_1970
from s3gate.telemetry.log_file import LogFile
from s3gate.telemetry.served import Served
from s3gate.telemetry.signing import claimed_access_key

__all__ = ["DENIALS", "AuditLine", "AuditLog", "audit_line"]

# Every 403 of the table is one but that of an object's state; the others say that a caller could not be made out.
DENIALS = frozenset(
    {code for code, (status, _) in CODES.items() if status in (401, 403)} - {"InvalidObjectState"}
    | {
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "ExpiredToken",
        "InvalidToken",
        "MissingSecurityHeader",
        "XAmzContentSHA256Mismatch",
    }
)

Shown = Callable[[str], str]

_encode_lines = msgspec.json.Encoder().encode_lines


class AuditLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of a denial.

    `verified`: the caller has proven to have the secret key of `access_key`. If not, that is only what the request
    says, in full where it is the access key of somebody and no token. `action` is the permission that the operation
    takes, "" where none claims the request. What is not known is left out.
    """

    time: str
    request_id: str
    code: str
    message: str
    verified: bool
    operation: str
    method: str
    uri: str
    status: int = 0
    requester: str = ""
    access_key: str = ""
    remote_ip: str = ""
    action: str = ""
    bucket: str = ""
    key: str = ""
    host: str = ""
    user_agent: str = ""
    signature_version: str = ""
    auth_type: str = ""


def audit_line(served: Served, now: int, shown: Shown) -> AuditLine:
    """A request that was denied, as it is told of; `now` as in access_log.line_of."""
    line = line_of(served, now)
    verified = bool(served.access_key)
    return AuditLine(
        time=line.time,
        request_id=line.request_id,
        code=served.error_code,
        message=served.error_message,
        status=line.status,
        verified=verified,
        requester=line.requester,
        access_key=served.access_key or shown(claimed_access_key(served.headers, served.scope["query_string"])),
        remote_ip=line.remote_ip,
        action=served.action,
        operation=line.operation,
        bucket=line.bucket,
        key=line.key,
        method=line.method,
        uri=line.uri,
        host=line.host,
        user_agent=line.user_agent,
        signature_version=line.signature_version,
        auth_type=line.auth_type,
    )


class AuditLog(LogFile):
    """The log of denials at `path`, see LogFile. `shown` gives an access key that a request names as it may be told."""

    def __init__(self, path: str, lost: Callable[[int], None], shown: Shown) -> None:
        def render(requests: Sequence[Served]) -> bytes:
            now = since_1970()
            return _encode_lines([audit_line(served, now, shown) for served in requests])

        super().__init__(path, render, lost)

    def take(self, served: Served) -> None:
        """See ServedSink."""
        if served.error_code in DENIALS:
            super().take(served)
