"""The answer of GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3gate.core.checksums import ALGORITHMS
from s3gate.core.values import ObjectRecord, PartSpan
from s3gate.xml.writer import checksum, document, element, nested

__all__ = ["ATTRIBUTES", "PartsPage", "get_object_attributes_response"]

# What may be asked for, in the order of the answer.
ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


@dataclass(frozen=True, slots=True)
class PartsPage:
    """A page of the parts of an object: those behind number `marker`, at most `limit` of `total`."""

    spans: Sequence[PartSpan]
    total: int
    marker: int
    limit: int
    truncated: bool


def _object_parts(page: PartsPage, algorithm: str | None) -> str:
    """Parts are told one by one only where their checksums are known; their count always."""
    if algorithm is None:
        return nested("ObjectParts", element("PartsCount", page.total))
    name = ALGORITHMS[algorithm].element
    last = page.spans[-1].number if page.spans else page.marker
    return nested(
        "ObjectParts",
        element("IsTruncated", page.truncated),
        element("MaxParts", page.limit),
        element("NextPartNumberMarker", last),
        element("PartNumberMarker", page.marker),
        *(
            nested("Part", element(name, span.checksum), element("PartNumber", span.number), element("Size", span.size))
            for span in page.spans
        ),
        element("PartsCount", page.total),
    )


def get_object_attributes_response(record: ObjectRecord, wanted: frozenset[str], parts: PartsPage | None) -> bytes:
    """The attributes in `wanted` (of ATTRIBUTES); `parts` is None for an object that was put in one piece."""
    told = record.checksum if record.parts and all(span.checksum for span in record.parts) else None
    content = {
        "ETag": lambda: element("ETag", record.etag),
        "Checksum": lambda: nested("Checksum", checksum(record.checksum)) if record.checksum else "",
        "ObjectParts": lambda: _object_parts(parts, told.algorithm if told else None) if parts else "",
        "StorageClass": lambda: element("StorageClass", record.storage_class),
        "ObjectSize": lambda: element("ObjectSize", record.size),
    }
    return document("GetObjectAttributesResponse", *(content[name]() for name in ATTRIBUTES if name in wanted))
