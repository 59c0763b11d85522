"""Version ids of requests and answers."""

from __future__ import annotations

import re

from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, VERSIONING, Bucket, ObjectRecord

__all__ = ["shown_version", "version_id", "written_version"]

_FORM = re.compile(r"[0-9a-f]{24}")


def version_id(text: str, name: str = "versionId") -> str:
    """The parameter `name` as text that may name a version, else InvalidArgument with AWS's words."""
    if text != NULL_VERSION and not _FORM.fullmatch(text):
        message = "Invalid version id specified" if text else "Version id cannot be the empty string"
        raise S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=text)
    return text


def shown_version(bucket: Bucket, record: ObjectRecord) -> dict[str, str]:
    """x-amz-version-id of a version that was looked at; nothing in a bucket that was never versioned."""
    if record.version_id == NULL_VERSION and VERSIONING not in bucket.documents:
        return {}
    return {"x-amz-version-id": record.version_id}


def written_version(record: ObjectRecord) -> dict[str, str]:
    """x-amz-version-id of a version that was made; nothing for the version `null`.

    So S3 answers where versioning is suspended as well, to which ceph/s3-tests holds servers. It is told by the record
    and not by the bucket, whose state may have changed since it was looked at.
    """
    return {} if record.version_id == NULL_VERSION else {"x-amz-version-id": record.version_id}
