"""The program a boto3 user brings: ENDPOINT ACCESS_KEY SECRET_KEY BUCKET THRESHOLD, in a directory with `file`.

It names no region, as programs for servers without regions do: boto3 then signs with an empty one. (Listing the buckets
is left out, boto3 itself refuses that without a region.)
"""

import json
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config

endpoint, access_key, secret_key, bucket, threshold = sys.argv[1:]
s3 = boto3.resource(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id=access_key,
    aws_secret_access_key=secret_key,
    config=Config(signature_version="s3v4"),
    region_name="",
)

s3.Bucket(bucket).create()
s3.Bucket(bucket).upload_file("file", "images/your-file", Config=TransferConfig(multipart_threshold=int(threshold)))
keys = [each.key for each in s3.Bucket(bucket).objects.filter(Prefix="images/")]
s3.Bucket(bucket).download_file("images/your-file", "newfile")
print(json.dumps(keys))
