"""mc, the MinIO client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.files import MIB, change_tree, digests, payload
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.programs import VENVS, Program, find_program


@pytest.fixture
def mc(gateway: Gateway, tmp_path: Path) -> Program:
    program = find_program("mc", VENVS / "bin")
    client = Program([program, "--config-dir", tmp_path / "mc", "--quiet", "--no-color"], gateway.environ, cwd=tmp_path)
    client("alias", "set", "gate", gateway.endpoint, ACCESS_KEY, SECRET_KEY)
    return client


def _records(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_large_file_goes_up_and_comes_back(mc: Program, gateway: Gateway, bucket: str, tmp_path: Path):
    content = payload(40 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    mc("mb", f"gate/{bucket}")
    mc("cp", "large.bin", f"gate/{bucket}/dir/")
    mc("cp", f"gate/{bucket}/dir/large.bin", "back.bin")

    assert (gateway.root / bucket / "dir/large.bin").read_bytes() == content
    assert (tmp_path / "back.bin").read_bytes() == content
    assert gateway.boto3().head_object(Bucket=bucket, Key="dir/large.bin")["ETag"].endswith('-3"')
    (listed,) = _records(mc("ls", "--json", f"gate/{bucket}/dir/"))
    assert (listed["key"], listed["size"]) == ("large.bin", 40 * MIB)


def test_mirror_carries_a_tree_both_ways(mc: Program, gateway: Gateway, made_bucket: str, tree: Path, tmp_path: Path):
    mc("mirror", tree, f"gate/{made_bucket}/copy")
    assert digests(gateway.root / made_bucket / "copy") == digests(tree)

    change_tree(tree)
    mc("mirror", "--overwrite", "--remove", tree, f"gate/{made_bucket}/copy")
    assert digests(gateway.root / made_bucket / "copy") == digests(tree)

    mc("mirror", f"gate/{made_bucket}/copy", tmp_path / "back")
    assert digests(tmp_path / "back") == digests(tree)
    assert mc("diff", tree, f"gate/{made_bucket}/copy") == b""


def test_cat_pipe_stat_and_head_read_what_was_written(mc: Program, gateway: Gateway, made_bucket: str):
    content = payload(2 * MIB)

    mc("pipe", "--attr", "colour=blue", f"gate/{made_bucket}/piped", stdin=content)
    (stat,) = _records(mc("stat", "--json", f"gate/{made_bucket}/piped"))

    assert (gateway.root / made_bucket / "piped").read_bytes() == content
    assert mc("cat", f"gate/{made_bucket}/piped") == content
    assert mc("cat", "--offset", "1000", f"gate/{made_bucket}/piped") == content[1000:]
    assert stat["size"] == 2 * MIB
    assert "blue" in stat["metadata"].values()


def test_find_and_du_see_the_tree(mc: Program, made_bucket: str, tree: Path):
    mc("cp", "--recursive", f"{tree}/", f"gate/{made_bucket}")

    found = mc("find", f"gate/{made_bucket}", "--name", "*.bin").decode().split()
    (total,) = _records(mc("du", "--json", f"gate/{made_bucket}"))

    assert sorted(found) == [f"gate/{made_bucket}/deep/er.bin", f"gate/{made_bucket}/deep/er/and/deeper/still.bin"]
    assert total["objects"] == len(digests(tree))


def test_copies_and_moves_within_the_service(mc: Program, gateway: Gateway, made_bucket: str):
    mc("pipe", f"gate/{made_bucket}/first", stdin=b"one")

    mc("cp", f"gate/{made_bucket}/first", f"gate/{made_bucket}/second")
    mc("mv", f"gate/{made_bucket}/first", f"gate/{made_bucket}/dir/third")

    assert digests(gateway.root / made_bucket).keys() == {"second", "dir/third"}
    assert mc("cat", f"gate/{made_bucket}/dir/third") == b"one"


def test_share_makes_an_url_that_works(mc: Program, gateway: Gateway, made_bucket: str):
    mc("pipe", f"gate/{made_bucket}/shared file", stdin=b"one")
    (shared,) = _records(mc("share", "download", "--json", "--expire", "1h", f"gate/{made_bucket}/shared file"))

    curl = Program([find_program("curl"), "-sS", "--fail"], gateway.environ)

    assert curl(str(shared["share"])) == b"one"


def test_rm_and_rb_leave_nothing(mc: Program, gateway: Gateway, made_bucket: str, tree: Path):
    mc("cp", "--recursive", f"{tree}/", f"gate/{made_bucket}")

    mc("rm", f"gate/{made_bucket}/one-byte")
    assert not (gateway.root / made_bucket / "one-byte").exists()
    mc("rm", "--recursive", "--force", f"gate/{made_bucket}")
    assert mc("ls", "--recursive", f"gate/{made_bucket}") == b""
    mc("rb", f"gate/{made_bucket}")
    assert not (gateway.root / made_bucket).exists()
