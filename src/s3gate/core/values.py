"""Frozen records that the layers hand one another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from s3gate.core.checksums import Checksum

__all__ = ["NULL_VERSION", "STANDARD", "VERSIONING", "Bucket", "ObjectRecord", "Owner", "Part", "PartSpan", "Upload"]

NULL_VERSION = "null"
STANDARD = "STANDARD"  # the storage class of everything that names none
VERSIONING = "versioning"  # the kind of document that holds a bucket's versioning state: b"Enabled" or b"Suspended"
_NO_DOCUMENTS: Mapping[str, bytes] = MappingProxyType({})
_EMPTY: Mapping[str, str] = MappingProxyType({})


class Owner(msgspec.Struct, frozen=True, gc=False):
    """A canonical user: what stands in Owner and Initiator."""

    id: str
    display_name: str


class Bucket(msgspec.Struct, frozen=True):
    """A bucket as a request sees it: found once, then handed on, with its documents by kind as they are stored."""

    name: str
    owner: Owner
    region: str
    created_ns: int
    documents: Mapping[str, bytes] = msgspec.field(default_factory=lambda: _NO_DOCUMENTS)

    @property
    def versioning(self) -> str:
        """ "Enabled", "Suspended", or "" for a bucket that was never versioned."""
        return self.documents.get(VERSIONING, b"").decode()


class PartSpan(msgspec.Struct, frozen=True, gc=False):
    """One part of an object that was assembled from parts: its number, size in bytes and checksum (base64, or "")."""

    number: int
    size: int
    checksum: str = ""


class ObjectRecord(msgspec.Struct, frozen=True, gc=False):
    """Everything S3 knows of one version of an object but its bytes.

    `etag` has no quotes. `headers` are the stored response headers by lower-case name (content-type, cache-control,
    content-disposition, content-encoding, content-language, expires). `user_metadata` has names without
    `x-amz-meta-`. `parts` is empty for an object that was put in one piece. `sequence` orders the versions of a key. A
    delete marker is a version without bytes: only owner, time, version id and sequence speak.
    """

    etag: str
    size: int
    modified_ns: int
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: _EMPTY)
    user_metadata: Mapping[str, str] = msgspec.field(default_factory=lambda: _EMPTY)
    checksum: Checksum | None = None
    parts: tuple[PartSpan, ...] = ()
    storage_class: str = STANDARD
    owner: Owner | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=lambda: _EMPTY)
    upload_id: str = ""
    version_id: str = NULL_VERSION
    sequence: int = 0
    delete_marker: bool = False


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload under way. `template` is the record the object will get, but for its etag and size."""

    id: str
    key: str
    initiated_ns: int
    initiator: Owner
    template: ObjectRecord
    checksum_algorithm: str
    checksum_type: str
    client_chose_checksum: bool


class Part(msgspec.Struct, frozen=True):
    """A part that was stored: `etag` without quotes, `checksum` in the upload's algorithm."""

    number: int
    size: int
    etag: str
    modified_ns: int
    checksum: Checksum | None = None
