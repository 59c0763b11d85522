"""What a bucket holds, counted by going through all of it."""

from __future__ import annotations

from dataclasses import dataclass

from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend, VersionQuery

__all__ = ["Contents", "measure"]


@dataclass(slots=True)
class Contents:
    """Numbers and bytes: of current objects, of older versions, of delete markers (no bytes), of uploads under way."""

    objects: int = 0
    bytes: int = 0
    older_versions: int = 0
    older_bytes: int = 0
    delete_markers: int = 0
    uploads: int = 0
    upload_bytes: int = 0


async def measure(storage: Backend, bucket: Bucket) -> Contents:
    """Count what a bucket holds. What is written meanwhile may be in it or not."""
    found = Contents()
    query: VersionQuery | None = VersionQuery()
    while query is not None:
        page = await storage.list_versions(bucket, query)
        for version in page.versions:
            if version.record.delete_marker:
                found.delete_markers += 1
            elif version.latest:
                found.objects += 1
                found.bytes += version.record.size
            else:
                found.older_versions += 1
                found.older_bytes += version.record.size
        query = VersionQuery(after_key=page.last, after_version=page.last_version) if page.truncated else None
    for upload in await storage.list_uploads(bucket, ""):
        found.uploads += 1
        found.upload_bytes += sum(part.size for part in await storage.list_parts(bucket, upload))
    return found
