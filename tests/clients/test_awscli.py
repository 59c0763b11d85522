"""AWS CLI v1."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.files import MIB, change_tree, digests, payload
from support.gateway import Gateway
from support.programs import VENVS, Program, find_program


@pytest.fixture
def aws(gateway: Gateway, tmp_path: Path) -> Program:
    return Program([find_program("aws", VENVS / "programs/bin")], gateway.environ, cwd=tmp_path)


def test_a_large_file_goes_up_in_parts_and_comes_back(aws: Program, gateway: Gateway, bucket: str, tmp_path: Path):
    content = payload(20 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    assert f"make_bucket: {bucket}".encode() in aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", "large.bin", f"s3://{bucket}/deep/large.bin")
    listing = aws("s3", "ls", f"s3://{bucket}/deep/").decode()
    aws("s3", "cp", f"s3://{bucket}/deep/large.bin", "back.bin")

    assert (gateway.root / bucket / "deep/large.bin").read_bytes() == content
    assert listing.split()[2:] == [str(20 * MIB), "large.bin"]
    assert (tmp_path / "back.bin").read_bytes() == content
    assert gateway.boto3().head_object(Bucket=bucket, Key="deep/large.bin")["ETag"].endswith('-3"')


def test_buckets_are_listed(aws: Program, made_bucket: str):
    assert made_bucket in aws("s3", "ls").decode().split()


def test_sync_carries_a_tree_both_ways(aws: Program, gateway: Gateway, made_bucket: str, tree: Path, tmp_path: Path):
    aws("s3", "sync", tree, f"s3://{made_bucket}/copy/")
    assert digests(gateway.root / made_bucket / "copy") == digests(tree)

    change_tree(tree)
    report = aws("s3", "sync", "--no-progress", "--delete", tree, f"s3://{made_bucket}/copy/").decode()
    assert sorted(line.split(":")[0] for line in report.splitlines()) == ["delete", "upload"]
    assert digests(gateway.root / made_bucket / "copy") == digests(tree)

    aws("s3", "sync", f"s3://{made_bucket}/copy/", tmp_path / "back")
    assert digests(tmp_path / "back") == digests(tree)


def test_empty_files_go_up_between_others_on_the_same_connections(
    aws: Program, gateway: Gateway, made_bucket: str, tmp_path: Path
):
    (tmp_path / "many").mkdir()
    for number in range(120):
        (tmp_path / f"many/{number:03d}").write_bytes(payload(number % 3 * 1000, seed=number))

    aws("s3", "cp", "--recursive", "many", f"s3://{made_bucket}/many")

    assert digests(gateway.root / made_bucket / "many") == digests(tmp_path / "many")


def test_pipes_feed_and_drain_objects(aws: Program, gateway: Gateway, made_bucket: str):
    content = payload(9 * MIB)

    aws("s3", "cp", "-", f"s3://{made_bucket}/piped", stdin=content)

    assert (gateway.root / made_bucket / "piped").read_bytes() == content
    assert aws("s3", "cp", f"s3://{made_bucket}/piped", "-") == content


def test_a_large_object_is_copied_by_parts_within_the_service(
    aws: Program, gateway: Gateway, made_bucket: str, tmp_path: Path
):
    content = payload(18 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    aws("s3", "cp", "large.bin", f"s3://{made_bucket}/first")
    aws("s3", "cp", f"s3://{made_bucket}/first", f"s3://{made_bucket}/copies/second")
    aws("s3", "mv", f"s3://{made_bucket}/copies/second", f"s3://{made_bucket}/third")

    assert (gateway.root / made_bucket / "third").read_bytes() == content
    assert digests(gateway.root / made_bucket).keys() == {"first", "third"}


def test_rm_recursive_and_rb_leave_nothing(aws: Program, gateway: Gateway, made_bucket: str, tree: Path):
    aws("s3", "cp", "--recursive", tree, f"s3://{made_bucket}/")
    refused = aws.outcome("s3", "rb", f"s3://{made_bucket}")
    assert refused.returncode != 0
    assert b"BucketNotEmpty" in refused.stderr

    aws("s3", "rm", "--recursive", f"s3://{made_bucket}/")
    assert aws("s3", "ls", f"s3://{made_bucket}/") == b""
    aws("s3", "rb", f"s3://{made_bucket}")
    assert not (gateway.root / made_bucket).exists()


@pytest.mark.parametrize(("version", "mark"), [("s3", "Signature="), ("s3v4", "X-Amz-Signature=")])
def test_a_presigned_url_serves_the_object_to_curl(
    aws: Program, made_bucket: str, tmp_path: Path, version: str, mark: str
):
    content = payload(100_000)
    (tmp_path / "config").write_text(f"[default]\ns3 =\n  signature_version = {version}\n")
    signing = Program(aws.command, {**aws.environ, "AWS_CONFIG_FILE": str(tmp_path / "config")})
    curl = Program([find_program("curl"), "-sS"], aws.environ)
    aws("s3", "cp", "-", f"s3://{made_bucket}/dir/with space.bin", stdin=content)

    url = signing("s3", "presign", f"s3://{made_bucket}/dir/with space.bin", "--expires-in", "300").decode().strip()

    assert mark in url
    assert curl("--fail", url) == content
    assert b"<Code>SignatureDoesNotMatch</Code>" in curl(f"{url}0")


def test_metadata_and_conditions_through_s3api(aws: Program, gateway: Gateway, made_bucket: str, tmp_path: Path):
    (tmp_path / "page.html").write_bytes(b"<p>hello</p>")
    put = ["s3api", "put-object", "--bucket", made_bucket, "--key", "page", "--body", "page.html"]
    headers = ["--content-type", "text/html", "--cache-control", "max-age=60", "--metadata", "colour=blue"]

    aws(*put, *headers)
    repeated = aws.outcome(*put, "--if-none-match", "*")
    head = gateway.boto3().head_object(Bucket=made_bucket, Key="page")

    assert b"PreconditionFailed" in repeated.stderr
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == (
        "text/html",
        "max-age=60",
        {"colour": "blue"},
    )
