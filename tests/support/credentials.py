"""Whether a gateway takes a pair of keys."""

from __future__ import annotations

import boto3
from botocore.exceptions import ClientError

__all__ = ["listing_with"]


def listing_with(endpoint: str, access_key: str, secret_key: str) -> str:
    """List the buckets with these keys; gives "ok" or the code of the error."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    try:
        client.list_buckets()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    finally:
        client.close()
    return "ok"
