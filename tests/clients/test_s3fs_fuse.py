"""s3fs-fuse: a bucket mounted as a file system, worked on by cp, mv, rm and ordinary system calls."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.files import MIB, digests, payload
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.processes import wait_for
from support.programs import Program, find_program

# Beyond what s3fs sends in one piece, so that it is stored, and renamed, in parts.
LARGE = 30 * MIB


@contextmanager
def mounted(gateway: Gateway, bucket: str, place: Path) -> Iterator[Path]:
    """The bucket as a directory, for as long as the block lasts; what is written is stored when it ends."""
    assert Path("/dev/fuse").exists(), (
        "s3fs-fuse needs /dev/fuse: `modprobe fuse`, or `--device /dev/fuse` in a container"
    )
    keys = place / "keys"
    keys.write_text(f"{ACCESS_KEY}:{SECRET_KEY}")
    keys.chmod(0o600)
    mount, log = place / "mount", place / "s3fs.log"
    mount.mkdir(exist_ok=True)
    options = f"passwd_file={keys},url={gateway.endpoint},use_path_request_style,retries=1,connect_timeout=10"
    with log.open("ab") as output:
        command = [find_program("s3fs"), bucket, mount, "-f", "-o", options]
        process = subprocess.Popen(command, env=gateway.environ, stdout=output, stderr=output)
    try:
        wait_for(lambda: mount.is_mount() or process.poll() is not None, "the mount")
        assert process.poll() is None, f"s3fs did not mount:\n{log.read_text()}"
        yield mount
    finally:
        if process.poll() is None:
            Program([find_program("fusermount"), "-u", mount], gateway.environ)()
        status = process.wait(timeout=60)
    assert status == 0, f"s3fs ended with status {status}:\n{log.read_text()}"


@pytest.fixture
def mount(gateway: Gateway, made_bucket: str, tmp_path: Path) -> Iterator[Path]:
    with mounted(gateway, made_bucket, tmp_path) as directory:
        yield directory


def stored(gateway: Gateway, bucket: str) -> dict[str, str]:
    """The plain files of the bucket; what s3fs keeps for each directory, objects of no length, are not among them."""
    found = digests(gateway.root / bucket)
    return {name: digest for name, digest in found.items() if not Path(name).name.startswith(".s3gate")}


def _coreutils(gateway: Gateway) -> dict[str, Program]:
    return {name: Program([find_program(name)], gateway.environ) for name in ("cp", "mv", "rm", "diff")}


def test_a_tree_is_copied_moved_and_removed(
    gateway: Gateway, mount: Path, made_bucket: str, tree: Path, tmp_path: Path
):
    run = _coreutils(gateway)
    (tree / "large.bin").write_bytes(payload(LARGE))
    before = digests(tree)

    run["cp"]("-r", tree, mount / "copy")
    assert stored(gateway, made_bucket) == {f"copy/{name}": digest for name, digest in before.items()}
    run["diff"]("-r", tree, mount / "copy")

    run["mv"](mount / "copy", mount / "moved")
    assert stored(gateway, made_bucket) == {f"moved/{name}": digest for name, digest in before.items()}
    run["cp"]("-r", mount / "moved", tmp_path / "back")
    assert digests(tmp_path / "back") == before

    run["rm"]("-r", mount / "moved/docs")
    left = {name: digest for name, digest in before.items() if not name.startswith("docs/")}
    assert digests(mount / "moved") == left
    run["rm"]("-r", mount / "moved")
    assert os.listdir(mount) == []
    assert "Contents" not in gateway.boto3().list_objects_v2(Bucket=made_bucket)


def test_a_large_file_is_renamed_within_the_service_and_keeps_its_mode_and_times(
    gateway: Gateway, mount: Path, made_bucket: str
):
    content = payload(LARGE)
    (mount / "first").write_bytes(content)
    (mount / "first").chmod(0o640)
    os.utime(mount / "first", (1_000_000_000, 1_000_000_000))

    (mount / "first").rename(mount / "second")

    found = (mount / "second").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime, found.st_size) == (0o640, 1_000_000_000, LARGE)
    assert (gateway.root / made_bucket / "second").read_bytes() == content
    assert [each["Key"] for each in gateway.boto3().list_objects_v2(Bucket=made_bucket)["Contents"]] == ["second"]


def test_a_file_is_appended_to_written_in_the_middle_and_over(gateway: Gateway, mount: Path, made_bucket: str):
    content = bytearray(payload(LARGE))
    file, kept = mount / "file", gateway.root / made_bucket / "file"
    file.write_bytes(content)

    with file.open("ab") as opened:
        opened.write(b"more")
    content += b"more"
    assert kept.read_bytes() == content

    with file.open("r+b") as opened:
        opened.seek(12 * MIB)
        opened.write(b"in the middle")
    content[12 * MIB : 12 * MIB + 13] = b"in the middle"
    assert kept.read_bytes() == content

    file.write_bytes(b"short")
    assert file.read_bytes() == kept.read_bytes() == b"short"


def test_links_modes_and_empty_directories_outlive_the_mount(gateway: Gateway, made_bucket: str, tmp_path: Path):
    with mounted(gateway, made_bucket, tmp_path) as mount:
        (mount / "dir/empty").mkdir(parents=True)
        (mount / "dir/script").write_text("#!/bin/sh\n")
        (mount / "dir/script").chmod(0o750)
        (mount / "link").symlink_to("dir/script")

    with mounted(gateway, made_bucket, tmp_path) as mount:
        assert (mount / "link").readlink() == Path("dir/script")
        assert (mount / "link").read_text() == "#!/bin/sh\n"
        assert stat.S_IMODE((mount / "dir/script").stat().st_mode) == 0o750
        assert list((mount / "dir/empty").iterdir()) == []
        with pytest.raises(OSError, match="not empty"):
            (mount / "dir").rmdir()


def test_what_other_programs_and_other_clients_put_is_seen(gateway: Gateway, mount: Path, made_bucket: str, tree: Path):
    _coreutils(gateway)["cp"]("-r", tree, gateway.root / made_bucket / "outside")
    gateway.boto3().put_object(Bucket=made_bucket, Key="by/boto3", Body=b"one")

    assert sorted(os.listdir(mount)) == ["by", "outside"]
    assert digests(mount / "outside") == digests(tree)
    assert (mount / "by/boto3").read_bytes() == b"one"
