"""The log of all requests, a line each: as JSON, or in the format of AWS's server access logs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from s3gate.telemetry.aws_names import aws_operation
from s3gate.telemetry.log_file import Render
from s3gate.telemetry.served import Served
from s3gate.telemetry.signing import redacted, signing_of

__all__ = ["AccessLine", "Format", "aws_line", "json_lines", "line_of", "renderer", "since_1970"]

Format = Literal["json", "aws"]

_TLS = "s3gate.tls"  # server.connections.TLS
_UNSAFE = re.compile(r'["\x00-\x1f\x7f]')
_SAFE_KEY = re.compile("[A-Za-z0-9/_.~-]*")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WRITES = ("PutObject", "UploadPart")
_SECOND = 1_000_000_000


class AccessLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of a request. `time` is when it came; `total_ms` and `turnaround_ms` are milliseconds.

    What is not known, or is not there, is "", 0 or None, and left out of JSON.
    """

    time: str
    request_id: str
    operation: str
    method: str
    uri: str
    http_version: str
    host_id: str
    bytes_sent: int
    bytes_received: int
    total_ms: float
    status: int = 0
    error_code: str = ""
    turnaround_ms: float | None = None
    remote_ip: str = ""
    requester: str = ""
    access_key: str = ""
    bucket: str = ""
    bucket_owner: str = ""
    key: str = ""
    object_size: int | None = None
    version_id: str = ""
    host: str = ""
    referer: str = ""
    user_agent: str = ""
    signature_version: str = ""
    auth_type: str = ""
    cipher_suite: str = ""
    tls_version: str = ""


@lru_cache(maxsize=8)
def _iso_seconds(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=8)
def _aws_seconds(iso: str) -> str:
    """AWS's form of a time in ours: `[06/Feb/2019:00:00:38 +0000]`."""
    return f"[{iso[8:10]}/{_MONTHS[int(iso[5:7]) - 1]}/{iso[:4]}:{iso[11:19]} +0000]"


def line_of(served: Served, now: int) -> AccessLine:
    """A request as it is told of in a log; `now` is what is to be added to its times for nanoseconds since 1970."""
    scope, headers, began = served.scope, served.headers, served.began_ns
    query, uri = scope["query_string"], scope["raw_path"].decode("latin-1")
    if query:
        uri = f"{uri}?{redacted(query.decode('latin-1'))}"
    seconds, fraction = divmod(began + now, _SECOND)
    version, kind = signing_of(headers, query)
    client, turned = scope["client"], served.turned_ns
    requester, owner = served.requester, served.bucket_owner
    cipher = tls = ""
    if scope["scheme"] == "https":
        cipher, tls = _encryption(scope)
    return AccessLine(
        f"{_iso_seconds(seconds)}.{fraction // 1000:06d}Z",
        served.request_id,
        served.operation,
        scope["method"],
        uri,
        scope["http_version"],
        served.host_id,
        served.sent,
        served.received,
        (served.ended_ns - began) // 1000 / 1000,
        served.status,
        served.error_code,
        (turned - (served.read_ns or began)) // 1000 / 1000 if turned else None,
        client[0] if client else "",
        requester.id if requester is not None else "",
        served.access_key,
        served.bucket,
        owner.id if owner is not None else "",
        served.key,
        served.size if served.size is not None else _written(served),
        served.answer_headers.get("x-amz-version-id", ""),
        headers.get("host", ""),
        _without_secrets(headers.get("referer", "")),
        headers.get("user-agent", ""),
        version,
        kind,
        cipher,
        tls,
    )


def _encryption(scope: Mapping[str, Any]) -> tuple[str, str]:
    told = scope.get("extensions", {}).get(_TLS, {})
    return told.get("cipher", ""), told.get("version", "")


def _written(served: Served) -> int | None:
    """The size of what was stored, where that is the body of the request."""
    return served.received if served.operation in _WRITES and served.status == 200 else None


_encode_lines = msgspec.json.Encoder().encode_lines


def _without_secrets(referer: str) -> str:
    """The address of a page that a request comes from, which may be a presigned URL itself."""
    if "?" not in referer:
        return referer
    page, _, query = referer.partition("?")
    return f"{page}?{redacted(query)}"


def json_lines(lines: Sequence[AccessLine]) -> bytes:
    """The lines as JSON objects."""
    return _encode_lines(lines)


def aws_line(line: AccessLine) -> bytes:
    """The line in AWS's format: 27 fields, `-` for what is not known.

    "Amazon S3 server access log format" (https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html). There
    are no access points, no requests that need an ACL, and no regions that requests come from: the last three are `-`.
    A quotation mark or control character inside a quoted field is percent-encoded.
    """
    turned = line.turnaround_ms
    fields = (
        line.bucket_owner or "-",
        _word(line.bucket),
        _aws_seconds(line.time[:19]),
        _word(line.remote_ip),
        line.requester or "-",
        line.request_id,
        aws_operation(line.operation, line.method, bool(line.bucket), bool(line.key)),
        _key(line.key),
        _quoted(f"{line.method} {line.uri} HTTP/{line.http_version}"),
        str(line.status or "-"),
        line.error_code or "-",
        str(line.bytes_sent or "-"),
        "-" if line.object_size is None else str(line.object_size),
        str(int(line.total_ms)),
        "-" if turned is None else str(max(int(turned), 0)),
        _quoted(line.referer or "-"),
        _quoted(line.user_agent or "-"),
        line.version_id or "-",
        line.host_id,
        line.signature_version or "-",
        line.cipher_suite or "-",
        line.auth_type or "-",
        _word(line.host),
        line.tls_version or "-",
        "-",
        "-",
        "-",
    )
    return (" ".join(fields) + "\n").encode("utf-8", "surrogateescape")


def _key(key: str) -> str:
    if not key:
        return "-"
    return key if _SAFE_KEY.fullmatch(key) else quote(key.encode("utf-8", "surrogateescape"), safe="/~")


def _word(text: str) -> str:
    """A field that a client gives and that stands without quotation marks: it must not be two."""
    if not text:
        return "-"
    return text if _SAFE_KEY.fullmatch(text) else quote(text, safe="/~:[]")


def _quoted(text: str) -> str:
    if _UNSAFE.search(text):
        text = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)
    return f'"{text}"'


def aws_lines(lines: Sequence[AccessLine]) -> bytes:
    """The lines in AWS's format."""
    return b"".join(map(aws_line, lines))


_FORMATS: dict[Format, Callable[[Sequence[AccessLine]], bytes]] = {"json": json_lines, "aws": aws_lines}


def since_1970() -> int:
    """What is to be added to times of time.perf_counter_ns, as the clock stands now."""
    return time.time_ns() - time.perf_counter_ns()


def renderer(form: Format) -> Render:
    """What makes the lines of an access log."""
    lines = _FORMATS[form]

    def render(requests: Sequence[Served]) -> bytes:
        now = since_1970()
        return lines([line_of(served, now) for served in requests])

    return render
