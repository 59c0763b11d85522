"""CreateMultipartUpload, UploadPart and AbortMultipartUpload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from s3gate.core.checksums import (
    ALGORITHMS,
    DEFAULT_ALGORITHM,
    Algorithm,
    check_multipart_type,
    default_multipart_type,
    find_algorithm,
)
from s3gate.core.clock import now_ns
from s3gate.core.errors import S3Error
from s3gate.core.names import check_key, new_upload_id, part_number
from s3gate.core.values import Part, Upload
from s3gate.operations.binding import Header, Query
from s3gate.operations.call import Call
from s3gate.operations.intake import Intake, object_intake, receive
from s3gate.operations.integrity import UPLOAD_HEADERS
from s3gate.operations.object_headers import ObjectHeaders, quoted
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.xml.multipart import initiate_multipart_upload_result

__all__ = [
    "CreateMultipartUploadArgs",
    "UploadArgs",
    "UploadPartArgs",
    "abort_multipart_upload",
    "check_same_algorithm",
    "create_multipart_upload",
    "upload_part",
]


def check_same_algorithm(upload: Upload, sent: Algorithm) -> None:
    """Raise InvalidRequest for a checksum by another algorithm than that of the upload."""
    if sent.name != upload.checksum_algorithm:
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm.lower()}, "
            f"actual checksum Type: {sent.name.lower()}",
        )


def _metadata_directive(text: str) -> str:
    """x-amz-metadata-directive, which is not among the parameters of "CreateMultipartUpload" in the API reference.

    s3fs-fuse sends REPLACE where it copies in parts: the metadata of this request, as for any upload.
    """
    if text != "REPLACE":
        raise S3Error(
            "NotImplemented",
            Header="x-amz-metadata-directive",
            additionalMessage="An upload in parts takes its metadata from the request that begins it.",
        )
    return text


class CreateMultipartUploadArgs(ObjectHeaders, frozen=True, kw_only=True):
    """What CreateMultipartUpload is asked."""

    bucket: str
    key: str
    checksum_algorithm: Annotated[Algorithm | None, Header("x-amz-checksum-algorithm", parse=find_algorithm)] = None
    checksum_type: Annotated[str | None, Header("x-amz-checksum-type", parse=str.upper)] = None
    metadata_directive: Annotated[str | None, Header("x-amz-metadata-directive", parse=_metadata_directive)] = None


def _checksum_kind(args: CreateMultipartUploadArgs) -> tuple[str, str]:
    """Name of the algorithm and type of the checksum that the object will have."""
    if args.checksum_algorithm is None:
        if args.checksum_type is not None:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return DEFAULT_ALGORITHM, default_multipart_type(DEFAULT_ALGORITHM)
    name = args.checksum_algorithm.name
    kind = args.checksum_type or default_multipart_type(name)
    check_multipart_type(name, kind)
    return name, kind


@operation("POST ?uploads", level=Level.OBJECT, action="s3:PutObject")
async def create_multipart_upload(call: Call, args: CreateMultipartUploadArgs) -> Result:
    """Begin an upload in parts (CreateMultipartUpload)."""
    check_key(args.key)
    args.require_tagging(call, args.key)
    name, kind = _checksum_kind(args)
    chosen = args.checksum_algorithm is not None
    upload = Upload(
        id=new_upload_id(),
        key=args.key,
        initiated_ns=now_ns(),
        initiator=call.caller.owner,
        template=args.template(call),
        checksum_algorithm=name,
        checksum_type=kind,
        client_chose_checksum=chosen,
    )
    await call.storage.create_upload(call.here, upload)
    headers = {"x-amz-checksum-algorithm": name, "x-amz-checksum-type": kind} if chosen else {}
    return Result(headers=headers, document=initiate_multipart_upload_result(args.bucket, args.key, upload.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadArgs:
    """An upload: arguments to inherit."""

    bucket: str
    key: str
    upload_id: Annotated[str, Query("uploadId")]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPartArgs(UploadArgs):
    """What UploadPart is asked, beside its body."""

    part_number: Annotated[int, Query("partNumber", parse=part_number)]


def _part_headers(upload: Upload, intake: Intake) -> dict[str, str]:
    checksum = intake.checksum if upload.client_chose_checksum else intake.declared_checksum
    headers = {"etag": quoted(intake.etag)}
    if checksum is not None:
        headers[ALGORITHMS[checksum.algorithm].header] = checksum.value
    return headers


@operation("PUT", level=Level.OBJECT, needs=("partNumber", "uploadId"), action="s3:PutObject", reads=UPLOAD_HEADERS)
async def upload_part(call: Call, args: UploadPartArgs) -> Result:
    """Store the body as a part of an upload (UploadPart).

    A checksum must be by the algorithm that the upload was begun with; one that was begun with none takes any.
    """
    upload = await call.storage.find_upload(call.here, args.key, args.upload_id)
    intake = object_intake(call, stored=ALGORITHMS[upload.checksum_algorithm], kind=upload.checksum_type)
    if upload.client_chose_checksum and intake.named is not None:
        check_same_algorithm(upload, intake.named)
    length = call.payload.decoded_length
    async with call.storage.stage_part(call.here, upload, args.part_number, length) as stage:
        await receive(call, stage, intake)
        part = Part(args.part_number, intake.size, intake.etag, 0, intake.checksum)
        await call.storage.commit_part(call.here, upload, stage, part)
    return Result(headers=_part_headers(upload, intake))


@operation("DELETE", level=Level.OBJECT, needs=("uploadId",))
async def abort_multipart_upload(call: Call, args: UploadArgs) -> Result:
    """End an upload and forget its parts (AbortMultipartUpload)."""
    upload = await call.storage.find_upload(call.here, args.key, args.upload_id)
    await call.storage.abort_upload(call.here, upload)
    return Result(204)
