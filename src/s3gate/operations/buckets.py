"""Operations on buckets themselves: list, create, head, locate, delete."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from s3gate.core.errors import S3Error
from s3gate.core.names import check_bucket_name
from s3gate.core.values import Bucket
from s3gate.operations.binding import Document, Header, Query
from s3gate.operations.call import Call
from s3gate.operations.continuation import read_token, write_token
from s3gate.operations.object_headers import canned_acl
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.xml.buckets import CreateBucketConfiguration, list_all_my_buckets_result, location_constraint

__all__ = [
    "BucketArgs",
    "CreateBucketArgs",
    "ListBucketsArgs",
    "create_bucket",
    "delete_bucket",
    "get_bucket_location",
    "head_bucket",
    "list_buckets",
]

_MAX_BUCKETS = 10_000
_LEGACY_REGION = "us-east-1"
_ALIASES = {"EU": "eu-west-1"}
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBucketsArgs:
    """What ListBuckets is asked."""

    prefix: Annotated[str | None, Query("prefix")] = None
    max_buckets: Annotated[int | None, Query("max-buckets")] = None
    continuation_token: Annotated[str | None, Query("continuation-token")] = None
    bucket_region: Annotated[str | None, Query("bucket-region")] = None


def _check_max_buckets(number: int | None) -> int | None:
    if number is not None and not 1 <= number <= _MAX_BUCKETS:
        raise S3Error(
            "InvalidArgument",
            f"Argument max-buckets must be an integer between 1 and {_MAX_BUCKETS}",
            ArgumentName="max-buckets",
            ArgumentValue=number,
        )
    return number


def _is_listed(bucket: Bucket, call: Call, args: ListBucketsArgs, after: str) -> bool:
    return (
        (bucket.owner.id == call.caller.owner.id or call.caller.policy == "admin")
        and bucket.name.startswith(args.prefix or "")
        and bucket.name.encode() > after.encode()
        and args.bucket_region in (None, "", bucket.region)
    )


@operation("GET", level=Level.SERVICE, action="s3:ListAllMyBuckets")
async def list_buckets(call: Call, args: ListBucketsArgs) -> Result:
    """The buckets of the caller, or all for one who may administer; cut into pages if asked (ListBuckets)."""
    limit = _check_max_buckets(args.max_buckets)
    after = read_token(args.continuation_token).last if args.continuation_token else ""
    found = [bucket for bucket in await call.storage.list_buckets() if _is_listed(bucket, call, args, after)]
    page = found if limit is None else found[:limit]
    document = list_all_my_buckets_result(
        page,
        caller=call.caller.owner,
        token=write_token(page[-1].name) if len(page) < len(found) else None,
        prefix=args.prefix,
        # "the response includes BucketRegion only if the request has at least one valid parameter" (ListBuckets).
        with_region=args != ListBucketsArgs(),
    )
    return Result(document=document)


def _no_object_lock(text: str) -> bool:
    """Clients say `false` as often as nothing; a lock that would not hold is refused."""
    if text.lower() != "false":
        raise S3Error("NotImplemented", Header="x-amz-bucket-object-lock-enabled")
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateBucketArgs:
    """What CreateBucket is asked."""

    bucket: str
    acl: Annotated[str | None, Header("x-amz-acl", parse=canned_acl)] = None
    object_lock: Annotated[bool, Header("x-amz-bucket-object-lock-enabled", parse=_no_object_lock)] = False
    configuration: Annotated[CreateBucketConfiguration | None, Document(limit=64 << 10)] = None


def _check_location(constraint: str | None, region: str) -> None:
    """A gateway is one region; without a constraint the bucket is made there."""
    if not constraint or _ALIASES.get(constraint, constraint) == region:
        return
    if not _REGION.fullmatch(constraint) and constraint not in _ALIASES:
        raise S3Error("InvalidLocationConstraint", LocationConstraint=constraint)
    raise S3Error(
        "IllegalLocationConstraintException",
        f"The {constraint} location constraint is incompatible for the region specific endpoint this request was sent "
        "to.",
    )


@operation("PUT", level=Level.BUCKET)
async def create_bucket(call: Call, args: CreateBucketArgs) -> Result:
    """Make a bucket (CreateBucket).

    Who makes a bucket again that is already theirs gets BucketAlreadyOwnedByYou; in us-east-1 they get success, "for
    legacy compatibility" (CreateBucket, Errors).
    """
    check_bucket_name(args.bucket, relaxed=call.rules.relaxed_bucket_names)
    if not call.rules.any_region:
        _check_location(args.configuration.location_constraint if args.configuration else None, call.rules.region)
    try:
        await call.storage.create_bucket(args.bucket, call.caller.owner, call.rules.region)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou" or call.rules.region != _LEGACY_REGION:
            raise
    return Result(headers={"location": f"/{args.bucket}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketArgs:
    """An operation on a bucket that is asked nothing more."""

    bucket: str


@operation("HEAD", level=Level.BUCKET, action="s3:ListBucket")
async def head_bucket(call: Call, _args: BucketArgs) -> Result:
    """Whether the bucket is there for the caller, and in which region (HeadBucket)."""
    return Result(headers={"x-amz-bucket-region": call.here.region, "x-amz-access-point-alias": "false"})


@operation("DELETE", level=Level.BUCKET)
async def delete_bucket(call: Call, _args: BucketArgs) -> Result:
    """Remove an empty bucket (DeleteBucket)."""
    await call.storage.delete_bucket(call.here)
    return Result(204)


@operation("GET ?location", level=Level.BUCKET)
async def get_bucket_location(call: Call, _args: BucketArgs) -> Result:
    """The region of the bucket (GetBucketLocation)."""
    return Result(document=location_constraint(call.here.region))
