"""curl: ranges of presigned URLs, and requests that curl signs by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.files import MIB, payload
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.programs import Program, find_program


@pytest.fixture
def curl(gateway: Gateway, tmp_path: Path) -> Program:
    return Program([find_program("curl"), "-sS"], gateway.environ, cwd=tmp_path)


@pytest.fixture
def signing(curl: Program) -> Program:
    return Program(
        [*curl.command, "--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", f"{ACCESS_KEY}:{SECRET_KEY}"],
        curl.environ,
        curl.cwd,
    )


@pytest.fixture
def content(gateway: Gateway, made_bucket: str) -> bytes:
    body = payload(3 * MIB)
    gateway.boto3().put_object(Bucket=made_bucket, Key="large-file.txt", Body=body)
    return body


def _presigned(gateway: Gateway, version: str, method: str, bucket: str, key: str) -> str:
    url: str = gateway.boto3(signature_version=version).generate_presigned_url(
        method, Params={"Bucket": bucket, "Key": key}, ExpiresIn=300
    )
    return url


@pytest.mark.parametrize("version", ["s3v4", "s3-query"], ids=["v4", "v2"])
def test_the_first_and_the_last_thousand_bytes_of_a_presigned_url(
    curl: Program, gateway: Gateway, made_bucket: str, content: bytes, version: str
):
    url = _presigned(gateway, version, "get_object", made_bucket, "large-file.txt")

    assert curl("--fail", "-r", "0-999", url) == content[:1000]
    assert curl("--fail", "-r", "-1000", url) == content[-1000:]
    assert curl("--fail", "-H", "Range: bytes=1000000-", url) == content[1_000_000:]


def test_ranges_with_a_signed_header(signing: Program, gateway: Gateway, made_bucket: str, content: bytes):
    url = f"{gateway.endpoint}/{made_bucket}/large-file.txt"
    unsigned = ["--fail", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]  # older curls do not add it

    assert signing(*unsigned, "-H", "Range: bytes=0-999", url) == content[:1000]
    assert signing(*unsigned, "-H", "Range: bytes=-1000", url) == content[-1000:]


def test_a_range_tells_where_it_lies(curl: Program, gateway: Gateway, made_bucket: str, content: bytes):
    url = _presigned(gateway, "s3v4", "get_object", made_bucket, "large-file.txt")

    head = curl("-D", "-", "-o", "/dev/null", "-r", "0-999", url).decode().lower()
    beyond = curl("-D", "-", "-r", f"{len(content)}-", url)

    assert head.startswith("http/1.1 206")
    assert f"content-range: bytes 0-999/{len(content)}" in head
    assert "content-length: 1000\r" in head
    assert beyond.startswith(b"HTTP/1.1 416")
    assert b"<Code>InvalidRange</Code>" in beyond


@pytest.mark.parametrize("version", ["s3v4", "s3-query"], ids=["v4", "v2"])
def test_an_upload_by_presigned_url(curl: Program, gateway: Gateway, made_bucket: str, tmp_path: Path, version: str):
    body = payload(2 * MIB)
    (tmp_path / "file").write_bytes(body)
    url = _presigned(gateway, version, "put_object", made_bucket, "dir/a file+1")

    curl("--fail", "-T", "file", url)

    assert (gateway.root / made_bucket / "dir/a file+1").read_bytes() == body


def test_nothing_is_given_without_a_signature(curl: Program, gateway: Gateway, made_bucket: str, content: bytes):
    answer = curl("-D", "-", f"{gateway.endpoint}/{made_bucket}/large-file.txt")

    assert answer.startswith(b"HTTP/1.1 403")
    assert b"<Code>AccessDenied</Code>" in answer
    assert content[:100] not in answer


def test_health_needs_no_signature(curl: Program, gateway: Gateway):
    for path in ("/healthz", "/readyz", "/minio/health/live", "/minio/health/ready"):
        assert curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{gateway.address}{path}") == b"200"
