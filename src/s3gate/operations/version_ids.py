"""The `versionId` of a request at a bucket that was never versioned: its objects have the version `null` alone."""

from __future__ import annotations

import re

from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION

__all__ = ["check_current", "is_absent", "version_id"]

_FORM = re.compile(r"[0-9a-f]{24}")


def version_id(text: str) -> str:
    """`versionId` as text that may name a version, else InvalidArgument with AWS's words."""
    if text != NULL_VERSION and not _FORM.fullmatch(text):
        message = "Invalid version id specified" if text else "Version id cannot be the empty string"
        raise S3Error("InvalidArgument", message, ArgumentName="versionId", ArgumentValue=text)
    return text


def is_absent(version: str | None) -> bool:
    """Whether a version that is asked for is one that no object has."""
    return version is not None and version != NULL_VERSION


def check_current(version: str | None, key: str) -> None:
    """Raise NoSuchVersion unless the version asked for is the one that the object has."""
    if is_absent(version):
        raise S3Error("NoSuchVersion", Key=key, VersionId=version)
