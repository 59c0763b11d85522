"""Credentials in a file of the gateway's own, and in one that all gateways over a directory share."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from support.credentials import listing_with
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.processes import wait_for

ADDED, ADDED_SECRET = "AKIAADDEDLATER", "a-secret-that-was-added"


def credential(*arguments: str) -> str:
    command = [sys.executable, "-m", "s3gate", "credential", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("S3GATE_", "AWS_"))}
    return subprocess.run(command, env=clean, check=True, capture_output=True, text=True).stdout


def settle(gateways: list[Gateway], key: tuple[str, str], wanted: str) -> None:
    for gateway in gateways:
        wait_for(
            lambda gateway=gateway: listing_with(gateway.endpoint, *key) == wanted, f"{wanted} from {gateway.address}"
        )


@pytest.mark.parametrize("path", [[], ["--credentials-path", "/system/auth/credentials.jsonl"]])
def test_gateways_over_one_directory_share_the_credentials_that_lie_in_it(tmp_path: Path, path: list[str]):
    shared = ["--enable-distributed-auth", *path]
    credential("add", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, "--data-dir", str(tmp_path), *shared)
    arguments = [*shared, "--cache-refresh-interval-secs", "1"]
    with (
        Gateway(tmp_path, *arguments, credentials=(), workers=1) as one,
        Gateway(tmp_path, *arguments, credentials=()) as other,
    ):
        both = [one, other]
        for gateway in both:
            assert listing_with(gateway.endpoint, ACCESS_KEY, SECRET_KEY) == "ok"
            assert listing_with(gateway.endpoint, ADDED, ADDED_SECRET) == "InvalidAccessKeyId"
        credential("add", "--access-key", ADDED, "--secret-key", ADDED_SECRET, "--data-dir", str(tmp_path), *shared)
        settle(both, (ADDED, ADDED_SECRET), "ok")
        credential("disable", ADDED, "--data-dir", str(tmp_path), *shared)
        settle(both, (ADDED, ADDED_SECRET), "InvalidAccessKeyId")

        client = boto3.client(
            "s3", endpoint_url=one.endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY
        )
        assert client.list_buckets()["Buckets"] == []
        where = path[1] if path else "/credentials.jsonl"
        with pytest.raises(ClientError) as refused:
            client.get_object(Bucket=".s3gate", Key=where.lstrip("/"))
        assert refused.value.response["Error"]["Code"] == "InvalidBucketName"
        client.close()
    file = tmp_path / ".s3gate" / where.lstrip("/")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    fsck = [sys.executable, "-m", "s3gate", "fsck", str(tmp_path)]
    assert subprocess.run(fsck, capture_output=True, check=False).returncode == 0


def test_the_first_of_the_gateways_makes_the_credentials_of_all(tmp_path: Path):
    with (
        Gateway(tmp_path, "--enable-distributed-auth", credentials=()) as one,
        Gateway(tmp_path, "--enable-distributed-auth", credentials=()) as other,
    ):
        assert [gateway.log.count("Secret key:") for gateway in (one, other)] == [1, 0]
        listed = credential("list", "--show-secrets", "--data-dir", str(tmp_path), "--enable-distributed-auth")
        access_key, secret_key = listed.splitlines()[1].split()[:2]
        for gateway in (one, other):
            assert listing_with(gateway.endpoint, access_key, secret_key) == "ok"


def test_a_gateway_that_only_reads_makes_no_credentials_in_the_directory(tmp_path: Path):
    with Gateway(tmp_path, "--enable-distributed-auth", "--read-only", credentials=()) as gateway:
        assert "no access key that is enabled" in gateway.log
    assert list(tmp_path.iterdir()) == []


def test_gateways_with_files_of_their_own_do_not_know_one_anothers_credentials(tmp_path: Path):
    files = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    keys = [("AKIAOFONE", "the-secret-of-one"), ("AKIAOFOTHER", "the-secret-of-other")]
    for file, (access_key, secret_key) in zip(files, keys, strict=True):
        path = ["--credentials-path", str(file)]
        credential("add", "--access-key", access_key, "--secret-key", secret_key, *path)
    served = tmp_path / "served"
    with (
        Gateway(served, "--credentials-path", str(files[0]), credentials=()) as one,
        Gateway(served, "--credentials-path", str(files[1]), credentials=()) as other,
    ):
        for gateway, key, stranger in ((one, *keys), (other, *keys[::-1])):
            assert listing_with(gateway.endpoint, *key) == "ok"
            assert listing_with(gateway.endpoint, *stranger) == "InvalidAccessKeyId"
        credential("remove", keys[0][0], "--credentials-path", str(files[0]))
        os.kill(one.pid, signal.SIGHUP)
        settle([one], keys[0], "InvalidAccessKeyId")
