"""DeleteObject and DeleteObjects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.operations.binding import Document, Header, Query
from s3gate.operations.call import Call
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import version_id
from s3gate.storage.backend import Deletion, Removal
from s3gate.xml.deletion import Delete, Outcome, Target, delete_result

__all__ = ["DeleteObjectArgs", "DeleteObjectsArgs", "delete_object", "delete_objects"]

# 1000 keys of 1024 bytes, each of which may be written as six times as many (&#x1f;), with room for the markup.
_MAX_DOCUMENT = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObjectArgs:
    """What DeleteObject is asked. No object is under a retention that could be bypassed."""

    bucket: str
    key: str
    version_id: Annotated[str | None, Query("versionId", parse=version_id)] = None
    if_match: Annotated[str | None, Header("if-match")] = None
    bypass_governance_retention: Annotated[bool, Header("x-amz-bypass-governance-retention")] = False


@operation("DELETE", level=Level.OBJECT, version_action="s3:DeleteObjectVersion")
async def delete_object(call: Call, args: DeleteObjectArgs) -> Result:
    """Remove an object, also one that is not there, or one version for good (DeleteObject).

    In a versioned bucket an object is removed by a delete marker, whose id is told. Of a version it is told whether it
    was a delete marker; removing one that is not there succeeds.
    """
    check_key(args.key)
    condition = WriteCondition(if_match=args.if_match)
    done = await call.storage.delete_object(call.here, args.key, condition, args.version_id)
    version = args.version_id or done.version_id
    headers = {"x-amz-version-id": version} if version else {}
    if done.delete_marker:
        headers["x-amz-delete-marker"] = "true"
    return Result(204, headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObjectsArgs:
    """What DeleteObjects is asked."""

    bucket: str
    bypass_governance_retention: Annotated[bool, Header("x-amz-bypass-governance-retention")] = False
    delete: Annotated[Delete, Document(limit=_MAX_DOCUMENT, empty="MalformedXML")]


def _removal(call: Call, target: Target) -> Removal | S3Error:
    """What is asked of the store for a key, or why nothing is: every key is decided by itself."""
    try:
        check_key(target.key)
        action = "s3:DeleteObject" if target.version_id is None else "s3:DeleteObjectVersion"
        call.require(action, call.here, target.key)
        if target.directory_conditions:
            raise S3Error("NotImplemented", "LastModifiedTime and Size are conditions of directory buckets only.")
        version = None if target.version_id is None else version_id(target.version_id)
    except S3Error as error:
        return error
    condition = NO_CONDITION if target.etag is None else WriteCondition(if_match=target.etag)
    return Removal(target.key, condition, version)


def _outcome(target: Target, done: Deletion | S3Error) -> Outcome:
    if isinstance(done, S3Error):
        return Outcome(target, error=done)
    return Outcome(target, marker=done.version_id if done.delete_marker else "")


@operation("POST ?delete", level=Level.BUCKET, action="s3:DeleteObject")
async def delete_objects(call: Call, args: DeleteObjectsArgs) -> Result:
    """Remove up to 1000 objects, each by itself (DeleteObjects)."""
    asked = [_removal(call, target) for target in args.delete.targets]
    removals = [each for each in asked if isinstance(each, Removal)]
    done = iter(await call.storage.delete_objects(call.here, removals))
    results = [next(done) if isinstance(each, Removal) else each for each in asked]
    outcomes = [_outcome(target, result) for target, result in zip(args.delete.targets, results, strict=True)]
    return Result(document=delete_result(outcomes, quiet=args.delete.quiet))
