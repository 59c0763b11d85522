"""What AWS's access logs call the operations: `REST.GET.OBJECT`."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["aws_operation"]

# "The operation listed here is declared as ... REST.HTTP_method.resource_type" (Amazon S3 server access log format,
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html). The resource types are those of that page and
# of its examples; of the rest, the name of the operation without its verb.
_RESOURCES = {
    "AbortMultipartUpload": "UPLOAD",
    "CompleteMultipartUpload": "UPLOAD",
    "CopyObject": "OBJECT",
    "CreateBucket": "BUCKET",
    "CreateMultipartUpload": "UPLOADS",
    "DeleteBucket": "BUCKET",
    "DeleteObject": "OBJECT",
    "DeleteObjects": "MULTI_OBJECT_DELETE",
    "GetBucketLogging": "LOGGING_STATUS",
    "GetBucketPolicy": "BUCKETPOLICY",
    "DeleteBucketPolicy": "BUCKETPOLICY",
    "PutBucketPolicy": "BUCKETPOLICY",
    "GetObject": "OBJECT",
    "GetObjectAcl": "ACL",
    "HeadBucket": "BUCKET",
    "HeadObject": "OBJECT",
    "ListBuckets": "SERVICE",
    "ListMultipartUploads": "UPLOADS",
    "ListObjects": "BUCKET",
    "ListObjectsV2": "BUCKET",
    "ListObjectVersions": "BUCKETVERSIONS",
    "ListParts": "UPLOAD",
    "PutBucketLogging": "LOGGING_STATUS",
    "PutObject": "OBJECT",
    "PutObjectAcl": "ACL",
    "UploadPart": "PART",
    "UploadPartCopy": "PART",
}
_VERB = re.compile("^(Abort|Create|Delete|Get|Head|List|Listen|Put|Rename|Restore|Select|Update|Write)(Bucket(?=.))?")
_WORD = re.compile("(?<=[a-z])(?=[A-Z])")
_COPIES = ("CopyObject", "UploadPartCopy")


@lru_cache(maxsize=1024)
def aws_operation(operation: str, method: str, has_bucket: bool, has_key: bool) -> str:
    """The name for an operation of S3; where none was claimed, by what the path names."""
    if method == "OPTIONS":
        return "REST.OPTIONS.PREFLIGHT"
    if operation == "none":
        resource = "OBJECT" if has_key else "BUCKET" if has_bucket else "SERVICE"
    else:
        resource = _RESOURCES.get(operation) or _WORD.sub("_", _VERB.sub("", operation)).upper()
    return f"REST.{'COPY' if operation in _COPIES else method}.{resource}"
