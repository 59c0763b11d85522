"""The document that answers a request with an error."""

from __future__ import annotations

import re

from s3gate.core.errors import S3Error
from s3gate.xml.writer import document, element

__all__ = ["render_error"]

# What XML 1.0 cannot hold, not even as a reference.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render_error(error: S3Error, resource: str, request_id: str, host_id: str) -> bytes:
    """The `<Error>` document ("REST error responses" of the S3 API reference), which is in no namespace.

    `resource` is the path of the request as it was sent. The error's own fields stand between Message and Resource;
    a character that no XML can hold becomes U+FFFD there, so that every client can read the error of such a key.
    """
    return document(
        "Error",
        element("Code", error.code),
        element("Message", error.message),
        *(element(name, _IMPOSSIBLE.sub("\ufffd", value)) for name, value in error.fields.items()),
        element("Resource", resource),
        element("RequestId", request_id),
        element("HostId", host_id),
        namespace=False,
    )
