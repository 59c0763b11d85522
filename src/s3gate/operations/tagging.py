"""Tags of objects and of buckets: put, get, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec.structs import replace

from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.core.values import ObjectRecord
from s3gate.operations.binding import Document, Query
from s3gate.operations.buckets import BucketArgs
from s3gate.operations.call import Call
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.tag_sets import BUCKET_TAGS, OBJECT_TAGS
from s3gate.operations.version_ids import shown_version, version_id
from s3gate.xml.tagging import Tagging

__all__ = [
    "ObjectTaggingArgs",
    "PutBucketTaggingArgs",
    "PutObjectTaggingArgs",
    "delete_bucket_tagging",
    "delete_object_tagging",
    "get_bucket_tagging",
    "get_object_tagging",
    "put_bucket_tagging",
    "put_object_tagging",
]

_DOCUMENT = "tagging"  # the kind of document of a bucket that holds its tags


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTaggingArgs:
    """An object or one version of it."""

    bucket: str
    key: str
    version_id: Annotated[str | None, Query("versionId", parse=version_id)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutObjectTaggingArgs(ObjectTaggingArgs):
    """What PutObjectTagging is asked."""

    tagging: Annotated[Tagging, Document()]


async def _retag(call: Call, args: ObjectTaggingArgs, tags: dict[str, str]) -> ObjectRecord:
    """Give a version other tags; its bytes, ETag and time stay as they are."""
    check_key(args.key)

    def change(record: ObjectRecord) -> ObjectRecord:
        return replace(record, tags=tags)

    return await call.storage.update_object(call.here, args.key, change, args.version_id)


@operation("PUT ?tagging", level=Level.OBJECT, version_action="s3:PutObjectVersionTagging")
async def put_object_tagging(call: Call, args: PutObjectTaggingArgs) -> Result:
    """Replace the tags of an object or of one version (PutObjectTagging)."""
    record = await _retag(call, args, OBJECT_TAGS.check(args.tagging.pairs))
    return Result(headers=shown_version(call.here, record))


@operation("GET ?tagging", level=Level.OBJECT, version_action="s3:GetObjectVersionTagging")
async def get_object_tagging(call: Call, args: ObjectTaggingArgs) -> Result:
    """The tags of an object or of one version, in order of their keys (GetObjectTagging)."""
    check_key(args.key)
    record = await call.storage.stat_object(call.here, args.key, args.version_id)
    document = Tagging.of(dict(sorted(record.tags.items()))).render()
    return Result(headers=shown_version(call.here, record), document=document)


@operation("DELETE ?tagging", level=Level.OBJECT, version_action="s3:DeleteObjectVersionTagging")
async def delete_object_tagging(call: Call, args: ObjectTaggingArgs) -> Result:
    """Take all tags off an object or one version (DeleteObjectTagging)."""
    record = await _retag(call, args, {})
    return Result(204, shown_version(call.here, record))


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBucketTaggingArgs:
    """What PutBucketTagging is asked."""

    bucket: str
    tagging: Annotated[Tagging, Document()]


@operation("PUT ?tagging", level=Level.BUCKET)
async def put_bucket_tagging(call: Call, args: PutBucketTaggingArgs) -> Result:
    """Replace the tags of the bucket (PutBucketTagging). AWS answers 204."""
    tags = BUCKET_TAGS.check(args.tagging.pairs)
    await call.storage.put_document(call.here, _DOCUMENT, Tagging.of(tags).render())
    return Result(204)


@operation("GET ?tagging", level=Level.BUCKET)
async def get_bucket_tagging(call: Call, _args: BucketArgs) -> Result:
    """The tags of the bucket, NoSuchTagSet where it has none (GetBucketTagging)."""
    document = call.here.documents.get(_DOCUMENT)
    if document is None:
        raise S3Error("NoSuchTagSet", BucketName=call.here.name)
    return Result(document=document)


@operation("DELETE ?tagging", level=Level.BUCKET, action="s3:PutBucketTagging")
async def delete_bucket_tagging(call: Call, _args: BucketArgs) -> Result:
    """Take all tags off the bucket (DeleteBucketTagging)."""
    await call.storage.delete_document(call.here, _DOCUMENT)
    return Result(204)
