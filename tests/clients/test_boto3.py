"""boto3: the programs users bring, and its CRT transfers."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import Session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

from support.files import MIB, payload
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.programs import VENVS, Program, find_program


@pytest.mark.parametrize("threshold", [8 * MIB, 64 * MIB], ids=["in parts", "in one piece"])
def test_the_resource_program_stores_lists_and_fetches(gateway: Gateway, bucket: str, tmp_path: Path, threshold: int):
    content = payload(20 * MIB)
    (tmp_path / "file").write_bytes(content)
    python = find_program("python", VENVS / "programs/bin")
    program = Program([python, Path(__file__).with_name("programs") / "boto3_resource.py"], gateway.environ, tmp_path)

    keys = json.loads(program(gateway.endpoint, ACCESS_KEY, SECRET_KEY, bucket, str(threshold)))

    assert keys == ["images/your-file"]
    assert (tmp_path / "newfile").read_bytes() == content
    assert (gateway.root / bucket / "images/your-file").read_bytes() == content


def test_the_client_program_puts_gets_and_lists(gateway: Gateway, bucket: str, tmp_path: Path):
    content = payload(3 * MIB)
    (tmp_path / "local-file.txt").write_bytes(content)
    s3 = boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        config=Config(retries={"max_attempts": 3}),
    )

    s3.create_bucket(Bucket=bucket)
    with (tmp_path / "local-file.txt").open("rb") as body:
        s3.put_object(Bucket=bucket, Key="remote-file.txt", Body=body)

    assert s3.get_object(Bucket=bucket, Key="remote-file.txt")["Body"].read() == content
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(each["Key"], each["Size"]) for each in listed] == [("remote-file.txt", len(content))]
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert (gateway.root / bucket / "remote-file.txt").read_bytes() == content


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-999", slice(0, 1000)),
        ("bytes=-1000", slice(-1000, None)),
        ("bytes=2000000-", slice(2_000_000, None)),
        ("bytes=1048575-1048576", slice(1_048_575, 1_048_577)),
    ],
)
def test_a_range_gives_just_its_bytes(gateway: Gateway, made_bucket: str, header: str, part: slice):
    content = payload(3 * MIB)
    s3 = gateway.boto3()
    s3.put_object(Bucket=made_bucket, Key="large-file.txt", Body=content)

    answer = s3.get_object(Bucket=made_bucket, Key="large-file.txt", Range=header)

    assert answer["Body"].read() == content[part]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_uploads_and_parts_are_listed_while_they_wait(gateway: Gateway, made_bucket: str):
    s3 = gateway.boto3()
    first, second = payload(5 * MIB, seed=1), payload(1000, seed=2)
    where = {"Bucket": made_bucket, "Key": "test/image.dmg"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in ((1, first), (2, second))
    ]

    uploads = s3.list_multipart_uploads(Bucket=made_bucket, Prefix="test/i")["Uploads"]
    listed = s3.list_parts(**where, UploadId=upload)["Parts"]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    assert [(each["Key"], each["UploadId"]) for each in uploads] == [("test/image.dmg", upload)]
    assert [(each["PartNumber"], each["ETag"], each["Size"]) for each in listed] == [
        (1, parts[0]["ETag"], 5 * MIB),
        (2, parts[1]["ETag"], 1000),
    ]
    assert (gateway.root / made_bucket / "test/image.dmg").read_bytes() == first + second
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=made_bucket)


def test_an_upload_in_parts_outlives_a_restart(tmp_path: Path):
    first, second = payload(5 * MIB, seed=1), payload(1000, seed=2)
    where = {"Bucket": "bucket", "Key": "dir/image.dmg"}
    with Gateway(tmp_path / "served") as gateway:
        s3 = gateway.boto3()
        s3.create_bucket(Bucket="bucket")
        where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
        tags = [s3.upload_part(**where, PartNumber=1, Body=first)["ETag"]]

    with Gateway(tmp_path / "served") as gateway:
        s3 = gateway.boto3()
        assert [each["PartNumber"] for each in s3.list_parts(**where)["Parts"]] == [1]
        tags.append(s3.upload_part(**where, PartNumber=2, Body=second)["ETag"])
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})

    assert (tmp_path / "served/bucket/dir/image.dmg").read_bytes() == first + second


def test_a_listing_of_many_pages_is_complete_and_in_order(gateway: Gateway, made_bucket: str):
    s3 = gateway.boto3()
    keys = sorted(f"{number % 7}/{number:04d}" for number in range(230))
    for key in keys:
        s3.put_object(Bucket=made_bucket, Key=key, Body=b"x")

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=made_bucket, PaginationConfig={"PageSize": 50})
    folders = s3.list_objects_v2(Bucket=made_bucket, Delimiter="/")["CommonPrefixes"]

    assert [each["Key"] for page in pages for each in page["Contents"]] == keys
    assert [each["Prefix"] for each in folders] == [f"{number}/" for number in range(7)]


@pytest.fixture
def localhost_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under localhost are the loopback address (RFC 6761), also where the system's resolver does not know it."""
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        under_localhost = isinstance(host, str) and host.endswith(".localhost")
        return system("127.0.0.1" if under_localhost else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.usefixtures("localhost_names")
@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("signature", ["s3v4", "s3"], ids=["v4", "v2"])
def test_both_signatures_work_in_both_addressing_styles(gateway: Gateway, made_bucket: str, style: str, signature: str):
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://localhost:{gateway.port}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        config=Config(s3={"addressing_style": style}, signature_version=signature),
    )

    s3.put_object(Bucket=made_bucket, Key="a folder/ключ+1", Body=b"hello", Metadata={"colour": "blue"})
    answer = s3.get_object(Bucket=made_bucket, Key="a folder/ключ+1")

    assert answer["Body"].read() == b"hello"
    assert answer["Metadata"] == {"colour": "blue"}
    assert (gateway.root / made_bucket / "a folder/ключ+1").read_bytes() == b"hello"


def test_a_wrong_secret_is_refused(gateway: Gateway, made_bucket: str):
    s3 = boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY[:-1] + "x",
        region_name=REGION,
    )

    with pytest.raises(ClientError) as refusal:
        s3.put_object(Bucket=made_bucket, Key="intruder", Body=b"x")

    assert refusal.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert not (gateway.root / made_bucket / "intruder").exists()


def test_the_crt_transfers_in_parallel_with_trailing_checksums(gateway: Gateway, made_bucket: str, tmp_path: Path):
    content = payload(24 * MIB)
    (tmp_path / "large.bin").write_bytes(content)
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    client = create_s3_crt_client(
        REGION,
        crt_credentials_provider=BotocoreCRTCredentialsWrapper(credentials).to_crt_credentials_provider(),
        part_size=8 * MIB,
        use_ssl=False,
    )
    serializer = BotocoreCRTRequestSerializer(
        Session(),
        {"region_name": REGION, "endpoint_url": gateway.endpoint, "config": Config(s3={"addressing_style": "path"})},
    )

    with CRTTransferManager(client, serializer) as transfers:
        transfers.upload(str(tmp_path / "large.bin"), made_bucket, "large.bin").result()
        transfers.download(made_bucket, "large.bin", str(tmp_path / "back.bin")).result()

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == content
    assert (tmp_path / "back.bin").read_bytes() == content
