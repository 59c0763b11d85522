"""GetObjectAttributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from s3gate.core.clock import http_date
from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.core.values import ObjectRecord
from s3gate.operations.binding import Header, Query
from s3gate.operations.call import Call
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import shown_version, version_id
from s3gate.xml.attributes import ATTRIBUTES, PartsPage, get_object_attributes_response

__all__ = ["GetObjectAttributesArgs", "get_object_attributes"]

_MAX_PARTS = 1000


def _attributes(text: str) -> frozenset[str]:
    """x-amz-object-attributes: names with commas between them, repeated headers joined likewise."""
    wanted = frozenset(filter(None, (name.strip() for name in text.split(","))))
    if not wanted or not wanted <= set(ATTRIBUTES):
        raise S3Error(
            "InvalidArgument",
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=text,
        )
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class GetObjectAttributesArgs:
    """What GetObjectAttributes is asked."""

    bucket: str
    key: str
    attributes: Annotated[frozenset[str], Header("x-amz-object-attributes", parse=_attributes)]
    version_id: Annotated[str | None, Query("versionId", parse=version_id)] = None
    max_parts: Annotated[int, Header("x-amz-max-parts")] = _MAX_PARTS
    part_number_marker: Annotated[int, Header("x-amz-part-number-marker")] = 0


def _parts(record: ObjectRecord, args: GetObjectAttributesArgs) -> PartsPage | None:
    if not record.parts:
        return None
    limit = min(args.max_parts, _MAX_PARTS)
    behind = [span for span in record.parts if span.number > args.part_number_marker]
    return PartsPage(
        behind[:limit], len(record.parts), args.part_number_marker, limit, truncated=0 < limit < len(behind)
    )


@operation("GET ?attributes", level=Level.OBJECT, version_action="s3:GetObjectVersionAttributes")
async def get_object_attributes(call: Call, args: GetObjectAttributesArgs) -> Result:
    """What is known of an object without its bytes (GetObjectAttributes); it takes the right to read it too."""
    check_key(args.key)
    call.require("s3:GetObject" if args.version_id is None else "s3:GetObjectVersion", call.here, args.key)
    record = await call.storage.stat_object(call.here, args.key, args.version_id)
    document = get_object_attributes_response(record, args.attributes, _parts(record, args))
    headers = {"last-modified": http_date(record.modified_ns)} | shown_version(call.here, record)
    return Result(headers=headers, document=document)
