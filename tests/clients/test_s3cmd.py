"""s3cmd, at the root of the endpoint and below a path prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.files import MIB, change_tree, digests, payload
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.programs import VENVS, Program, find_program


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("prefixed"), path_prefix="/s3") as running:
        yield running


def _s3cmd(gateway: Gateway, host: str, host_bucket: str, directory: Path) -> Program:
    program = find_program("s3cmd", VENVS / "programs/bin")
    keys = ["--access_key", ACCESS_KEY, "--secret_key", SECRET_KEY, "--region", REGION]
    place = ["--no-ssl", "--host", host, "--host-bucket", host_bucket, "--no-progress", "--max-retries", "1"]
    names = Path(__file__).with_name("programs") / "localhost_names.py"
    python = find_program("python", VENVS / "programs/bin")
    return Program([python, names, program, *keys, *place], gateway.environ, cwd=directory)


@pytest.fixture(params=["root", "prefix", "virtual host"])
def place(request: pytest.FixtureRequest, gateway: Gateway, tmp_path: Path) -> tuple[Gateway, Program]:
    """A gateway, and s3cmd set up for it in one of the three ways that users do."""
    if request.param == "root":
        return gateway, _s3cmd(gateway, gateway.address, gateway.address, tmp_path)
    if request.param == "virtual host":
        host = f"localhost:{gateway.port}"
        return gateway, _s3cmd(gateway, host, f"%(bucket)s.{host}", tmp_path)
    running = request.getfixturevalue("prefixed")
    host = f"{running.address}/s3"
    return running, _s3cmd(running, host, f"{host}/%(bucket)", tmp_path)


def test_the_life_of_a_bucket(place: tuple[Gateway, Program], bucket: str, tmp_path: Path):
    gateway, s3cmd = place
    content = payload(20 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", "large.bin", f"s3://{bucket}/dir/large.bin")
    s3cmd("get", f"s3://{bucket}/dir/large.bin", "back.bin")
    assert (gateway.root / bucket / "dir/large.bin").read_bytes() == content
    assert (tmp_path / "back.bin").read_bytes() == content

    assert f"s3://{bucket}" in s3cmd("ls").decode().split()
    assert s3cmd("ls", f"s3://{bucket}/dir/").decode().split()[2:] == [str(20 * MIB), f"s3://{bucket}/dir/large.bin"]
    about = s3cmd("info", f"s3://{bucket}/dir/large.bin").decode()
    assert f"File size: {20 * MIB}" in about
    assert "Location:  us-east-1" in s3cmd("info", f"s3://{bucket}").decode()

    s3cmd("del", f"s3://{bucket}/dir/large.bin")
    s3cmd("rb", f"s3://{bucket}")
    assert not (gateway.root / bucket).exists()


def test_sync_carries_a_tree_both_ways(place: tuple[Gateway, Program], bucket: str, tree: Path, tmp_path: Path):
    gateway, s3cmd = place
    s3cmd("mb", f"s3://{bucket}")

    s3cmd("sync", f"{tree}/", f"s3://{bucket}/copy/")
    assert digests(gateway.root / bucket / "copy") == digests(tree)

    change_tree(tree)
    s3cmd("sync", "--delete-removed", f"{tree}/", f"s3://{bucket}/copy/")
    assert digests(gateway.root / bucket / "copy") == digests(tree)

    (tmp_path / "back").mkdir()
    s3cmd("sync", f"s3://{bucket}/copy/", f"{tmp_path}/back/")
    assert digests(tmp_path / "back") == digests(tree)
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
    assert s3cmd("ls", "--recursive", f"s3://{bucket}") == b""


def test_copies_moves_and_signs_urls(place: tuple[Gateway, Program], bucket: str, tmp_path: Path):
    gateway, s3cmd = place
    (tmp_path / "small").write_bytes(b"one")
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", "--add-header", "Cache-Control: max-age=60", "small", f"s3://{bucket}/first")

    s3cmd("cp", f"s3://{bucket}/first", f"s3://{bucket}/second")
    s3cmd("mv", f"s3://{bucket}/first", f"s3://{bucket}/dir/third")

    url = s3cmd("signurl", f"s3://{bucket}/dir/third", "+300").decode().strip()
    curl = Program([find_program("curl"), "-sS", "--fail"], gateway.environ)
    assert curl(url) == b"one"
    assert digests(gateway.root / bucket).keys() == {"second", "dir/third"}
    assert gateway.boto3().head_object(Bucket=bucket, Key="second")["CacheControl"] == "max-age=60"


def test_version_2_signatures_are_accepted(place: tuple[Gateway, Program], bucket: str, tmp_path: Path):
    gateway, s3cmd = place
    (tmp_path / "small").write_bytes(b"one")
    s3cmd("--signature-v2", "mb", f"s3://{bucket}")

    s3cmd("--signature-v2", "put", "small", f"s3://{bucket}/dir/a file")
    s3cmd("--signature-v2", "get", f"s3://{bucket}/dir/a file", "back")

    assert (gateway.root / bucket / "dir/a file").read_bytes() == b"one"
    assert (tmp_path / "back").read_bytes() == b"one"
