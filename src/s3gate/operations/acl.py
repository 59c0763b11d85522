"""Access control lists, which are disabled: they can be read, and set to what they are alone.

"Controlling ownership of objects and disabling ACLs for your bucket" of the S3 user guide: a bucket takes requests that
give the bucket's owner full control, by the canned ACL bucket-owner-full-control or by an equivalent form of it in XML,
and answers all others AccessControlListNotSupported.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.core.values import Owner
from s3gate.operations.binding import Document, Header, Query
from s3gate.operations.buckets import BucketArgs
from s3gate.operations.call import Call
from s3gate.operations.object_headers import canned_acl, holder
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import shown_version, version_id
from s3gate.xml.acl import AccessControlPolicy, full_control

__all__ = [
    "ObjectAclArgs",
    "PutBucketAclArgs",
    "PutObjectAclArgs",
    "get_bucket_acl",
    "get_object_acl",
    "put_bucket_acl",
    "put_object_acl",
]

_GRANT_HEADERS = "x-amz-grant-"  # each gives a right to somebody


class ObjectAclArgs(msgspec.Struct, frozen=True, kw_only=True):
    """An object or one version of it."""

    bucket: str
    key: str
    version_id: Annotated[str | None, Query("versionId", parse=version_id)] = None


class PutObjectAclArgs(ObjectAclArgs, frozen=True, kw_only=True):
    """What PutObjectAcl is asked."""

    acl: Annotated[str | None, Header("x-amz-acl", parse=canned_acl)] = None
    policy: Annotated[AccessControlPolicy | None, Document()] = None


class PutBucketAclArgs(msgspec.Struct, frozen=True, kw_only=True):
    """What PutBucketAcl is asked."""

    bucket: str
    acl: Annotated[str | None, Header("x-amz-acl", parse=canned_acl)] = None
    policy: Annotated[AccessControlPolicy | None, Document()] = None


@operation("GET ?acl", level=Level.BUCKET)
async def get_bucket_acl(call: Call, _args: BucketArgs) -> Result:
    """Who has rights on a bucket: its owner, all of them (GetBucketAcl)."""
    return Result(document=full_control(call.here.owner))


@operation("GET ?acl", level=Level.OBJECT, version_action="s3:GetObjectVersionAcl")
async def get_object_acl(call: Call, args: ObjectAclArgs) -> Result:
    """Who has rights on an object or one version: its owner, all of them (GetObjectAcl)."""
    check_key(args.key)
    record = await call.storage.stat_object(call.here, args.key, args.version_id)
    return Result(headers=shown_version(call.here, record), document=full_control(holder(record, call.here)))


def _check(call: Call, args: PutObjectAclArgs | PutBucketAclArgs, who: Owner) -> None:
    """Raise AccessControlListNotSupported unless the rights are those that there are."""
    granted = any(name.startswith(_GRANT_HEADERS) for name in call.wire.headers)
    same = args.acl is not None if args.policy is None else args.policy.is_full_control_of(who)
    if granted or not same:
        raise S3Error("AccessControlListNotSupported")


@operation("PUT ?acl", level=Level.BUCKET, reads=(_GRANT_HEADERS + "*",))
async def put_bucket_acl(call: Call, args: PutBucketAclArgs) -> Result:
    """Leave all rights on a bucket with its owner; any other wish is refused (PutBucketAcl)."""
    _check(call, args, call.here.owner)
    return Result()


@operation("PUT ?acl", level=Level.OBJECT, version_action="s3:PutObjectVersionAcl", reads=(_GRANT_HEADERS + "*",))
async def put_object_acl(call: Call, args: PutObjectAclArgs) -> Result:
    """Leave all rights on an object or one version with its owner; any other wish is refused (PutObjectAcl)."""
    check_key(args.key)
    record = await call.storage.stat_object(call.here, args.key, args.version_id)
    _check(call, args, holder(record, call.here))
    return Result(headers=shown_version(call.here, record))
