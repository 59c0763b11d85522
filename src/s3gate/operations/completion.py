"""CompleteMultipartUpload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from msgspec.structs import replace

from s3gate.core.checksums import ALGORITHMS, COMPOSITE, Checksum, combine, composite
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.etags import joined_etag
from s3gate.core.values import ObjectRecord, Part, PartSpan, Upload
from s3gate.operations.binding import Header
from s3gate.operations.call import Call
from s3gate.operations.intake import read_document
from s3gate.operations.integrity import CHECKSUM_HEADERS, checksum_values
from s3gate.operations.multipart import UploadArgs, check_same_algorithm
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import written_version
from s3gate.xml.multipart import CompletedPart, CompleteMultipartUpload, complete_multipart_upload_result

__all__ = ["MIN_PART_BYTES", "CompleteMultipartUploadArgs", "complete_multipart_upload"]

# "Amazon S3 multipart upload limits": 5 MiB for every part but the last.
MIN_PART_BYTES = 5 << 20
# 10,000 parts with a checksum each.
_MAX_DOCUMENT = 4 << 20
# How long the answer waits for the object; then it begins without it, so that no client gives up meanwhile.
PATIENCE_SECONDS = 5.0


def _object_size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteMultipartUploadArgs(UploadArgs):
    """What CompleteMultipartUpload is asked, beside its document and the x-amz-checksum-* of the object to be."""

    checksum_type: Annotated[str | None, Header("x-amz-checksum-type", parse=str.upper)] = None
    object_size: Annotated[int | None, Header("x-amz-mp-object-size", parse=_object_size)] = None
    if_match: Annotated[str | None, Header("if-match")] = None
    if_none_match: Annotated[str | None, Header("if-none-match")] = None

    @property
    def condition(self) -> WriteCondition:
        """What must hold of the object that is replaced."""
        return WriteCondition(self.if_match, self.if_none_match)


def _check_order(named: Sequence[CompletedPart]) -> None:
    for earlier, later in pairwise(named):
        if later.number <= earlier.number:
            raise S3Error("InvalidPartOrder")


def _invalid_part(upload: Upload, named: CompletedPart) -> S3Error:
    return S3Error("InvalidPart", UploadId=upload.id, PartNumber=named.number, ETag=named.etag)


def _check_part(upload: Upload, named: CompletedPart, part: Part | None) -> Part:
    if part is None or part.etag != named.etag:
        raise _invalid_part(upload, named)
    for name, value in named.checksums.items():
        check_same_algorithm(upload, ALGORITHMS[name])
        if part.checksum is None or part.checksum.value != value:
            raise _invalid_part(upload, named)
    return part


def _chosen_parts(upload: Upload, named: Sequence[CompletedPart], stored: Iterable[Part]) -> list[Part]:
    """The stored parts that the client names, in order, each found to be what the client says."""
    _check_order(named)
    by_number = {part.number: part for part in stored}
    parts = [_check_part(upload, item, by_number.get(item.number)) for item in named]
    for part in parts[:-1]:
        if part.size < MIN_PART_BYTES:
            raise S3Error(
                "EntityTooSmall",
                ProposedSize=part.size,
                MinSizeAllowed=MIN_PART_BYTES,
                PartNumber=part.number,
                ETag=part.etag,
            )
    return parts


def _object_checksum(upload: Upload, parts: Sequence[Part]) -> Checksum | None:
    """The checksum of the object from those of its parts, by the type of the upload."""
    values = [(part.checksum.value, part.size) for part in parts if part.checksum is not None]
    if len(values) < len(parts):
        return None
    if upload.checksum_type == COMPOSITE:
        return composite(upload.checksum_algorithm, [value for value, _ in values])
    return combine(upload.checksum_algorithm, values)


def _check_declared(args: CompleteMultipartUploadArgs, upload: Upload, headers: Mapping[str, str]) -> None:
    """What the headers say of the upload, which needs no part to be looked at."""
    if args.checksum_type is not None and args.checksum_type != upload.checksum_type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {upload.checksum_type} checksum mode. The complete request must use "
            "the same checksum mode.",
        )
    for name in checksum_values(headers):
        check_same_algorithm(upload, ALGORITHMS[name])


def _check_result(args: CompleteMultipartUploadArgs, record: ObjectRecord, headers: Mapping[str, str]) -> None:
    """Hold the object to be against the size and the checksum that the client expects of it."""
    if args.object_size is not None and args.object_size != record.size:
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {args.object_size} does not match what was computed: "
            f"{record.size}",
        )
    for name, value in checksum_values(headers).items():
        computed = record.checksum.value if record.checksum else ""
        # The number of parts behind a composite checksum may be left out.
        if value not in (computed, computed.partition("-")[0]):
            raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.")


def _record(upload: Upload, parts: Sequence[Part]) -> ObjectRecord:
    return replace(
        upload.template,
        etag=joined_etag([part.etag for part in parts]),
        size=sum(part.size for part in parts),
        checksum=_object_checksum(upload, parts),
        parts=tuple(PartSpan(part.number, part.size, part.checksum.value if part.checksum else "") for part in parts),
        upload_id=upload.id,
    )


async def _complete(call: Call, args: CompleteMultipartUploadArgs, named: Sequence[CompletedPart]) -> ObjectRecord:
    upload = await call.storage.find_upload(call.here, args.key, args.upload_id)
    _check_declared(args, upload, call.wire.headers)
    parts = _chosen_parts(upload, named, await call.storage.list_parts(call.here, upload))
    record = _record(upload, parts)
    _check_result(args, record, call.wire.headers)
    return await call.storage.complete_upload(call.here, upload, parts, record, args.condition)


def _location(call: Call) -> str:
    """The URL of the object, as the client addressed it."""
    scheme = "https" if call.wire.secure else "http"
    return f"{scheme}://{call.wire.headers.get('host', '')}{call.wire.raw_path}"


@operation("POST", level=Level.OBJECT, needs=("uploadId",), action="s3:PutObject", reads=CHECKSUM_HEADERS)
async def complete_multipart_upload(call: Call, args: CompleteMultipartUploadArgs) -> Result:
    """Make the object of the parts that the client names (CompleteMultipartUpload).

    The document is read here and not by the binding, because the x-amz-checksum-* headers are not its own.
    """
    document = CompleteMultipartUpload.parse(await read_document(call, _MAX_DOCUMENT, checksums=False))
    work = asyncio.create_task(_complete_or_find(call, args, document.parts))
    if (await asyncio.wait([work], timeout=PATIENCE_SECONDS))[0]:
        record = work.result()
        return Result(headers=written_version(record), document=_answer(call, args, record))
    return Result(late=_late_answer(call, args, work))


async def _complete_or_find(
    call: Call, args: CompleteMultipartUploadArgs, named: Sequence[CompletedPart]
) -> ObjectRecord:
    """The object, or what the upload has become before: a client that did not hear the answer asks again.

    "Completing a multipart upload … is idempotent" (CompleteMultipartUpload).
    """
    try:
        return await _complete(call, args, named)
    except S3Error as error:
        if error.code != "NoSuchUpload":
            raise
    parts = [(part.number, part.etag) for part in named]
    return await call.storage.find_completed(call.here, args.key, args.upload_id, parts)


def _answer(call: Call, args: CompleteMultipartUploadArgs, record: ObjectRecord) -> bytes:
    return complete_multipart_upload_result(_location(call), args.bucket, args.key, record)


async def _late_answer(call: Call, args: CompleteMultipartUploadArgs, work: asyncio.Task[ObjectRecord]) -> bytes:
    return _answer(call, args, await work)
