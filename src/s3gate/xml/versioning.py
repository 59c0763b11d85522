"""The versioning state of a bucket."""

from __future__ import annotations

from typing import ClassVar, Literal

from s3gate.xml.codec import S3Xml
from s3gate.xml.writer import document, element

__all__ = ["VersioningConfiguration", "versioning_configuration"]


class VersioningConfiguration(S3Xml):
    """What PutBucketVersioning is sent; a `status` that is empty is as good as none."""

    root: ClassVar[str] = "VersioningConfiguration"

    status: Literal["", "Enabled", "Suspended"] | None = None
    mfa_delete: Literal["Enabled", "Disabled"] | None = None


def versioning_configuration(status: str) -> bytes:
    """The answer of GetBucketVersioning; without a Status where `status` is empty."""
    return document("VersioningConfiguration", element("Status", status or None))
