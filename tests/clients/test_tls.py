"""Clients over HTTPS, where many of them leave the body unsigned and send its checksum behind it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.files import MIB, digests, payload
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.programs import VENVS, Program, find_program

CONTENT = payload(20 * MIB)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    form = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", names]
    command = [find_program("openssl"), "req", *form, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with Gateway(directory / "served", tls=(certificate, key)) as running:
        yield running


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "large.bin").write_bytes(CONTENT)
    return tmp_path


def test_awscli(gateway: Gateway, made_bucket: str, directory: Path):
    aws = Program([find_program("aws", VENVS / "programs/bin")], gateway.environ, cwd=directory)

    aws("s3", "cp", "large.bin", f"s3://{made_bucket}/large.bin")
    aws("s3", "cp", "-", f"s3://{made_bucket}/piped", stdin=b"one")
    aws("s3", "cp", f"s3://{made_bucket}/large.bin", "back.bin")

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == CONTENT
    assert (gateway.root / made_bucket / "piped").read_bytes() == b"one"
    assert (directory / "back.bin").read_bytes() == CONTENT


def test_boto3_with_each_checksum(gateway: Gateway, made_bucket: str, directory: Path):
    s3 = gateway.boto3()

    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        with (directory / "large.bin").open("rb") as body:
            s3.put_object(Bucket=made_bucket, Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
        answer = s3.get_object(Bucket=made_bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert answer[f"Checksum{algorithm}"]
        assert answer["Body"].read() == CONTENT
        assert (gateway.root / made_bucket / algorithm).read_bytes() == CONTENT


def test_mc(gateway: Gateway, made_bucket: str, directory: Path):
    mc = Program([find_program("mc", VENVS / "bin"), "--config-dir", directory / "mc"], gateway.environ, cwd=directory)

    mc("alias", "set", "gate", gateway.endpoint, ACCESS_KEY, SECRET_KEY)
    mc("cp", "large.bin", f"gate/{made_bucket}/large.bin")

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == CONTENT
    assert mc("cat", f"gate/{made_bucket}/large.bin") == CONTENT


def test_rclone(gateway: Gateway, made_bucket: str, directory: Path):
    settings = {
        "RCLONE_CONFIG_GATE_TYPE": "s3",
        "RCLONE_CONFIG_GATE_PROVIDER": "Other",
        "RCLONE_CONFIG_GATE_ENV_AUTH": "true",
        "RCLONE_CONFIG_GATE_REGION": REGION,
        "RCLONE_CONFIG_GATE_ENDPOINT": gateway.endpoint,
    }
    rclone = Program(
        [find_program("rclone", VENVS / "bin"), "--retries", "1"], {**gateway.environ, **settings}, directory
    )

    rclone("copyto", "large.bin", f"gate:{made_bucket}/large.bin")

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == CONTENT
    assert rclone("cat", f"gate:{made_bucket}/large.bin") == CONTENT


def test_restic(gateway: Gateway, bucket: str, directory: Path, tmp_path_factory: pytest.TempPathFactory):
    settings = {"RESTIC_REPOSITORY": f"s3:{gateway.endpoint}/{bucket}", "RESTIC_PASSWORD": "correct horse"}
    restic = Program([find_program("restic"), "--no-cache"], {**gateway.environ, **settings}, directory)
    target = tmp_path_factory.mktemp("restored")

    restic("init")
    restic("backup", ".")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", target)

    assert digests(target) == digests(directory)


def test_the_aws_sdk_for_javascript(gateway: Gateway, bucket: str, directory: Path):
    script = Path(__file__).with_name("js") / "job.js"

    Program([find_program("node"), script], gateway.environ, directory)("store", bucket)

    assert (gateway.root / bucket / "stream/large.bin").read_bytes() == CONTENT
    assert (gateway.root / bucket / "parts/large.bin").read_bytes() == CONTENT


def test_curl(gateway: Gateway, made_bucket: str, directory: Path):
    curl = Program([find_program("curl"), "-sS", "--fail"], gateway.environ, directory)
    s3 = gateway.boto3(signature_version="s3v4")
    where = {"Bucket": made_bucket, "Key": "large.bin"}

    curl("--upload-file", "large.bin", s3.generate_presigned_url("put_object", Params=where))

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == CONTENT
    assert curl("--range", "-1000", s3.generate_presigned_url("get_object", Params=where)) == CONTENT[-1000:]
