"""What a copy answers with: CopyObjectResult and CopyPartResult."""

from __future__ import annotations

from s3gate.core.checksums import ALGORITHMS, Checksum
from s3gate.core.clock import iso_date
from s3gate.core.values import ObjectRecord, Part
from s3gate.xml.writer import checksum, document, element, quoted

__all__ = ["copy_object_result", "copy_part_result"]


def copy_object_result(record: ObjectRecord) -> bytes:
    """The answer of CopyObject, from the record of the copy."""
    return document(
        "CopyObjectResult",
        element("LastModified", iso_date(record.modified_ns)),
        element("ETag", quoted(record.etag)),
        checksum(record.checksum),
    )


def copy_part_result(part: Part, shown: Checksum | None) -> bytes:
    """The answer of UploadPartCopy; `shown` is the checksum where the client chose one for the upload."""
    return document(
        "CopyPartResult",
        element("LastModified", iso_date(part.modified_ns)),
        element("ETag", quoted(part.etag)),
        element(ALGORITHMS[shown.algorithm].element, shown.value) if shown else "",
    )
