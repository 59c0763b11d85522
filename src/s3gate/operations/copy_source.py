"""The source of CopyObject and UploadPartCopy: named in a header, allowed, opened, and held to its conditions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote_to_bytes

from s3gate.core.clock import parse_http_date
from s3gate.core.conditions import ReadCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.operations.binding import Header, header_bytes
from s3gate.operations.call import Call
from s3gate.operations.intake import MAX_PUT_BYTES
from s3gate.operations.version_ids import shown_version, version_id
from s3gate.storage.backend import ObjectReader

__all__ = ["CopySource", "CopySourceHeaders", "OpenSource", "check_copy_size", "copy_source", "open_source"]

_VERSION = "?versionId="


@dataclass(frozen=True, slots=True)
class CopySource:
    """An object, or one version of it."""

    bucket: str
    key: str
    version_id: str | None = None


def _invalid(text: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName="x-amz-copy-source", ArgumentValue=text)


def copy_source(text: str) -> CopySource:
    """x-amz-copy-source: `[/]bucket/key[?versionId=id]`, percent-encoded ("CopySource", CopyObject).

    A plus sign stands for itself: the value is a path and not a form.
    """
    if text.removeprefix("/").startswith("arn:"):
        raise S3Error("NotImplemented", "Copying from an access point is not implemented.")
    path, mark, version = text.partition(_VERSION)
    try:
        decoded = unquote_to_bytes(header_bytes(path)).decode()
    except UnicodeDecodeError:
        raise _invalid(text, "Invalid copy source encoding.") from None
    bucket, _, key = decoded.removeprefix("/").partition("/")
    if not bucket or not key:
        raise _invalid(text, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    return CopySource(bucket, key, version_id(version) if mark else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySourceHeaders:
    """The source and its conditions: a group of arguments."""

    source: Annotated[CopySource, Header("x-amz-copy-source", parse=copy_source)]
    source_owner: Annotated[str | None, Header("x-amz-source-expected-bucket-owner")] = None
    source_if_match: Annotated[str | None, Header("x-amz-copy-source-if-match")] = None
    source_if_none_match: Annotated[str | None, Header("x-amz-copy-source-if-none-match")] = None
    source_if_modified_since: Annotated[
        int | None, Header("x-amz-copy-source-if-modified-since", parse=parse_http_date)
    ] = None
    source_if_unmodified_since: Annotated[
        int | None, Header("x-amz-copy-source-if-unmodified-since", parse=parse_http_date)
    ] = None

    @property
    def source_condition(self) -> ReadCondition:
        """What must hold of the source."""
        return ReadCondition(
            self.source_if_match,
            self.source_if_none_match,
            self.source_if_modified_since,
            self.source_if_unmodified_since,
        )


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source that was found: its bucket, and the version that was opened."""

    bucket: Bucket
    reader: ObjectReader

    @property
    def record(self) -> ObjectRecord:
        """The record of the version."""
        return self.reader.record

    @property
    def headers(self) -> dict[str, str]:
        """x-amz-copy-source-version-id, or nothing where the source's bucket was never versioned."""
        shown = shown_version(self.bucket, self.record)
        return {f"x-amz-copy-source-{name.removeprefix('x-amz-')}": value for name, value in shown.items()}


async def _open(call: Call, bucket: Bucket, source: CopySource) -> ObjectReader:
    try:
        return await call.storage.open_object(bucket, source.key, source.version_id)
    except S3Error as error:
        if error.code != "MethodNotAllowed":
            raise
        message = "The source of a copy request may not specifically refer to a delete marker by version id."
        raise S3Error("InvalidRequest", message) from None


@asynccontextmanager
async def open_source(call: Call, args: CopySourceHeaders) -> AsyncIterator[OpenSource]:
    """The source, open until the end of the `async with`, once the caller was allowed to read it."""
    source = args.source
    bucket = call.here if source.bucket == call.here.name else await call.storage.find_bucket(source.bucket)
    call.require("s3:GetObject" if source.version_id is None else "s3:GetObjectVersion", bucket, source.key)
    if args.source_owner is not None and args.source_owner != bucket.owner.id:
        raise S3Error("AccessDenied")
    check_key(source.key)
    reader = await _open(call, bucket, source)
    try:
        args.source_condition.check_copy(reader.record)
        yield OpenSource(bucket, reader)
    finally:
        await reader.close()


def check_copy_size(size: int) -> None:
    """Raise InvalidRequest for more bytes than one copy may take."""
    if size > MAX_PUT_BYTES:
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_PUT_BYTES}",
        )
