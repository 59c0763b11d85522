"""Documents of buckets: their list, their creation and their place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from s3gate.core.clock import iso_date
from s3gate.core.values import Bucket, Owner
from s3gate.xml.codec import S3Xml
from s3gate.xml.writer import document, element, escape, nested, owner

__all__ = ["CreateBucketConfiguration", "list_all_my_buckets_result", "location_constraint"]


class CreateBucketConfiguration(S3Xml):
    """What CreateBucket is sent. Directory buckets and tags are not offered."""

    root: ClassVar[str] = "CreateBucketConfiguration"
    unsupported: ClassVar[frozenset[str]] = frozenset({"Location", "Bucket", "Tags"})

    location_constraint: str | None = None


def list_all_my_buckets_result(
    buckets: Iterable[Bucket], *, caller: Owner, token: str | None, prefix: str | None, with_region: bool
) -> bytes:
    """The answer of ListBuckets; `token` continues a list that was cut."""
    entries = (
        nested(
            "Bucket",
            element("Name", bucket.name),
            element("CreationDate", iso_date(bucket.created_ns)),
            element("BucketRegion", bucket.region if with_region else None),
        )
        for bucket in buckets
    )
    return document(
        "ListAllMyBucketsResult",
        owner("Owner", caller),
        nested("Buckets", *entries),
        element("ContinuationToken", token),
        element("Prefix", prefix),
    )


def location_constraint(region: str) -> bytes:
    """The answer of GetBucketLocation: empty for us-east-1, as AWS has it."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region))
