"""What every store has in common on versions: their ids, their order, and the errors for those that are no objects."""

from __future__ import annotations

import secrets

from s3gate.core.clock import http_date
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, ObjectRecord

__all__ = ["new_version_id", "no_such_key", "no_such_version", "not_for_delete_markers", "version_order"]

_LAST = 2**64 - 1


def new_version_id(sequence: int) -> str:
    """A version id: 24 hex digits that ascend from the newest to the oldest; chance keeps it from ever coming again."""
    return f"{_LAST - sequence:016x}{secrets.token_hex(4)}"


def version_order(record: ObjectRecord) -> str:
    """Where a version stands among those of its key, in ascending order from the newest to the oldest.

    The version "null" has the place that its sequence gives it; without a sequence, as of a file that another program
    put, it is newer than all others.
    """
    if record.version_id != NULL_VERSION:
        return record.version_id
    return f"{_LAST - record.sequence:016x}" if record.sequence else ""


def no_such_key(key: str, marker_id: str = "") -> S3Error:
    """The error for a key without a current object; `marker_id` when that is because of this delete marker."""
    return S3Error("NoSuchKey", headers=_marker_headers(marker_id) if marker_id else None, Key=key)


def no_such_version(key: str, version_id: str) -> S3Error:
    """The error for an id that no version of the key has."""
    return S3Error("NoSuchVersion", Key=key, VersionId=version_id)


def not_for_delete_markers(version_id: str, modified_ns: int) -> S3Error:
    """The error for a delete marker that is asked for by its id ("Working with delete markers", S3 user guide)."""
    headers = {"allow": "DELETE", "last-modified": http_date(modified_ns)}
    fields = {"Method": "GET", "ResourceType": "DeleteMarker"}
    return S3Error("MethodNotAllowed", headers=_marker_headers(version_id) | headers, **fields)


def _marker_headers(version_id: str) -> dict[str, str]:
    return {"x-amz-delete-marker": "true", "x-amz-version-id": version_id}
