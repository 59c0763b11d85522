"""minio, the MinIO library for Python."""

from __future__ import annotations

import io
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from support.files import MIB, digests, payload
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway


@pytest.fixture
def client(gateway: Gateway) -> Minio:
    return Minio(gateway.address, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False)


def test_a_large_file_goes_up_in_parts_and_comes_back(client: Minio, gateway: Gateway, bucket: str, tmp_path: Path):
    content = payload(20 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    client.make_bucket(bucket)
    client.fput_object(bucket, "dir/large.bin", str(tmp_path / "large.bin"), part_size=5 * MIB)
    client.fget_object(bucket, "dir/large.bin", str(tmp_path / "back.bin"))

    assert client.bucket_exists(bucket)
    assert (gateway.root / bucket / "dir/large.bin").read_bytes() == content
    assert (tmp_path / "back.bin").read_bytes() == content


def test_streams_of_unknown_length_metadata_and_ranges(client: Minio, gateway: Gateway, made_bucket: str):
    content = payload(11 * MIB)

    client.put_object(
        made_bucket,
        "stream",
        io.BytesIO(content),
        -1,
        part_size=5 * MIB,
        content_type="text/plain",
        metadata={"Colour": "blue"},
    )
    stat = client.stat_object(made_bucket, "stream")
    answer = client.get_object(made_bucket, "stream", offset=5_000_000, length=1000)

    assert answer.read() == content[5_000_000:5_001_000]
    answer.close()
    assert (gateway.root / made_bucket / "stream").read_bytes() == content
    assert (stat.size, stat.content_type, stat.metadata["x-amz-meta-colour"]) == (len(content), "text/plain", "blue")


def test_listings_copies_and_composition(client: Minio, gateway: Gateway, made_bucket: str):
    first, second = payload(5 * MIB, seed=1), payload(1000, seed=2)
    client.put_object(made_bucket, "in/first", io.BytesIO(first), len(first))
    client.put_object(made_bucket, "in/second +1", io.BytesIO(second), len(second))

    client.copy_object(
        made_bucket,
        "copy",
        CopySource(made_bucket, "in/second +1"),
        metadata={"Colour": "red"},
        metadata_directive=REPLACE,
    )
    client.compose_object(
        made_bucket, "joined", [ComposeSource(made_bucket, "in/first"), ComposeSource(made_bucket, "in/second +1")]
    )

    assert (gateway.root / made_bucket / "joined").read_bytes() == first + second
    assert client.stat_object(made_bucket, "copy").metadata["x-amz-meta-colour"] == "red"
    assert sorted(each.object_name for each in client.list_objects(made_bucket)) == ["copy", "in/", "joined"]
    assert [each.object_name for each in client.list_objects(made_bucket, prefix="in/", recursive=True)] == [
        "in/first",
        "in/second +1",
    ]


def test_presigned_urls_put_and_get(client: Minio, gateway: Gateway, made_bucket: str):
    content = payload(50_000)
    put = client.presigned_put_object(made_bucket, "dir/by url", expires=timedelta(minutes=5))
    get = client.presigned_get_object(made_bucket, "dir/by url", expires=timedelta(minutes=5))

    with urllib.request.urlopen(urllib.request.Request(put, data=content, method="PUT")) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == content
    assert (gateway.root / made_bucket / "dir/by url").read_bytes() == content


def test_removing_many_objects_and_the_bucket(client: Minio, gateway: Gateway, made_bucket: str):
    for number in range(30):
        client.put_object(made_bucket, f"many/{number}", io.BytesIO(b"x"), 1)

    with pytest.raises(S3Error) as refusal:
        client.remove_bucket(made_bucket)
    errors = list(client.remove_objects(made_bucket, [DeleteObject(f"many/{number}") for number in range(30)]))

    assert refusal.value.code == "BucketNotEmpty"
    assert errors == []
    assert digests(gateway.root / made_bucket) == {}
    client.remove_bucket(made_bucket)
    assert not client.bucket_exists(made_bucket)


def test_an_object_that_is_missing_is_told_by_its_code(client: Minio, made_bucket: str):
    with pytest.raises(S3Error) as refusal:
        client.get_object(made_bucket, "nowhere")

    assert refusal.value.code == "NoSuchKey"
