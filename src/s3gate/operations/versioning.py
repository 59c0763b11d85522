"""The versioning state of a bucket, and the listing of versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from s3gate.core.errors import S3Error
from s3gate.core.values import VERSIONING
from s3gate.operations.binding import Document, Query
from s3gate.operations.buckets import BucketArgs
from s3gate.operations.call import Call
from s3gate.operations.listing import ListingArgs, prefix_around
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.operations.version_ids import version_id
from s3gate.storage.backend import VersionPage, VersionQuery
from s3gate.xml.listing import VersionsPage, list_versions_result
from s3gate.xml.versioning import VersioningConfiguration, versioning_configuration

__all__ = [
    "ListObjectVersionsArgs",
    "PutBucketVersioningArgs",
    "get_bucket_versioning",
    "list_object_versions",
    "put_bucket_versioning",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBucketVersioningArgs:
    """What PutBucketVersioning is asked. x-amz-mfa is refused like every header that no operation knows."""

    bucket: str
    configuration: Annotated[VersioningConfiguration, Document(limit=64 << 10)]


@operation("PUT ?versioning", level=Level.BUCKET)
async def put_bucket_versioning(call: Call, args: PutBucketVersioningArgs) -> Result:
    """Enable or suspend versioning (PutBucketVersioning); what was never said stays unsaid."""
    configuration = args.configuration
    if configuration.mfa_delete == "Enabled":
        raise S3Error("NotImplemented", "MFA delete is not implemented.")
    if not configuration.status:
        raise S3Error("IllegalVersioningConfigurationException", "The Versioning element must be specified")
    await call.storage.put_document(call.here, VERSIONING, configuration.status.encode())
    return Result()


@operation("GET ?versioning", level=Level.BUCKET)
async def get_bucket_versioning(call: Call, _args: BucketArgs) -> Result:
    """The versioning state of the bucket, nothing where it was never set (GetBucketVersioning)."""
    return Result(document=versioning_configuration(call.here.versioning))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListObjectVersionsArgs(ListingArgs):
    """What ListObjectVersions is asked. An empty marker is as good as none."""

    key_marker: Annotated[str, Query("key-marker")] = ""
    version_id_marker: Annotated[str, Query("version-id-marker")] = ""


def _check_markers(args: ListObjectVersionsArgs) -> None:
    if not args.version_id_marker:
        return
    if not args.key_marker:
        raise S3Error(
            "InvalidArgument",
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=args.version_id_marker,
        )
    version_id(args.version_id_marker, "version-id-marker")


async def _page(call: Call, args: ListObjectVersionsArgs) -> VersionPage:
    """A key marker that lies in a common prefix has that prefix behind it."""
    if args.limit == 0:
        return VersionPage()
    query = VersionQuery(
        prefix=args.prefix,
        delimiter=args.delimiter,
        after_key=args.key_marker,
        after_version=args.version_id_marker,
        past=prefix_around(args.key_marker, args.prefix, args.delimiter),
        limit=args.limit,
    )
    return await call.storage.list_versions(call.here, query)


@operation("GET ?versions", level=Level.BUCKET, action="s3:ListBucketVersions")
async def list_object_versions(call: Call, args: ListObjectVersionsArgs) -> Result:
    """A page of the versions and delete markers in a bucket, of each key the newest first (ListObjectVersions)."""
    _check_markers(args)
    page = await _page(call, args)
    shown = VersionsPage(
        [(item.key, item.record, item.latest) for item in page.versions],
        page.prefixes,
        page.truncated,
        call.here.owner,
    )
    document = list_versions_result(
        args.query,
        shown,
        markers=(args.key_marker, args.version_id_marker),
        next_markers=(page.last, page.last_version) if page.truncated else ("", ""),
    )
    return Result(document=document)
