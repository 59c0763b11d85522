"""What S3 does: one plain async function for each operation, and the table that finds it."""

from s3gate.operations import (
    acl,
    attributes,
    buckets,
    completion,
    copying,
    deletion,
    listing,
    multipart,
    reading,
    tagging,
    unsupported,
    upload_listing,
    versioning,
    writing,
)
from s3gate.operations.registry import Routes

__all__ = ["ROUTES"]

ROUTES = Routes.of(
    acl,
    attributes,
    buckets,
    completion,
    copying,
    deletion,
    listing,
    multipart,
    reading,
    tagging,
    unsupported,
    upload_listing,
    versioning,
    writing,
)
