"""The answer to what is no request, written by the connection itself."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from s3gate.core.clock import http_date, now_ns
from s3gate.core.errors import S3Error
from s3gate.server.ids import host_id, new_request_id
from s3gate.server.render import SERVER
from s3gate.xml.errors import render_error

__all__ = ["refusal"]


def refusal(fault: S3Error) -> bytes:
    """An answer with the error document; it is the last one of its connection."""
    request, host = new_request_id(), host_id()
    document = render_error(fault, "", request, host)
    headers = {
        "content-type": "application/xml",
        "content-length": len(document),
        "connection": "close",
        "x-amz-request-id": request,
        "x-amz-id-2": host,
        "date": http_date(now_ns()),
        "server": SERVER,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"".join([STATUS_LINE[fault.status], lines.encode(), b"\r\n", document])
