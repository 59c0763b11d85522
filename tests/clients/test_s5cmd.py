"""s5cmd, many requests at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.files import MIB, change_tree, digests, payload
from support.gateway import Gateway
from support.programs import VENVS, Program, find_program


@pytest.fixture
def s5cmd(gateway: Gateway, tmp_path: Path) -> Program:
    command = [find_program("s5cmd", VENVS / "programs/bin"), "--endpoint-url", gateway.endpoint, "--retry-count", "0"]
    return Program(command, gateway.environ, cwd=tmp_path)


def test_a_large_file_goes_up_in_parts_and_comes_back(s5cmd: Program, gateway: Gateway, bucket: str, tmp_path: Path):
    content = payload(20 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    s5cmd("mb", f"s3://{bucket}")
    s5cmd("cp", "--part-size", "5", "large.bin", f"s3://{bucket}/dir/")
    s5cmd("cp", "--part-size", "5", f"s3://{bucket}/dir/large.bin", "back.bin")

    assert (gateway.root / bucket / "dir/large.bin").read_bytes() == content
    assert (tmp_path / "back.bin").read_bytes() == content
    assert s5cmd("cat", f"s3://{bucket}/dir/large.bin") == content


def test_hundreds_of_files_in_parallel(s5cmd: Program, gateway: Gateway, made_bucket: str, tmp_path: Path):
    for number in range(400):
        path = tmp_path / "many" / str(number % 8) / f"{number:04d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload(number * 37, seed=number))

    s5cmd("--numworkers", "64", "cp", f"{tmp_path}/many/*", f"s3://{made_bucket}/many/")
    listed = [json.loads(line) for line in s5cmd("--json", "ls", f"s3://{made_bucket}/many/*").splitlines()]
    s5cmd("--numworkers", "64", "cp", f"s3://{made_bucket}/many/*", f"{tmp_path}/back/")

    assert digests(gateway.root / made_bucket / "many") == digests(tmp_path / "many")
    assert {each["key"].rsplit("/", 1)[1]: each.get("size", 0) for each in listed} == {
        f"{number:04d}": number * 37 for number in range(400)
    }
    assert digests(tmp_path / "back") == digests(tmp_path / "many")
    s5cmd("rm", f"s3://{made_bucket}/*")
    s5cmd("rb", f"s3://{made_bucket}")
    assert not (gateway.root / made_bucket).exists()


def test_sync_carries_a_tree_both_ways(s5cmd: Program, gateway: Gateway, made_bucket: str, tree: Path, tmp_path: Path):
    s5cmd("sync", f"{tree}/", f"s3://{made_bucket}/copy/")
    assert digests(gateway.root / made_bucket / "copy") == digests(tree)

    change_tree(tree)
    s5cmd("sync", "--delete", f"{tree}/", f"s3://{made_bucket}/copy/")
    assert digests(gateway.root / made_bucket / "copy") == digests(tree)

    s5cmd("sync", f"s3://{made_bucket}/copy/*", f"{tmp_path}/back/")
    assert digests(tmp_path / "back") == digests(tree)
