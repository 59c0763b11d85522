"""ETags that are no MD5: what clients see of `checksum_type`, and objects of both kinds side by side."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash
from botocore.exceptions import ClientError

from support.files import MIB, payload
from support.gateway import Gateway

OLD = payload(1000, seed=1)
PARTS = [payload(5 * MIB, seed=2), payload(1000, seed=3)]
NEW = b"".join(PARTS)


def xxh3(data: bytes) -> bytes:
    return xxhash.xxh3_128_digest(data)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an object whose ETag is an MD5."""
    root = tmp_path_factory.mktemp("served")
    with Gateway(root, "--durability", "none", "--create-bucket", "bucket", workers=1) as gateway:
        gateway.boto3().put_object(Bucket="bucket", Key="old", Body=OLD)
    return root


@pytest.fixture(scope="module", params=["xxhash", "none"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def s3(root: Path, kind: str) -> Iterator[Any]:
    with Gateway(root, "--durability", "none", "--checksum-type", kind, workers=1) as gateway:
        yield gateway.boto3()


def etag_of(s3: Any, key: str) -> str:
    etag = str(s3.head_object(Bucket="bucket", Key=key)["ETag"])
    listed = {each["Key"]: each["ETag"] for each in s3.list_objects_v2(Bucket="bucket")["Contents"]}
    assert listed[key] == etag
    return etag.strip('"')


def test_an_object_has_an_etag_that_no_client_takes_for_an_md5(s3: Any, kind: str):
    answer = s3.put_object(Bucket="bucket", Key="new", Body=NEW)
    etag = etag_of(s3, "new")
    assert answer["ETag"] == f'"{etag}"'
    assert etag == f"{xxh3(NEW).hex()}-x1" if kind == "xxhash" else etag.endswith("-n1")
    assert s3.get_object(Bucket="bucket", Key="new", IfMatch=etag)["Body"].read() == NEW


def test_each_write_without_a_digest_has_an_etag_of_its_own(s3: Any, kind: str):
    first, second = [s3.put_object(Bucket="bucket", Key="twice", Body=b"same")["ETag"] for _ in range(2)]
    assert (first == second) is (kind == "xxhash")


def test_an_object_in_parts_has_one_of_its_parts(s3: Any, kind: str):
    upload = s3.create_multipart_upload(Bucket="bucket", Key="joined")["UploadId"]
    where = {"Bucket": "bucket", "Key": "joined", "UploadId": upload}
    sent = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(PARTS, 1)
    ]
    assert [
        {"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in s3.list_parts(**where)["Parts"]
    ] == sent
    again = [s3.complete_multipart_upload(**where, MultipartUpload={"Parts": sent})["ETag"] for _ in range(2)]
    etag = etag_of(s3, "joined")
    assert again == [f'"{etag}"'] * 2
    joined = b"".join(xxh3(part) for part in PARTS)
    assert etag == f"{xxh3(joined).hex()}-x2" if kind == "xxhash" else etag.endswith("-n2")
    assert s3.get_object(Bucket="bucket", Key="joined")["Body"].read() == NEW


def test_an_object_of_before_keeps_its_etag_and_so_does_its_copy(s3: Any):
    md5 = hashlib.md5(OLD).hexdigest()
    assert etag_of(s3, "old") == md5
    s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "old"})
    assert etag_of(s3, "copy") == md5


def test_content_md5_is_verified_all_the_same(s3: Any):
    right = base64.b64encode(hashlib.md5(NEW).digest()).decode()
    s3.put_object(Bucket="bucket", Key="declared", Body=NEW, ContentMD5=right)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="bucket", Key="declared", Body=NEW + b"x", ContentMD5=right)
    assert refused.value.response["Error"]["Code"] == "BadDigest"


def test_fsck_finds_contents_that_are_not_those_of_the_etag(tmp_path: Path):
    with Gateway(
        tmp_path, "--durability", "none", "--checksum-type", "xxhash", "--create-bucket", "bucket", workers=1
    ) as gateway:
        gateway.boto3().put_object(Bucket="bucket", Key="key", Body=NEW)
    path = tmp_path / "bucket" / "key"
    times = path.stat()
    content = bytearray(NEW)
    content[MIB] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    command = [sys.executable, "-m", "s3gate", "fsck", str(tmp_path), "--verify-data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the XXH3 of the contents is not the ETag" in done.stdout
