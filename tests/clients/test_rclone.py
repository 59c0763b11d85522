"""rclone."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from support.files import MIB, change_tree, digests, payload, read_tree
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.processes import wait_for
from support.programs import VENVS, Program, find_program


@pytest.fixture
def rclone(gateway: Gateway, tmp_path: Path) -> Program:
    settings = {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_GATE_TYPE": "s3",
        "RCLONE_CONFIG_GATE_PROVIDER": "Other",
        "RCLONE_CONFIG_GATE_ACCESS_KEY_ID": ACCESS_KEY,
        "RCLONE_CONFIG_GATE_SECRET_ACCESS_KEY": SECRET_KEY,
        "RCLONE_CONFIG_GATE_REGION": REGION,
        "RCLONE_CONFIG_GATE_ENDPOINT": gateway.endpoint,
    }
    command = [find_program("rclone", VENVS / "bin"), "--retries", "1", "--low-level-retries", "1"]
    return Program(command, {**gateway.environ, **settings}, cwd=tmp_path)


def test_copy_sync_and_check_a_tree(rclone: Program, gateway: Gateway, bucket: str, tree: Path, tmp_path: Path):
    rclone("copy", tree, f"gate:{bucket}/copy")
    assert digests(gateway.root / bucket / "copy") == digests(tree)
    rclone("check", "--download", tree, f"gate:{bucket}/copy")

    change_tree(tree)
    rclone("sync", tree, f"gate:{bucket}/copy")
    assert digests(gateway.root / bucket / "copy") == digests(tree)

    rclone("sync", f"gate:{bucket}/copy", tmp_path / "back")
    assert digests(tmp_path / "back") == digests(tree)


def test_a_synced_tree_keeps_its_times(rclone: Program, made_bucket: str, tree: Path):
    rclone("sync", tree, f"gate:{made_bucket}")

    again = rclone.outcome("sync", "--verbose", tree, f"gate:{made_bucket}")

    assert again.returncode == 0
    assert b"Copied" not in again.stderr


def test_a_large_file_goes_up_in_parts_and_comes_back(
    rclone: Program, gateway: Gateway, made_bucket: str, tmp_path: Path
):
    content = payload(25 * MIB)
    (tmp_path / "large.bin").write_bytes(content)

    rclone("copyto", "--s3-upload-cutoff", "8M", "--s3-chunk-size", "8M", "large.bin", f"gate:{made_bucket}/large.bin")
    rclone("copyto", f"gate:{made_bucket}/large.bin", "back.bin")

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == content
    assert (tmp_path / "back.bin").read_bytes() == content
    assert gateway.boto3().head_object(Bucket=made_bucket, Key="large.bin")["ETag"].endswith('-4"')


def test_rcat_cat_and_ls(rclone: Program, gateway: Gateway, made_bucket: str):
    content = payload(3 * MIB)

    rclone("rcat", f"gate:{made_bucket}/dir/piped", stdin=content)

    assert (gateway.root / made_bucket / "dir/piped").read_bytes() == content
    assert rclone("cat", f"gate:{made_bucket}/dir/piped") == content
    assert rclone("cat", "--offset", "1000", "--count", "50", f"gate:{made_bucket}/dir/piped") == content[1000:1050]
    assert rclone("ls", f"gate:{made_bucket}").decode().split() == [str(3 * MIB), "dir/piped"]
    assert rclone("lsf", f"gate:{made_bucket}") == b"dir/\n"


def test_md5sum_comes_from_the_service(rclone: Program, made_bucket: str, tree: Path):
    rclone("copy", tree / "docs", f"gate:{made_bucket}")

    sums = dict(reversed(line.split("  ", 1)) for line in rclone("md5sum", f"gate:{made_bucket}").decode().splitlines())

    assert sums == {name: hashlib.md5(content).hexdigest() for name, content in read_tree(tree / "docs").items()}


def test_moves_stay_within_the_service_and_purge_leaves_nothing(
    rclone: Program, gateway: Gateway, made_bucket: str, tree: Path
):
    rclone("copy", tree, f"gate:{made_bucket}/copy")

    rclone("moveto", f"gate:{made_bucket}/copy/docs", f"gate:{made_bucket}/moved")
    assert digests(gateway.root / made_bucket / "moved") == digests(tree / "docs")
    assert not any(name.startswith("copy/docs/") for name in digests(gateway.root / made_bucket))

    rclone("purge", f"gate:{made_bucket}")
    assert not (gateway.root / made_bucket).exists()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=60)


def test_a_mounted_bucket_takes_cp_mv_and_rm_of_a_tree(
    rclone: Program, gateway: Gateway, made_bucket: str, tree: Path, tmp_path: Path
):
    assert Path("/dev/fuse").exists(), "rclone mount needs /dev/fuse"
    mount = tmp_path / "mount"
    mount.mkdir()
    # Without its cache a file has arrived when it is closed.
    command = [*rclone.command, "mount", f"gate:{made_bucket}", mount, "--vfs-cache-mode", "off"]
    process = subprocess.Popen(command, env=rclone.environ, cwd=tmp_path)
    try:
        wait_for(lambda: mount.is_mount() or process.poll() is not None, "the mount")
        assert process.poll() is None, "rclone did not mount"
        _run("cp", "-r", tree, mount / "copy")
        assert digests(gateway.root / made_bucket / "copy") == digests(tree)

        _run("diff", "-r", tree, mount / "copy")

        # After a directory was moved rclone reads some files at their old place for a while: files, then.
        _run("mv", mount / "copy/docs/read me.txt", mount / "read")
        assert (gateway.root / made_bucket / "read").read_bytes() == (tree / "docs/read me.txt").read_bytes()
        _run("rm", "-r", mount / "copy", mount / "read")
        assert digests(gateway.root / made_bucket) == {}
    finally:
        if process.poll() is None:
            _run("fusermount", "-u", mount)
        status = process.wait(timeout=60)
    assert status == 0
