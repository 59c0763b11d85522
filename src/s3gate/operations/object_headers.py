"""The headers that make up an object's record when it is written, and those that tell of it when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from s3gate.core.checksums import ALGORITHMS, Checksum
from s3gate.core.clock import http_date
from s3gate.core.errors import S3Error
from s3gate.core.values import STANDARD, Bucket, ObjectRecord, Owner
from s3gate.operations.binding import Header, UserMetadata
from s3gate.operations.call import Call
from s3gate.operations.tag_sets import tagging_header

__all__ = [
    "DEFAULT_CONTENT_TYPE",
    "STORAGE_CLASSES",
    "ObjectHeaders",
    "canned_acl",
    "checksum_headers",
    "holder",
    "object_headers",
    "quoted",
    "storage_class",
]

# What S3 says of an object whose client named no type.
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
# Those whose objects can be read at once. GLACIER and DEEP_ARCHIVE promise that an object must be restored before it is
# read, and clients act on that; EXPRESS_ONEZONE, OUTPOSTS, SNOW and FSX_* belong to other kinds of buckets.
STORAGE_CLASSES = frozenset(
    {STANDARD, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}
)
# "Canned ACL" of the S3 user guide. With ACLs disabled, S3 takes those that give control to the bucket's owner alone.
_CANNED_ACLS = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "aws-exec-read",
        "authenticated-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
        "log-delivery-write",
    }
)
_OWNER_ONLY = frozenset({"private", "bucket-owner-full-control"})


def canned_acl(name: str) -> str:
    """x-amz-acl of a gateway without ACLs ("Controlling ownership of objects and disabling ACLs")."""
    if name not in _CANNED_ACLS:
        raise S3Error("InvalidArgument", ArgumentName="x-amz-acl", ArgumentValue=name)
    if name not in _OWNER_ONLY:
        raise S3Error("AccessControlListNotSupported")
    return name


def storage_class(name: str) -> str:
    """x-amz-storage-class, else InvalidStorageClass."""
    if name not in STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", StorageClassRequested=name)
    return name


def _content_encoding(text: str) -> str:
    """Content-Encoding without aws-chunked, which is of the transfer and not of the object ("PutObject")."""
    tokens = [token.strip() for token in text.split(",")]
    return ", ".join(token for token in tokens if token and token.lower() != "aws-chunked")


class ObjectHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """What PutObject, CopyObject and CreateMultipartUpload say of the object to be: arguments to inherit."""

    content_type: Annotated[str | None, Header("content-type")] = None
    cache_control: Annotated[str | None, Header("cache-control")] = None
    content_disposition: Annotated[str | None, Header("content-disposition")] = None
    content_encoding: Annotated[str | None, Header("content-encoding", parse=_content_encoding)] = None
    content_language: Annotated[str | None, Header("content-language")] = None
    expires: Annotated[str | None, Header("expires")] = None
    storage_class: Annotated[str | None, Header("x-amz-storage-class", parse=storage_class)] = None
    acl: Annotated[str | None, Header("x-amz-acl", parse=canned_acl)] = None
    tags: Annotated[Mapping[str, str], Header("x-amz-tagging", parse=tagging_header)] = {}
    metadata: Annotated[Mapping[str, str], UserMetadata()] = {}

    def _stored(self) -> dict[str, str]:
        """The headers to keep; an empty one is as good as none."""
        found = {}
        if self.content_type:
            found["content-type"] = self.content_type
        if self.cache_control:
            found["cache-control"] = self.cache_control
        if self.content_disposition:
            found["content-disposition"] = self.content_disposition
        if self.content_encoding:
            found["content-encoding"] = self.content_encoding
        if self.content_language:
            found["content-language"] = self.content_language
        if self.expires:
            found["expires"] = self.expires
        return found

    def template(self, call: Call, *, etag: str = "", size: int = 0, checksum: Checksum | None = None) -> ObjectRecord:
        """The record of the object to be; what only its bytes tell is given, or comes later. The caller owns it.

        An owner is only noted where it is not the bucket's.
        """
        owner = call.caller.owner
        return ObjectRecord(
            etag,
            size,
            modified_ns=0,
            headers=self._stored(),
            user_metadata=self.metadata,
            checksum=checksum,
            storage_class=self.storage_class or STANDARD,
            owner=None if owner == call.here.owner else owner,
            tags=self.tags,
        )

    def require_tagging(self, call: Call, key: str) -> None:
        """Raise AccessDenied for an object with tags unless the caller may tag it too ("PutObject", Permissions)."""
        if self.tags:
            call.require("s3:PutObjectTagging", call.here, key)


def holder(record: ObjectRecord, bucket: Bucket) -> Owner:
    """Whom an object belongs to."""
    return record.owner or bucket.owner


def quoted(etag: str) -> str:
    """An entity tag as headers carry it."""
    return f'"{etag}"'


def checksum_headers(checksum: Checksum | None) -> dict[str, str]:
    """x-amz-checksum-* and x-amz-checksum-type, or nothing."""
    if checksum is None:
        return {}
    return {ALGORITHMS[checksum.algorithm].header: checksum.value, "x-amz-checksum-type": checksum.type}


def object_headers(record: ObjectRecord) -> dict[str, str]:
    """The headers of GET and HEAD that are the same whatever part of the object is asked for.

    Values are the text that the client's bytes stood for, as `binding.header_text` made it: what is sent is what is
    read back, byte for byte.
    """
    headers = {
        "accept-ranges": "bytes",
        "content-type": DEFAULT_CONTENT_TYPE,
        "etag": f'"{record.etag}"',
        "last-modified": http_date(record.modified_ns),
    }
    headers.update(record.headers)
    for name, value in record.user_metadata.items():
        headers[f"x-amz-meta-{name}"] = value
    if record.storage_class != STANDARD:
        headers["x-amz-storage-class"] = record.storage_class
    if record.tags:
        headers["x-amz-tagging-count"] = str(len(record.tags))
    return headers
