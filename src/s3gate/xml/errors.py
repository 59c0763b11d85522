"""The document that answers a request with an error."""

from __future__ import annotations

from s3gate.core.errors import S3Error
from s3gate.xml.writer import document, element

__all__ = ["render_error"]


def render_error(error: S3Error, resource: str, request_id: str, host_id: str) -> bytes:
    """The `<Error>` document ("REST error responses" of the S3 API reference), which is in no namespace.

    `resource` is the path of the request. The error's own fields stand between Message and Resource.
    """
    return document(
        "Error",
        element("Code", error.code),
        element("Message", error.message),
        *(element(name, value) for name, value in error.fields.items()),
        element("Resource", resource),
        element("RequestId", request_id),
        element("HostId", host_id),
        namespace=False,
    )
