"""PutObject."""

from __future__ import annotations

from typing import Annotated

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.names import check_key
from s3gate.operations.binding import Header
from s3gate.operations.call import Call
from s3gate.operations.intake import object_intake, receive
from s3gate.operations.integrity import UPLOAD_HEADERS
from s3gate.operations.object_headers import ObjectHeaders, checksum_headers, quoted
from s3gate.operations.preconditions import check_early
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import written_version

__all__ = ["PutObjectArgs", "put_object"]


class PutObjectArgs(ObjectHeaders, frozen=True, kw_only=True):
    """What PutObject is asked, beside its body."""

    bucket: str
    key: str
    if_match: Annotated[str | None, Header("if-match")] = None
    if_none_match: Annotated[str | None, Header("if-none-match")] = None


@operation("PUT", level=Level.OBJECT, reads=UPLOAD_HEADERS)
async def put_object(call: Call, args: PutObjectArgs) -> Result:
    """Store the body as an object (PutObject): staged, verified, and only then made the object at its key."""
    check_key(args.key)
    args.require_tagging(call, args.key)
    intake = object_intake(call)
    bucket, condition = call.here, WriteCondition(args.if_match, args.if_none_match)
    if condition != NO_CONDITION:
        await check_early(call, args.key, condition)
    async with call.storage.stage(bucket) as stage:
        await receive(call, stage, intake)
        record = args.template(call, etag=intake.etag, size=intake.size, checksum=intake.checksum)
        stored = await call.storage.commit_object(bucket, stage, args.key, record, condition)
    headers = {"etag": quoted(stored.etag)} | checksum_headers(stored.checksum) | written_version(stored)
    return Result(headers=headers)
