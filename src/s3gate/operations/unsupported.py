"""The operations of S3 that the gateway does not offer: each is known by its name and answers NotImplemented.

A request for one of them is authenticated and authorized like any other, so it never runs as an operation that is left
when its sub-resource is ignored. Whoever implements one removes its line here; two claims to one route do not import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3gate.core.errors import S3Error
from s3gate.operations.call import Call
from s3gate.operations.registry import Handler, Level, Operation, declare
from s3gate.operations.result import Result

__all__ = ["UNSUPPORTED"]

# Name: method, sub-resource, and the selectors that tell it from its neighbours (Amazon S3 API reference, "Actions").
_BUCKET = {
    "CreateBucketMetadataConfiguration": "POST ?metadataConfiguration",
    "CreateBucketMetadataTableConfiguration": "POST ?metadataTable",
    "CreateSession": "GET ?session",
    "DeleteBucketAnalyticsConfiguration": "DELETE ?analytics id",
    "DeleteBucketCors": "DELETE ?cors",
    "DeleteBucketEncryption": "DELETE ?encryption",
    "DeleteBucketIntelligentTieringConfiguration": "DELETE ?intelligent-tiering id",
    "DeleteBucketInventoryConfiguration": "DELETE ?inventory id",
    "DeleteBucketLifecycle": "DELETE ?lifecycle",
    "DeleteBucketMetadataConfiguration": "DELETE ?metadataConfiguration",
    "DeleteBucketMetadataTableConfiguration": "DELETE ?metadataTable",
    "DeleteBucketMetricsConfiguration": "DELETE ?metrics id",
    "DeleteBucketOwnershipControls": "DELETE ?ownershipControls",
    "DeleteBucketPolicy": "DELETE ?policy",
    "DeleteBucketReplication": "DELETE ?replication",
    "DeleteBucketWebsite": "DELETE ?website",
    "DeletePublicAccessBlock": "DELETE ?publicAccessBlock",
    "GetBucketAbac": "GET ?abac",
    "GetBucketAccelerateConfiguration": "GET ?accelerate",
    "GetBucketAnalyticsConfiguration": "GET ?analytics id",
    "GetBucketCors": "GET ?cors",
    "GetBucketEncryption": "GET ?encryption",
    "GetBucketIntelligentTieringConfiguration": "GET ?intelligent-tiering id",
    "GetBucketInventoryConfiguration": "GET ?inventory id",
    "GetBucketLifecycleConfiguration": "GET ?lifecycle",
    "GetBucketLogging": "GET ?logging",
    "GetBucketMetadataConfiguration": "GET ?metadataConfiguration",
    "GetBucketMetadataTableConfiguration": "GET ?metadataTable",
    "GetBucketMetricsConfiguration": "GET ?metrics id",
    "GetBucketNotificationConfiguration": "GET ?notification",
    "GetBucketOwnershipControls": "GET ?ownershipControls",
    "GetBucketPolicy": "GET ?policy",
    "GetBucketPolicyStatus": "GET ?policyStatus",
    "GetBucketReplication": "GET ?replication",
    "GetBucketRequestPayment": "GET ?requestPayment",
    "GetBucketWebsite": "GET ?website",
    "GetObjectLockConfiguration": "GET ?object-lock",
    "GetPublicAccessBlock": "GET ?publicAccessBlock",
    "ListBucketAnalyticsConfigurations": "GET ?analytics",
    "ListBucketIntelligentTieringConfigurations": "GET ?intelligent-tiering",
    "ListBucketInventoryConfigurations": "GET ?inventory",
    "ListBucketMetricsConfigurations": "GET ?metrics",
    "PutBucketAbac": "PUT ?abac",
    "PutBucketAccelerateConfiguration": "PUT ?accelerate",
    "PutBucketAnalyticsConfiguration": "PUT ?analytics id",
    "PutBucketCors": "PUT ?cors",
    "PutBucketEncryption": "PUT ?encryption",
    "PutBucketIntelligentTieringConfiguration": "PUT ?intelligent-tiering id",
    "PutBucketInventoryConfiguration": "PUT ?inventory id",
    "PutBucketLifecycleConfiguration": "PUT ?lifecycle",
    "PutBucketLogging": "PUT ?logging",
    "PutBucketMetricsConfiguration": "PUT ?metrics id",
    "PutBucketNotificationConfiguration": "PUT ?notification",
    "PutBucketOwnershipControls": "PUT ?ownershipControls",
    "PutBucketPolicy": "PUT ?policy",
    "PutBucketReplication": "PUT ?replication",
    "PutBucketRequestPayment": "PUT ?requestPayment",
    "PutBucketWebsite": "PUT ?website",
    "PutObjectLockConfiguration": "PUT ?object-lock",
    "PutPublicAccessBlock": "PUT ?publicAccessBlock",
    "UpdateBucketMetadataAnnotationTableConfiguration": "PUT ?metadataAnnotationTable",
    "UpdateBucketMetadataInventoryTableConfiguration": "PUT ?metadataInventoryTable",
    "UpdateBucketMetadataJournalTableConfiguration": "PUT ?metadataJournalTable",
    # Of S3 Object Lambda; its path looks like that of a bucket.
    "WriteGetObjectResponse": "POST x-amz-request-route x-amz-request-token",
    # MinIO's, which `mc watch` asks for: without this line it would get a listing.
    "ListenBucketNotification": "GET ?events",
}
_OBJECT = {
    "DeleteObjectAnnotation": "DELETE ?annotation annotationName",
    "GetObjectAnnotation": "GET ?annotation annotationName",
    "GetObjectLegalHold": "GET ?legal-hold",
    "GetObjectRetention": "GET ?retention",
    "GetObjectTorrent": "GET ?torrent",
    "ListObjectAnnotations": "GET ?annotation",
    "PutObjectAnnotation": "PUT ?annotation annotationName",
    "PutObjectLegalHold": "PUT ?legal-hold",
    "PutObjectRetention": "PUT ?retention",
    "RenameObject": "PUT ?renameObject",
    "RestoreObject": "POST ?restore",
    "SelectObjectContent": "POST ?select select-type",
    "UpdateObjectEncryption": "PUT ?encryption",
    # MinIO's; its parameter has a value, which a read would ignore.
    "GetObjectLambda": "GET ?lambdaArn",
}
_SERVICE = {
    "ListenNotification": "GET ?events",
}


@dataclass(frozen=True, slots=True)
class NoArgs:
    """Nothing of the request is read."""


def _refusal(name: str) -> Handler:
    async def refuse(_call: Call, _args: NoArgs) -> Result:
        raise S3Error("NotImplemented", f"The operation {name} is not implemented.", Operation=name)

    return refuse


def _declared(level: Level, table: Mapping[str, str]) -> list[Operation]:
    found = []
    for name, text in table.items():
        method, *words = text.split()
        route = " ".join([method, *(word for word in words if word.startswith("?"))])
        needs = [word for word in words if not word.startswith("?")]
        handler = _refusal(name)
        found.append(declare(name, route, level=level, handler=handler, args=NoArgs, needs=needs, implemented=False))
    return found


UNSUPPORTED: tuple[Operation, ...] = (
    *_declared(Level.SERVICE, _SERVICE),
    *_declared(Level.BUCKET, _BUCKET),
    *_declared(Level.OBJECT, _OBJECT),
)
