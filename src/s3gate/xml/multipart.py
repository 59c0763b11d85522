"""Documents of multipart uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from s3gate.core.checksums import ALGORITHMS
from s3gate.core.clock import iso_date
from s3gate.core.names import MAX_PART_NUMBER, part_number
from s3gate.core.values import ObjectRecord, Owner, Part, Upload
from s3gate.xml.codec import Element, children, malformed, read, text_of
from s3gate.xml.writer import checksum, document, element, encode_key, nested, owner, quoted

__all__ = [
    "CompleteMultipartUpload",
    "CompletedPart",
    "PartsQuery",
    "UploadsQuery",
    "complete_multipart_upload_result",
    "initiate_multipart_upload_result",
    "list_multipart_uploads_result",
    "list_parts_result",
]

_CHECKSUMS = {algorithm.element: name for name, algorithm in ALGORITHMS.items()}


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as the client names it: `etag` without quotes, `checksums` (base64) by name of the algorithm."""

    number: int
    etag: str
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CompleteMultipartUpload:
    """The parts of the object, as sent; 1 to 10,000. Their order is not looked at here."""

    parts: Sequence[CompletedPart]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read by plain code rather than through a model: 10,000 parts are allowed."""
        parts: list[CompletedPart] = []
        for name, node in children(read(body, "CompleteMultipartUpload")):
            if name != "Part":
                raise malformed(f"{name} is not known here")
            parts.append(_completed_part(node))
        if not 1 <= len(parts) <= MAX_PART_NUMBER:
            raise malformed(f"there are {len(parts)} parts, not 1 to {MAX_PART_NUMBER}")
        return cls(parts)


def _completed_part(node: Element) -> CompletedPart:
    number = etag = ""
    checksums: dict[str, str] = {}
    for name, child in children(node):
        text = text_of(child).strip()
        if name == "PartNumber" and not number:
            number = text
        elif name == "ETag" and not etag:
            etag = text.strip('"')
        elif name in _CHECKSUMS and _CHECKSUMS[name] not in checksums:
            checksums[_CHECKSUMS[name]] = text
        else:
            raise malformed(f"{name} is not known here, or stands twice")
    if not number or not etag:
        raise malformed("a part has no number or no entity tag")
    return CompletedPart(part_number(number), etag, checksums)


def initiate_multipart_upload_result(bucket: str, key: str, upload_id: str) -> bytes:
    """The answer of CreateMultipartUpload."""
    return document(
        "InitiateMultipartUploadResult",
        element("Bucket", bucket),
        element("Key", key),
        element("UploadId", upload_id),
    )


def complete_multipart_upload_result(location: str, bucket: str, key: str, record: ObjectRecord) -> bytes:
    """The answer of CompleteMultipartUpload; `location` is the URL of the object."""
    return document(
        "CompleteMultipartUploadResult",
        element("Location", location),
        element("Bucket", bucket),
        element("Key", key),
        element("ETag", quoted(record.etag)),
        checksum(record.checksum),
    )


@dataclass(frozen=True, slots=True)
class PartsQuery:
    """What ListParts was asked for."""

    marker: int
    limit: int


def list_parts_result(
    bucket: str, upload: Upload, query: PartsQuery, parts: Sequence[Part], *, truncated: bool, holder: Owner
) -> bytes:
    """The answer of ListParts; `holder` is whom the object will belong to."""
    shown = upload.client_chose_checksum
    name = ALGORITHMS[upload.checksum_algorithm].element
    return document(
        "ListPartsResult",
        element("Bucket", bucket),
        element("Key", upload.key),
        element("UploadId", upload.id),
        owner("Initiator", upload.initiator),
        owner("Owner", holder),
        element("StorageClass", upload.template.storage_class),
        element("PartNumberMarker", query.marker),
        element("NextPartNumberMarker", parts[-1].number if parts else 0),
        element("MaxParts", query.limit),
        element("IsTruncated", truncated),
        element("ChecksumAlgorithm", upload.checksum_algorithm if shown else None),
        element("ChecksumType", upload.checksum_type if shown else None),
        *(
            nested(
                "Part",
                element("PartNumber", part.number),
                element("LastModified", iso_date(part.modified_ns)),
                element("ETag", quoted(part.etag)),
                element("Size", part.size),
                element(name, part.checksum.value if shown and part.checksum else None),
            )
            for part in parts
        ),
    )


@dataclass(frozen=True, slots=True)
class UploadsQuery:
    """What ListMultipartUploads was asked for; `url_encoded` is encoding-type=url."""

    prefix: str
    delimiter: str
    key_marker: str
    upload_id_marker: str
    limit: int
    url_encoded: bool


def list_multipart_uploads_result(
    bucket: str,
    query: UploadsQuery,
    uploads: Iterable[tuple[Upload, Owner]],
    prefixes: Iterable[str],
    *,
    following: tuple[str, str] | None,
) -> bytes:
    """The answer of ListMultipartUploads.

    `uploads` come with whom their object will belong to. `following` is the pair of markers of the next page (key, and
    upload id or ""), None where none follows.
    """
    key: Callable[[str], str] = encode_key if query.url_encoded else str
    return document(
        "ListMultipartUploadsResult",
        element("Bucket", bucket),
        element("KeyMarker", key(query.key_marker)),
        element("UploadIdMarker", query.upload_id_marker),
        element("NextKeyMarker", key(following[0]) if following else None),
        element("NextUploadIdMarker", following[1] or None if following else None),
        element("Prefix", key(query.prefix)),
        element("Delimiter", key(query.delimiter) if query.delimiter else None),
        element("EncodingType", "url" if query.url_encoded else None),
        element("MaxUploads", query.limit),
        element("IsTruncated", following is not None),
        *(_upload(upload, holder, key(upload.key)) for upload, holder in uploads),
        *(nested("CommonPrefixes", element("Prefix", key(prefix))) for prefix in prefixes),
    )


def _upload(upload: Upload, holder: Owner, key: str) -> str:
    shown = upload.client_chose_checksum
    return nested(
        "Upload",
        element("Key", key),
        element("UploadId", upload.id),
        owner("Initiator", upload.initiator),
        owner("Owner", holder),
        element("StorageClass", upload.template.storage_class),
        element("Initiated", iso_date(upload.initiated_ns)),
        element("ChecksumAlgorithm", upload.checksum_algorithm if shown else None),
        element("ChecksumType", upload.checksum_type if shown else None),
    )
