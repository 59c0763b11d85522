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


def test_an_alias_is_set_and_one_with_a_wrong_key_is_refused_with_the_reason(gateway: Gateway, mc: Program):
    mc("alias", "set", "more", gateway.endpoint, ACCESS_KEY, SECRET_KEY, "--api", "S3v4", "--path", "on")
    (listed,) = _records(mc("alias", "list", "--json", "more"))
    # It asks by HEAD, which has no document: the reason stands in a header.
    refused = mc.outcome("alias", "set", "bad", gateway.endpoint, ACCESS_KEY, "not the secret")

    assert (listed["URL"], listed["accessKey"], listed["path"]) == (gateway.endpoint, ACCESS_KEY, "on")
    assert refused.returncode != 0
    assert b"does not match the signature you provided" in refused.stdout + refused.stderr


def test_find_matches_by_name_path_size_and_age_and_runs_commands(mc: Program, made_bucket: str, tree: Path):
    mc("mirror", tree, f"gate/{made_bucket}/tree")
    found = f"gate/{made_bucket}/tree"

    large = mc("find", found, "--larger", "200KiB").decode().split()
    assert sorted(large) == [f"{found}/deep/er/and/deeper/still.bin", f"{found}/media/picture.jpg"]
    assert mc("find", found, "--path", "*/deeper/*").decode().split() == [f"{found}/deep/er/and/deeper/still.bin"]
    assert mc("find", found, "--newer-than", "1d", "--smaller", "2B", "--name", "one-*").decode().split() == [
        f"{found}/one-byte"
    ]
    assert mc("find", found, "--name", "one-byte", "--exec", "echo found {base}") == b"found one-byte\n"
    assert mc("find", found, "--older-than", "1d") == b""


def test_versions_are_listed_read_undone_and_removed(mc: Program, gateway: Gateway, made_bucket: str):
    key = f"gate/{made_bucket}/file"
    mc("version", "enable", f"gate/{made_bucket}")
    (info,) = _records(mc("version", "info", "--json", f"gate/{made_bucket}"))
    assert info["versioning"]["status"] == "Enabled"

    for content in (b"one", b"two", b"three"):
        mc("pipe", key, stdin=content)
    versions = _records(mc("ls", "--versions", "--json", key))
    assert [version["size"] for version in versions] == [5, 3, 3]
    oldest = str(versions[-1]["versionId"])
    assert mc("cat", "--version-id", oldest, key) == b"one"

    mc("cp", "--version-id", oldest, key, f"gate/{made_bucket}/restored")
    assert (gateway.root / made_bucket / "restored").read_bytes() == b"one"

    mc("rm", key)
    assert not (gateway.root / made_bucket / "file").exists()
    assert [each["isDeleteMarker"] for each in _records(mc("ls", "--versions", "--json", key))[:1]] == [True]
    mc("undo", key)
    assert (gateway.root / made_bucket / "file").read_bytes() == b"three"

    mc("rm", "--version-id", oldest, key)
    assert len(_records(mc("ls", "--versions", "--json", key))) == 2
    mc("rm", "--versions", "--recursive", "--force", f"gate/{made_bucket}")
    assert mc("ls", "--versions", "--recursive", f"gate/{made_bucket}") == b""

    mc("version", "suspend", f"gate/{made_bucket}")
    (info,) = _records(mc("version", "info", "--json", f"gate/{made_bucket}"))
    assert info["versioning"]["status"] == "Suspended"
    mc("rb", f"gate/{made_bucket}")


def test_tags_are_set_listed_and_removed(mc: Program, made_bucket: str):
    mc("pipe", f"gate/{made_bucket}/file", stdin=b"one")
    for target in (f"gate/{made_bucket}", f"gate/{made_bucket}/file"):
        mc("tag", "set", target, "colour=blue&size=1")
        (tags,) = _records(mc("tag", "list", "--json", target))
        assert tags["tagset"] == {"colour": "blue", "size": "1"}
        mc("tag", "remove", target)
        left = mc.outcome("tag", "list", target)
        assert b"No tags found" in left.stdout + left.stderr


def test_mirror_follows_the_changes_between_two_prefixes(mc: Program, gateway: Gateway, made_bucket: str):
    source = gateway.root / made_bucket / "from"
    mc("pipe", f"gate/{made_bucket}/from/one", stdin=b"one")
    mc("mirror", f"gate/{made_bucket}/from", f"gate/{made_bucket}/to")
    (source / "two").write_bytes(b"of another program")
    mc("rm", f"gate/{made_bucket}/from/one")
    mc("mirror", "--remove", "--overwrite", f"gate/{made_bucket}/from", f"gate/{made_bucket}/to")

    assert digests(gateway.root / made_bucket / "to") == digests(source)
    assert digests(source).keys() == {"two"}
