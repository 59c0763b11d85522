"""ListObjects and ListObjectsV2, and what ListObjectVersions shares with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from s3gate.core.errors import S3Error
from s3gate.core.values import Owner
from s3gate.operations.binding import Query
from s3gate.operations.call import Call
from s3gate.operations.continuation import read_token, write_token
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Result
from s3gate.storage.backend import ListPage, ListQuery
from s3gate.xml.listing import ListingPage, ListingQuery, list_bucket_result_v1, list_bucket_result_v2

__all__ = [
    "ListObjectsArgs",
    "ListObjectsV2Args",
    "ListingArgs",
    "encoding_type",
    "list_objects",
    "list_objects_v2",
    "prefix_around",
]

MAX_KEYS = 1000


def encoding_type(text: str) -> bool:
    """`encoding-type`, which has one value only; true for it."""
    if text != "url":
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=text,
        )
    return True


def _list_type(text: str) -> int:
    if text != "2":
        raise S3Error(
            "InvalidArgument",
            "Invalid List Type specified in Request",
            ArgumentName="list-type",
            ArgumentValue=text,
        )
    return 2


def prefix_around(marker: str, prefix: str, delimiter: str) -> str:
    """The common prefix that `marker` lies in or is, or "" where it lies in none."""
    if not delimiter or not marker.startswith(prefix):
        return ""
    end = marker.find(delimiter, len(prefix))
    return marker[: end + len(delimiter)] if end >= 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingArgs:
    """What all listings are asked: arguments to inherit."""

    bucket: str
    prefix: Annotated[str, Query("prefix")] = ""
    delimiter: Annotated[str, Query("delimiter")] = ""
    max_keys: Annotated[int, Query("max-keys")] = MAX_KEYS
    url_encoded: Annotated[bool, Query("encoding-type", parse=encoding_type)] = False

    @property
    def limit(self) -> int:
        """Entries to give: never more than 1000, whatever is asked for."""
        return min(self.max_keys, MAX_KEYS)

    @property
    def query(self) -> ListingQuery:
        """What the answer tells of the request."""
        return ListingQuery(self.bucket, self.prefix, self.delimiter, self.limit, self.url_encoded)


async def _page(call: Call, args: ListingArgs, *, after: str, past: str) -> ListPage:
    if args.limit == 0:
        return ListPage()
    query = ListQuery(prefix=args.prefix, delimiter=args.delimiter, after=after, past=past, limit=args.limit)
    return await call.storage.list_objects(call.here, query)


def _shown(page: ListPage, owner: Owner | None) -> ListingPage:
    return ListingPage([(item.key, item.record) for item in page.objects], page.prefixes, page.truncated, owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListObjectsArgs(ListingArgs):
    """What ListObjects is asked."""

    marker: Annotated[str, Query("marker")] = ""


@operation("GET", level=Level.BUCKET, action="s3:ListBucket")
async def list_objects(call: Call, args: ListObjectsArgs) -> Result:
    """A page of the objects of a bucket (ListObjects, the older form).

    A marker that lies in a common prefix has that prefix behind it. NextMarker is told only with a delimiter: without
    one the last key serves ("NextMarker", ListObjects).
    """
    past = prefix_around(args.marker, args.prefix, args.delimiter)
    page = await _page(call, args, after=args.marker, past=past)
    next_marker = page.last if page.truncated and args.delimiter else ""
    shown = _shown(page, call.here.owner)
    return Result(document=list_bucket_result_v1(args.query, shown, marker=args.marker, next_marker=next_marker))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListObjectsV2Args(ListingArgs):
    """What ListObjectsV2 is asked. An empty continuation token is as good as none, but told again."""

    list_type: Annotated[int, Query("list-type", parse=_list_type)]
    continuation_token: Annotated[str | None, Query("continuation-token")] = None
    start_after: Annotated[str, Query("start-after")] = ""
    fetch_owner: Annotated[bool, Query("fetch-owner")] = False


@operation("GET", level=Level.BUCKET, needs=("list-type",), action="s3:ListBucket")
async def list_objects_v2(call: Call, args: ListObjectsV2Args) -> Result:
    """A page of the objects of a bucket (ListObjectsV2).

    `start-after` counts on the first page only, and does not hide the common prefix that it lies in.
    """
    after, past = args.start_after, ""
    if args.continuation_token:
        place = read_token(args.continuation_token)
        after, past = place.last, place.last if place.is_prefix else ""
    page = await _page(call, args, after=after, past=past)
    document = list_bucket_result_v2(
        args.query,
        _shown(page, call.here.owner if args.fetch_owner else None),
        token=args.continuation_token,
        next_token=write_token(page.last, is_prefix=page.last_is_prefix) if page.truncated else None,
        start_after=args.start_after,
    )
    return Result(document=document)
