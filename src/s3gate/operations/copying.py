"""CopyObject and UploadPartCopy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec.structs import replace

from s3gate.core.checksums import ALGORITHMS, DEFAULT_ALGORITHM, FULL_OBJECT, Algorithm, Checksum, find_algorithm
from s3gate.core.clock import now_ns
from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.etags import etag_kind_of
from s3gate.core.names import check_key, part_number
from s3gate.core.ranges import parse_copy_range
from s3gate.core.values import STANDARD, ObjectRecord, Part
from s3gate.operations.binding import Group, Header, Query
from s3gate.operations.call import Call
from s3gate.operations.copy_source import CopySourceHeaders, OpenSource, check_copy_size, open_source
from s3gate.operations.digests import Digests
from s3gate.operations.object_headers import ObjectHeaders
from s3gate.operations.preconditions import check_early
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import written_version
from s3gate.storage.backend import ObjectReader, Stage
from s3gate.xml.copying import copy_object_result, copy_part_result

__all__ = ["CopyObjectArgs", "UploadPartCopyArgs", "copy_object", "upload_part_copy"]


def _directive(name: str, message: str) -> Header:
    """A header that says COPY (false) or REPLACE (true)."""

    def parse(text: str) -> bool:
        if text not in ("COPY", "REPLACE"):
            raise S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=text)
        return text == "REPLACE"

    return Header(name, parse=parse)


_METADATA_DIRECTIVE = _directive("x-amz-metadata-directive", "Unknown metadata directive.")
_TAGGING_DIRECTIVE = _directive("x-amz-tagging-directive", "Unknown tagging directive.")


class CopyObjectArgs(ObjectHeaders, frozen=True, kw_only=True):
    """What CopyObject is asked. What it says of the object counts only where the metadata is replaced."""

    bucket: str
    key: str
    origin: Annotated[CopySourceHeaders, Group()]
    replace_metadata: Annotated[bool, _METADATA_DIRECTIVE] = False
    replace_tags: Annotated[bool, _TAGGING_DIRECTIVE] = False
    checksum_algorithm: Annotated[Algorithm | None, Header("x-amz-checksum-algorithm", parse=find_algorithm)] = None
    if_match: Annotated[str | None, Header("if-match")] = None
    if_none_match: Annotated[str | None, Header("if-none-match")] = None

    @property
    def condition(self) -> WriteCondition:
        """What must hold of the object that is replaced."""
        return WriteCondition(self.if_match, self.if_none_match)

    @property
    def is_onto_itself(self) -> bool:
        """Whether source and target are one object."""
        return (self.origin.source.bucket, self.origin.source.key) == (self.bucket, self.key)


def _copied(call: Call, args: CopyObjectArgs, source: ObjectRecord) -> ObjectRecord:
    """The record of the copy, with the content of the source.

    The storage class is that of the request or STANDARD, never that of the source ("Copying objects").
    """
    template = args.template(call)
    kept = template if args.replace_metadata else source
    return replace(
        source,
        headers=kept.headers,
        user_metadata=kept.user_metadata,
        storage_class=template.storage_class,
        owner=template.owner,
        tags=template.tags if args.replace_tags else source.tags,
    )


def _algorithm_of_copy(args: CopyObjectArgs, source: ObjectRecord) -> Algorithm:
    if args.checksum_algorithm is not None:
        return args.checksum_algorithm
    return ALGORITHMS[source.checksum.algorithm if source.checksum else DEFAULT_ALGORITHM]


def _is_content_kept(call: Call, args: CopyObjectArgs, source: ObjectRecord) -> bool:
    """Whether the copy has the ETag and checksum of its source, so that no byte needs to be looked at.

    The copy of an object that was put in parts is one in one piece, with an ETag and a checksum of its own. A bucket
    that says itself what ETags are made of has none of another kind by copies.
    """
    checksum, kind = source.checksum, etag_kind_of(source.etag)
    if source.parts or kind is None or call.own_etag_kind not in (None, "none", kind):
        return False
    if args.checksum_algorithm is not None:
        return checksum is not None and checksum.algorithm == args.checksum_algorithm.name
    return checksum is None or checksum.type == FULL_OBJECT


async def _stream(source: ObjectReader, stage: Stage, digests: Digests, *, start: int, length: int) -> None:
    await stage.copy(source, start, 0)  # so it is no upload, which may be received elsewhere than the bucket is
    async for piece in source.chunks(start, length):
        await stage.write([piece], digests)


async def _copy(call: Call, args: CopyObjectArgs, source: ObjectReader) -> ObjectRecord:
    record = _copied(call, args, source.record)
    async with call.storage.stage(call.here) as stage:
        if _is_content_kept(call, args, source.record):
            await stage.copy(source, 0, record.size)
        else:
            algorithm = _algorithm_of_copy(args, source.record)
            digests = Digests([algorithm], etag=call.etag_kind)
            await _stream(source, stage, digests, start=0, length=record.size)
            record = replace(record, etag=digests.etag, checksum=digests.checksum(algorithm))
        record = replace(record, parts=(), upload_id="")
        return await call.storage.commit_object(call.here, stage, args.key, record, args.condition)


async def _other_checksum(args: CopyObjectArgs, source: ObjectReader) -> Checksum | None:
    """The checksum by another algorithm that the request asks for, or None."""
    wanted, known = args.checksum_algorithm, source.record.checksum
    if wanted is None or (known is not None and known.algorithm == wanted.name and known.type == FULL_OBJECT):
        return None
    digests = Digests([wanted], etag=None)
    async for piece in source.chunks(0, source.record.size):
        digests([piece])
    return digests.checksum(wanted)


def _check_changes(args: CopyObjectArgs, source: ObjectRecord) -> None:
    """Raise InvalidRequest for a copy of an object onto itself that changes nothing."""
    wanted = args.storage_class or STANDARD
    if not (args.replace_metadata or args.replace_tags or args.checksum_algorithm or wanted != source.storage_class):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )


async def _rewrite(call: Call, args: CopyObjectArgs, source: ObjectReader) -> ObjectRecord:
    """The copy of an object onto itself: its record is replaced, its bytes stay where they are."""
    seen = source.record
    checksum = await _other_checksum(args, source)

    def change(current: ObjectRecord) -> ObjectRecord:
        args.origin.source_condition.check_copy(current)
        args.condition.check(current)
        if checksum is not None and (current.etag, current.sequence) != (seen.etag, seen.sequence):
            raise S3Error("OperationAborted")
        record = _copied(call, args, current)
        return replace(record, modified_ns=now_ns(), checksum=checksum or record.checksum)

    return await call.storage.update_object(call.here, args.key, change)


def _require_tagging(call: Call, args: CopyObjectArgs, source: OpenSource) -> None:
    """Raise AccessDenied unless the caller may read and write the tags that go along ("CopyObject", Permissions)."""
    if args.replace_tags:
        args.require_tagging(call, args.key)
    elif source.record.tags:
        action = "s3:GetObjectTagging" if args.origin.source.version_id is None else "s3:GetObjectVersionTagging"
        call.require(action, source.bucket, args.origin.source.key)
        call.require("s3:PutObjectTagging", call.here, args.key)


async def _make(call: Call, args: CopyObjectArgs, source: OpenSource) -> ObjectRecord:
    """The copy, stored.

    An object that is copied onto itself is changed in place where nothing was ever versioned; elsewhere it becomes a
    version like any other. To name a version of it is to ask for that version to be the current one again.
    """
    if not args.is_onto_itself:
        return await _copy(call, args, source.reader)
    versioned = bool(call.here.versioning)
    if not (versioned and args.origin.source.version_id):
        _check_changes(args, source.record)
    return await (_copy if versioned else _rewrite)(call, args, source.reader)


@operation("PUT", level=Level.OBJECT, needs=("x-amz-copy-source",), action="s3:PutObject")
async def copy_object(call: Call, args: CopyObjectArgs) -> Result:
    """Make a copy of an object or of one version of it (CopyObject)."""
    check_key(args.key)
    if args.condition != NO_CONDITION:
        await check_early(call, args.key, args.condition)
    async with open_source(call, args.origin) as source:
        check_copy_size(source.record.size)
        _require_tagging(call, args, source)
        stored = await _make(call, args, source)
        headers = source.headers | written_version(stored)
    return Result(headers=headers, document=copy_object_result(stored))


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPartCopyArgs:
    """What UploadPartCopy is asked."""

    bucket: str
    key: str
    origin: Annotated[CopySourceHeaders, Group()]
    part_number: Annotated[int, Query("partNumber", parse=part_number)]
    upload_id: Annotated[str, Query("uploadId")]
    source_range: Annotated[str | None, Header("x-amz-copy-source-range")] = None


@operation("PUT", level=Level.OBJECT, needs=("partNumber", "uploadId", "x-amz-copy-source"), action="s3:PutObject")
async def upload_part_copy(call: Call, args: UploadPartCopyArgs) -> Result:
    """Make a part of an upload from bytes of an object (UploadPartCopy); they are read, for a part has an MD5."""
    upload = await call.storage.find_upload(call.here, args.key, args.upload_id)
    algorithm = ALGORITHMS[upload.checksum_algorithm]
    async with open_source(call, args.origin) as source:
        start, length = 0, source.record.size
        if args.source_range is not None:
            span = parse_copy_range(args.source_range, length)
            start, length = span.start, span.length
        check_copy_size(length)
        digests = Digests([algorithm], etag=call.etag_kind)
        async with call.storage.stage_part(call.here, upload, args.part_number, length) as stage:
            await _stream(source.reader, stage, digests, start=start, length=length)
            part = Part(args.part_number, length, digests.etag, 0, digests.checksum(algorithm))
            stored = await call.storage.commit_part(call.here, upload, stage, part)
        headers = source.headers
    shown = stored.checksum if upload.client_chose_checksum else None
    return Result(headers=headers, document=copy_part_result(stored, shown))
