"""ListParts and ListMultipartUploads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from s3gate.core.values import Upload
from s3gate.operations.binding import Query
from s3gate.operations.call import Call
from s3gate.operations.listing import encoding_type, prefix_around
from s3gate.operations.multipart import UploadArgs
from s3gate.operations.object_headers import holder
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.xml.multipart import PartsQuery, UploadsQuery, list_multipart_uploads_result, list_parts_result

__all__ = ["ListMultipartUploadsArgs", "ListPartsArgs", "list_multipart_uploads", "list_parts"]

_MAX_PARTS = 1000
_MAX_UPLOADS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPartsArgs(UploadArgs):
    """What ListParts is asked."""

    max_parts: Annotated[int, Query("max-parts")] = _MAX_PARTS
    part_number_marker: Annotated[int, Query("part-number-marker")] = 0


@operation("GET", level=Level.OBJECT, needs=("uploadId",), action="s3:ListMultipartUploadParts")
async def list_parts(call: Call, args: ListPartsArgs) -> Result:
    """A page of the parts of an upload, by number (ListParts)."""
    upload = await call.storage.find_upload(call.here, args.key, args.upload_id)
    limit = min(args.max_parts, _MAX_PARTS)
    behind = [
        part for part in await call.storage.list_parts(call.here, upload) if part.number > args.part_number_marker
    ]
    document = list_parts_result(
        args.bucket,
        upload,
        PartsQuery(args.part_number_marker, limit),
        behind[:limit],
        truncated=0 < limit < len(behind),
        holder=holder(upload.template, call.here),
    )
    return Result(document=document)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMultipartUploadsArgs:
    """What ListMultipartUploads is asked."""

    bucket: str
    prefix: Annotated[str, Query("prefix")] = ""
    delimiter: Annotated[str, Query("delimiter")] = ""
    key_marker: Annotated[str, Query("key-marker")] = ""
    upload_id_marker: Annotated[str, Query("upload-id-marker")] = ""
    max_uploads: Annotated[int, Query("max-uploads")] = _MAX_UPLOADS
    url_encoded: Annotated[bool, Query("encoding-type", parse=encoding_type)] = False

    @property
    def limit(self) -> int:
        """Entries to give."""
        return min(self.max_uploads, _MAX_UPLOADS)

    @property
    def query(self) -> UploadsQuery:
        """What the answer tells of the request."""
        return UploadsQuery(
            self.prefix, self.delimiter, self.key_marker, self.upload_id_marker, self.limit, self.url_encoded
        )


@dataclass(slots=True)
class _Page:
    """Uploads and common prefixes in order; `following` are the markers of the next page, if there is one."""

    uploads: list[Upload] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    following: tuple[str, str] | None = None


def _is_behind(upload: Upload, args: ListMultipartUploadsArgs, past: str) -> bool:
    """Whether an upload comes after the markers; `upload-id-marker` counts for uploads of the key `key-marker` only."""
    if past and upload.key.startswith(past):
        return False
    key, marker = upload.key.encode(), args.key_marker.encode()
    return key > marker or (key == marker and bool(args.upload_id_marker) and upload.id > args.upload_id_marker)


def _collect(uploads: list[Upload], args: ListMultipartUploadsArgs) -> _Page:
    """A page of uploads, which are given in order, with those behind a delimiter rolled up."""
    page = _Page()
    past = prefix_around(args.key_marker, args.prefix, args.delimiter) if args.key_marker else ""
    last: tuple[str, str] | None = None
    for upload in uploads:
        if args.limit == 0:
            break
        if not _is_behind(upload, args, past):
            continue
        rolled = prefix_around(upload.key, args.prefix, args.delimiter)
        if rolled and last == (rolled, ""):
            continue
        if len(page.uploads) + len(page.prefixes) == args.limit:
            page.following = last
            break
        if rolled:
            page.prefixes.append(rolled)
            last = (rolled, "")
        else:
            page.uploads.append(upload)
            last = (upload.key, upload.id)
    return page


@operation("GET ?uploads", level=Level.BUCKET, action="s3:ListBucketMultipartUploads")
async def list_multipart_uploads(call: Call, args: ListMultipartUploadsArgs) -> Result:
    """A page of the uploads under way, by key and then by id, which is by age (ListMultipartUploads)."""
    page = _collect(await call.storage.list_uploads(call.here, args.prefix), args)
    document = list_multipart_uploads_result(
        args.bucket,
        args.query,
        [(upload, holder(upload.template, call.here)) for upload in page.uploads],
        page.prefixes,
        following=page.following,
    )
    return Result(document=document)
