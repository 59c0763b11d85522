"""The ways to name a bucket: in the path, in the host, and below a path prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway
from support.raw_http import Request, ask, refusal
from support.signed import signed, signed_v2

pytestmark = pytest.mark.xdist_group("addressing")


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = tmp_path_factory.mktemp("prefixed")
    arguments = ("--durability", "none", "--domain", "s3.example.com", "--domain", "localhost")
    with Gateway(root, *arguments, path_prefix="/s3") as running:
        running.boto3().create_bucket(Bucket="shelf")
        yield running


@pytest.mark.parametrize("sign", [signed, signed_v2], ids=["v4", "v2"])
def test_a_bucket_in_the_host_is_served_on_any_port(gateway: Gateway, bucket: str, directory: Path, sign: Any):
    for host in (f"{bucket}.localhost:{gateway.port}", f"{bucket.upper()}.LOCALHOST", f"{bucket}.localhost:1"):
        if sign is signed_v2:
            # Version 2 signs the bucket of the host before the path.
            put = sign(gateway, "PUT", "/a%20b", headers={"Host": host}, body=host.encode(), signs=f"/{bucket}/a%20b")
        else:
            put = sign(gateway, "PUT", "/a%20b", headers={"Host": host}, body=host.encode())
        assert ask(gateway, put).status == 200
        assert (directory / "a b").read_bytes() == host.encode()


def test_the_root_of_a_bucket_in_the_host_is_its_listing(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {"Host": f"{bucket}.localhost"}

    assert b"<Key>k</Key>" in ask(gateway, signed(gateway, "GET", "/?list-type=2", headers=headers)).body
    assert ask(gateway, signed(gateway, "HEAD", "/", headers=headers)).status == 200


def test_a_bucket_can_be_made_and_removed_in_the_host(gateway: Gateway, new_name: str):
    headers = {"Host": f"{new_name}.localhost:{gateway.port}"}

    assert ask(gateway, signed(gateway, "PUT", "/", headers=headers)).status == 200
    assert (gateway.root / new_name).is_dir()
    assert ask(gateway, signed(gateway, "DELETE", "/", headers=headers)).status == 204


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9900", "example.com", "127.0.0.1", "bucket.example.com", "[::1]:9"]
)
def test_every_other_host_has_the_bucket_in_the_path(gateway: Gateway, s3: Any, bucket: str, host: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    assert ask(gateway, signed(gateway, "GET", f"/{bucket}/k", headers={"Host": host})).body == b"x"


def test_an_absolute_target_is_served(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    path = f"/{bucket}/k"

    answer = ask(gateway, signed(gateway, "GET", f"http://{gateway.address}{path}", signs=path))

    assert (answer.status, answer.body) == (200, b"x")


def test_all_of_s3_works_below_a_prefix(prefixed: Gateway):
    s3 = prefixed.boto3()
    s3.put_object(Bucket="shelf", Key="a b/c+d", Body=b"content")

    assert s3.get_object(Bucket="shelf", Key="a b/c+d")["Body"].read() == b"content"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="shelf")["Contents"]] == ["a b/c+d"]
    assert (prefixed.root / "shelf/a b/c+d").read_bytes() == b"content"
    s3.copy_object(Bucket="shelf", Key="copy", CopySource={"Bucket": "shelf", "Key": "a b/c+d"})
    assert [item["Name"] for item in s3.list_buckets()["Buckets"]] == ["shelf"]
    s3.delete_objects(Bucket="shelf", Delete={"Objects": [{"Key": "a b/c+d"}, {"Key": "copy"}]})
    assert s3.list_objects_v2(Bucket="shelf")["KeyCount"] == 0


def test_outside_the_prefix_there_is_no_bucket(prefixed: Gateway):
    for target in ("/shelf/k", "/s3shelf/k", "/S3/shelf/k", "/"):
        assert refusal(ask(prefixed, signed(prefixed, "GET", target))) == (404, "NoSuchBucket"), target


def test_a_client_may_take_the_prefix_for_a_part_of_the_host(prefixed: Gateway):
    # s3cmd with --host=HOST/s3 signs the host with the prefix behind it, and the path without.
    put = signed(
        prefixed,
        "PUT",
        "/s3/shelf/from-s3cmd",
        body=b"x",
        signs="/shelf/from-s3cmd",
        signed_host=f"{prefixed.address}/s3",
    )

    assert ask(prefixed, put).status == 200
    assert (prefixed.root / "shelf/from-s3cmd").read_bytes() == b"x"


@pytest.mark.parametrize("signs", ["/s3/shelf/by-v2", "/shelf/by-v2"])
def test_version_2_signs_the_path_with_the_prefix_or_without(prefixed: Gateway, signs: str):
    put = signed_v2(prefixed, "PUT", "/s3/shelf/by-v2", body=signs.encode(), signs=signs)

    assert ask(prefixed, put).status == 200
    assert (prefixed.root / "shelf/by-v2").read_bytes() == signs.encode()


def test_a_signature_of_neither_form_is_refused_below_a_prefix(prefixed: Gateway):
    for arguments in (
        {"signs": "/shelf/k"},
        {"signed_host": f"{prefixed.address}/s3"},
        {"signs": "/other/k", "signed_host": f"{prefixed.address}/s3"},
    ):
        request = signed(prefixed, "PUT", "/s3/shelf/k", body=b"x", **arguments)
        assert refusal(ask(prefixed, request)) == (403, "SignatureDoesNotMatch")
    assert not (prefixed.root / "shelf/k").exists()


def test_a_bucket_in_the_host_stands_below_the_prefix_too(prefixed: Gateway):
    put = signed(prefixed, "PUT", "/s3/virtual", headers={"Host": "shelf.s3.example.com"}, body=b"x")

    assert ask(prefixed, put).status == 200
    assert (prefixed.root / "shelf/virtual").read_bytes() == b"x"


def test_probes_answer_without_a_prefix_and_without_a_signature(prefixed: Gateway):
    for path in ("/healthz", "/readyz", "/minio/health/live", "/minio/health/ready"):
        assert ask(prefixed, Request("GET", path, {"Host": prefixed.address})).status == 200, path
