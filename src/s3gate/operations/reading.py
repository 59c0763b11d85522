"""GetObject and HeadObject: whole, by range and by part, under conditions."""

from __future__ import annotations

from typing import Annotated

import msgspec

from s3gate.core.checksums import Checksum
from s3gate.core.clock import parse_http_date
from s3gate.core.conditions import ReadCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import check_key, part_number
from s3gate.core.ranges import ByteRange, parse_range
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.operations.binding import Header, Query
from s3gate.operations.call import Call
from s3gate.operations.object_headers import checksum_headers, object_headers
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Content, Result
from s3gate.operations.version_ids import shown_version, version_id

__all__ = ["ReadArgs", "get_object", "head_object"]


class ReadArgs(msgspec.Struct, frozen=True, kw_only=True):
    """What GetObject and HeadObject are asked."""

    bucket: str
    key: str
    version_id: Annotated[str | None, Query("versionId", parse=version_id)] = None
    part_number: Annotated[int | None, Query("partNumber", parse=part_number)] = None
    range: Annotated[str | None, Header("range")] = None
    if_match: Annotated[str | None, Header("if-match")] = None
    if_none_match: Annotated[str | None, Header("if-none-match")] = None
    # A date that is none is ignored (RFC 9110 sections 13.1.3 and 13.1.4).
    if_modified_since: Annotated[int | None, Header("if-modified-since", parse=parse_http_date)] = None
    if_unmodified_since: Annotated[int | None, Header("if-unmodified-since", parse=parse_http_date)] = None
    checksum_mode: Annotated[str | None, Header("x-amz-checksum-mode")] = None
    response_content_type: Annotated[str | None, Query("response-content-type")] = None
    response_content_language: Annotated[str | None, Query("response-content-language")] = None
    response_expires: Annotated[str | None, Query("response-expires")] = None
    response_cache_control: Annotated[str | None, Query("response-cache-control")] = None
    response_content_disposition: Annotated[str | None, Query("response-content-disposition")] = None
    response_content_encoding: Annotated[str | None, Query("response-content-encoding")] = None

    @property
    def condition(self) -> ReadCondition | None:
        """The conditions of the request, None where it has none."""
        if self.if_match is self.if_none_match is None and self.if_modified_since is self.if_unmodified_since is None:
            return None
        return ReadCondition(self.if_match, self.if_none_match, self.if_modified_since, self.if_unmodified_since)

    @property
    def overrides(self) -> dict[str, str]:
        """The headers that the request sets for its own answer."""
        values = {
            "content-type": self.response_content_type,
            "content-language": self.response_content_language,
            "expires": self.response_expires,
            "cache-control": self.response_cache_control,
            "content-disposition": self.response_content_disposition,
            "content-encoding": self.response_content_encoding,
        }
        return {name: value for name, value in values.items() if value is not None}


_NO_HEADERS: dict[str, str] = {}


class _Slice(msgspec.Struct, frozen=True):
    """The bytes that are the answer. `span` is the range they are of the object, None for all of it unasked."""

    span: ByteRange | None
    length: int
    headers: dict[str, str]
    checksum: Checksum | None


def _check_args(call: Call, args: ReadArgs) -> dict[str, str]:
    """What is wrong whatever the object is; gives the overrides."""
    check_key(args.key)
    if args.range is not None and args.part_number is not None:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    overrides = args.overrides if call.wire.query else {}
    if overrides and call.caller.anonymous:
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    return overrides


def _part(record: ObjectRecord, number: int) -> _Slice:
    """Part `number` of an object; the whole of one that was put in one piece is its part 1.

    A part that the object does not have is InvalidPart (400) as other servers answer; AWS says InvalidPartNumber (416).
    """
    if not record.parts:
        if number != 1:
            raise S3Error("InvalidPart", PartNumber=number)
        span = ByteRange(0, record.size, record.size) if record.size else None
        return _Slice(span, record.size, {}, record.checksum)
    start = 0
    for part in record.parts:
        if part.number == number:
            break
        start += part.size
    else:
        raise S3Error("InvalidPart", PartNumber=number)
    checksum = None
    if record.checksum is not None and part.checksum:
        checksum = Checksum(record.checksum.algorithm, part.checksum, record.checksum.type)
    headers = {"x-amz-mp-parts-count": str(len(record.parts))}
    return _Slice(ByteRange(start, part.size, record.size) if part.size else None, part.size, headers, checksum)


def _slice(record: ObjectRecord, args: ReadArgs) -> _Slice:
    if args.part_number is not None:
        return _part(record, args.part_number)
    span = None if args.range is None else parse_range(args.range, record.size)
    if span is not None:
        # The checksum is of the whole object, and a client would compare it with the bytes it gets.
        return _Slice(span, span.length, _NO_HEADERS, None)
    return _Slice(None, record.size, _NO_HEADERS, record.checksum)


def _answer(
    bucket: Bucket, record: ObjectRecord, args: ReadArgs, overrides: dict[str, str]
) -> tuple[int, dict[str, str], _Slice]:
    condition = args.condition
    if condition is not None:
        condition.check_read(record)
    chosen = _slice(record, args)
    headers = object_headers(record)
    headers |= shown_version(bucket, record)
    if chosen.headers or overrides:
        headers.update(chosen.headers | overrides)
    headers["content-length"] = str(chosen.length)
    if args.checksum_mode is not None and args.checksum_mode.upper() == "ENABLED":
        headers |= checksum_headers(chosen.checksum)
    if chosen.span is None:
        return 200, headers, chosen
    headers["content-range"] = chosen.span.content_range
    return 206, headers, chosen


@operation("GET", level=Level.OBJECT, version_action="s3:GetObjectVersion")
async def get_object(call: Call, args: ReadArgs) -> Result:
    """The bytes of an object with its headers (GetObject); they come from the version that was opened."""
    overrides, bucket = _check_args(call, args), call.here
    reader = await call.storage.open_object(bucket, args.key, args.version_id)
    try:
        status, headers, chosen = _answer(bucket, reader.record, args, overrides)
    except BaseException:
        await reader.close()
        raise
    start = chosen.span.start if chosen.span else 0
    return Result(status, headers, content=Content(reader, start, chosen.length))


@operation("HEAD", level=Level.OBJECT, action="s3:GetObject", version_action="s3:GetObjectVersion")
async def head_object(call: Call, args: ReadArgs) -> Result:
    """The headers that GetObject would send (HeadObject)."""
    overrides, bucket = _check_args(call, args), call.here
    record = await call.storage.stat_object(bucket, args.key, args.version_id)
    status, headers, _ = _answer(bucket, record, args, overrides)
    return Result(status, headers)
