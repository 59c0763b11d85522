"""What an operator sets for one bucket, and the documents of the bucket that hold it.

The kind of the ETags of new objects is a document of its own, the quotas are one. Absent means: as the gateway is set,
and no quota.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from s3gate.core.errors import S3Error
from s3gate.core.etags import EtagKind

__all__ = [
    "CHECKSUM_TYPE",
    "ETAG_KINDS",
    "NO_QUOTA",
    "QUOTA",
    "Held",
    "Quota",
    "check_quota",
    "etag_kind",
    "quota_document",
    "quota_of",
]

CHECKSUM_TYPE = "checksum-type"  # the kind of document that holds an EtagKind
QUOTA = "quota"  # the kind of document that holds a Quota
ETAG_KINDS: Mapping[bytes, EtagKind] = {kind.encode(): kind for kind in get_args(EtagKind)}


class Quota(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The most that a bucket may hold: bytes, and versions of objects that have bytes. None: as much as there is."""

    bytes: int | None = None
    objects: int | None = None


NO_QUOTA = Quota()


class Held(msgspec.Struct, frozen=True, array_like=True):
    """How much a bucket or a key holds: bytes, and versions of objects. A delete marker is none."""

    bytes: int = 0
    objects: int = 0

    def __add__(self, other: Held) -> Held:
        return Held(self.bytes + other.bytes, self.objects + other.objects)

    def __sub__(self, other: Held) -> Held:
        return Held(self.bytes - other.bytes, self.objects - other.objects)


def etag_kind(document: bytes) -> EtagKind:
    """What the ETags of new objects are made of. What is not known is an error, and not the default."""
    kind = ETAG_KINDS.get(document)
    if kind is None:
        raise S3Error("InternalError", "The checksum type of the bucket is not one that is known here")
    return kind


def quota_document(quota: Quota) -> bytes:
    """A quota as it is kept."""
    return msgspec.json.encode(quota)


def quota_of(documents: Mapping[str, bytes]) -> Quota:
    """The quota of a bucket; an InternalError where it is damaged: a bucket with a quota never takes it for none."""
    document = documents.get(QUOTA)
    if document is None:
        return NO_QUOTA
    try:
        return msgspec.json.decode(document, type=Quota)
    except msgspec.MsgspecError as error:
        raise S3Error("InternalError", "The quota of the bucket cannot be read") from error


def check_quota(quota: Quota, now: Held, growth: Held) -> None:
    """Raise QuotaExceeded when a bucket that holds so much may not grow by so much; it may always get smaller.

    S3 has no such error. The code and the status are those of Ceph's RADOS Gateway and of versitygw; MinIO says
    XMinioAdminBucketQuotaExceeded, 400.
    """
    if quota.bytes is not None and growth.bytes > 0 and now.bytes + growth.bytes > quota.bytes:
        raise S3Error("QuotaExceeded", MaxBytesAllowed=quota.bytes, BytesHeld=now.bytes)
    if quota.objects is not None and growth.objects > 0 and now.objects + growth.objects > quota.objects:
        raise S3Error("QuotaExceeded", MaxObjectsAllowed=quota.objects, ObjectsHeld=now.objects)
