"""Properties that the command line changes beside a running gateway, and regions that clients send."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.gateway import ACCESS_KEY, Gateway
from support.raw_http import ask
from support.signed import signed

DATA = b"some content"
ROUNDS = 6  # requests that two workers share between them


def command(gateway: Gateway, *arguments: str) -> str:
    """What `s3gate bucket ...` prints, run on the gateway's directory."""
    verb, *rest = arguments
    line = [sys.executable, "-m", "s3gate", "bucket", verb, "--data-dir", str(gateway.root), *rest]
    return subprocess.run(line, env=gateway.environ, capture_output=True, check=True, text=True, timeout=60).stdout


def etags(s3: Any, bucket: str) -> set[str]:
    """The ETags of new objects, by both workers."""
    return {s3.put_object(Bucket=bucket, Key="key", Body=DATA)["ETag"].strip('"') for _ in range(ROUNDS)}


def test_a_running_gateway_takes_another_checksum_type_at_once_and_old_objects_keep_theirs(
    gateway: Gateway, s3: Any, bucket: str
):
    md5 = hashlib.md5(DATA).hexdigest()
    s3.put_object(Bucket=bucket, Key="old", Body=DATA)
    assert etags(s3, bucket) == {md5}

    command(gateway, "props", bucket, "checksum.type=xxhash")
    (changed,) = etags(s3, bucket)
    assert changed.endswith("-x1")
    assert s3.head_object(Bucket=bucket, Key="old")["ETag"] == f'"{md5}"'

    command(gateway, "props", bucket, "checksum.type=md5")
    assert etags(s3, bucket) == {md5}
    assert {each["Key"]: each["ETag"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]}["key"] == f'"{md5}"'


def test_versioning_is_one_state_for_the_command_and_for_clients(gateway: Gateway, s3: Any, bucket: str):
    command(gateway, "props", bucket, "versioning=enabled")
    for _ in range(ROUNDS):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    ids = {s3.put_object(Bucket=bucket, Key="key", Body=DATA)["VersionId"] for _ in range(ROUNDS)}
    assert len(ids) == ROUNDS
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert "versioning       suspended" in command(gateway, "show", bucket)


def test_a_bucket_of_the_command_is_there_for_clients_and_goes_again(gateway: Gateway, s3: Any, new_name: str):
    command(gateway, "create", new_name)
    for _ in range(ROUNDS):
        s3.put_object(Bucket=new_name, Key="key", Body=DATA)
    s3.delete_object(Bucket=new_name, Key="key")
    command(gateway, "rm", new_name)
    for _ in range(ROUNDS):
        with pytest.raises(ClientError, match="NoSuchBucket"):
            s3.put_object(Bucket=new_name, Key="key", Body=DATA)


def test_du_tells_what_clients_put(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="key", Body=DATA)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=1, Body=DATA * 2)
    row = command(gateway, "du", bucket).splitlines()[1].split()
    assert row == [bucket, "1", str(len(DATA)), "0", "0", "0", "1", str(2 * len(DATA))]


def test_of_many_clients_of_two_workers_as_many_as_the_quota_allows_succeed(gateway: Gateway, s3: Any, bucket: str):
    command(gateway, "props", bucket, "quota.objects=10", "quota.bytes=1MiB")

    def put(number: int) -> str:
        try:
            s3.put_object(Bucket=bucket, Key=f"key-{number}", Body=DATA)
        except ClientError as error:
            return str(error.response["Error"]["Code"]) + str(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return ""

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(put, range(30)))
    assert (answers.count(""), answers.count("QuotaExceeded403")) == (10, 20)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 10

    command(gateway, "props", bucket, "quota.objects=none", "quota.bytes=none")
    assert {put(number) for number in range(30)} == {""}


def test_a_new_quota_counts_what_was_there_and_du_counts_anew(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="old", Body=DATA)
    command(gateway, "props", bucket, f"quota.bytes={len(DATA) + 1}")
    with pytest.raises(ClientError, match="QuotaExceeded"):
        s3.put_object(Bucket=bucket, Key="new", Body=b"12")
    (gateway.root / bucket / "old").unlink()
    command(gateway, "du", "--recount", bucket)
    s3.put_object(Bucket=bucket, Key="new", Body=b"12")


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that ignores the regions that clients send."""
    root: Path = tmp_path_factory.mktemp("lenient")
    with Gateway(root, "--durability", "none", "--no-check-region", "--region", "eu-west-1") as running:
        running.boto3().create_bucket(Bucket="bucket")
        yield running


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "ais", "us-west-1"])
def test_any_region_signs_where_regions_are_not_checked(lenient: Gateway, region: str):
    assert ask(lenient, signed(lenient, "PUT", "/bucket/key", region=region, body=DATA)).status == 200
    assert ask(lenient, signed(lenient, "GET", "/bucket/key", region=region)).body == DATA
    assert ask(lenient, signed(lenient, "HEAD", "/bucket", region=region)).headers["x-amz-bucket-region"] == "eu-west-1"


def test_a_wrong_signature_is_refused_whatever_its_region_is(lenient: Gateway):
    request = signed(lenient, "GET", "/bucket/key", region="ais", key=(ACCESS_KEY, "x" * 40))
    assert ask(lenient, request).error["Code"] == "SignatureDoesNotMatch"


def test_a_bucket_for_another_region_is_made_in_the_gateways(lenient: Gateway):
    s3 = lenient.boto3()
    s3.create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    assert s3.get_bucket_location(Bucket="far")["LocationConstraint"] == "eu-west-1"
