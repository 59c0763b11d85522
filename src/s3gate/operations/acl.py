"""Access control lists, which are disabled: they can be read, and not be set.

"Controlling ownership of objects and disabling ACLs for your bucket" of the S3 user guide: "Requests to set ACLs or
update ACLs fail and return the AccessControlListNotSupported error code. Requests to read ACLs are still supported."
"""

from __future__ import annotations

from typing import Annotated, NoReturn

import msgspec

from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.operations.binding import Query
from s3gate.operations.buckets import BucketArgs
from s3gate.operations.call import Call
from s3gate.operations.object_headers import holder
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import shown_version, version_id
from s3gate.xml.acl import full_control

__all__ = ["ObjectAclArgs", "get_bucket_acl", "get_object_acl", "put_bucket_acl", "put_object_acl"]

# What may say which rights are to be given; all of it is refused alike.
_GRANTS = ("x-amz-acl", "x-amz-grant-*")


class ObjectAclArgs(msgspec.Struct, frozen=True, kw_only=True):
    """An object or one version of it."""

    bucket: str
    key: str
    version_id: Annotated[str | None, Query("versionId", parse=version_id)] = None


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


def _refuse() -> NoReturn:
    raise S3Error("AccessControlListNotSupported")


@operation("PUT ?acl", level=Level.BUCKET, reads=_GRANTS)
async def put_bucket_acl(call: Call, _args: BucketArgs) -> Result:
    """Refused: ACLs are disabled (PutBucketAcl)."""
    del call
    _refuse()


@operation("PUT ?acl", level=Level.OBJECT, version_action="s3:PutObjectVersionAcl", reads=_GRANTS)
async def put_object_acl(call: Call, args: ObjectAclArgs) -> Result:
    """Refused: ACLs are disabled (PutObjectAcl)."""
    check_key(args.key)
    await call.storage.stat_object(call.here, args.key, args.version_id)
    _refuse()
