"""A gateway that cannot do its work says so at its start, with the remedy, and leaves everything as it was."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.disk import SmallDiskGateway, fill
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.processes import wait_for, workers
from support.wire_client import ask

# root may write everywhere by these capabilities; without them it may what the owner of a file may.
_POWERLESS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]


def as_ordinary_user(command: list[str]) -> list[str]:
    return [*_POWERLESS, *command] if os.geteuid() == 0 else command


def refused(directory: Path, *arguments: str, port: int = 0) -> str:
    """What a gateway says that does not start."""
    command = [sys.executable, "-m", "s3gate", "serve", str(directory), "--listen", f"127.0.0.1:{port}"]
    command += ["--workers", "2", "--credential", f"{ACCESS_KEY}:{SECRET_KEY}", *arguments]
    done = subprocess.run(as_ordinary_user(command), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


class PowerlessGateway(Gateway):
    """A gateway of an ordinary user."""

    def command(self) -> list[str]:
        return as_ordinary_user(super().command())


@pytest.fixture
def closed(tmp_path: Path):
    """A directory with a bucket in it that may be read and not written."""
    directory = tmp_path / "closed"
    (directory / "bucket").mkdir(parents=True)
    (directory / "bucket/object").write_bytes(b"there before")
    directory.chmod(0o555)
    yield directory
    directory.chmod(0o755)


def test_a_directory_that_cannot_be_written_is_refused_with_the_remedy(closed):
    message = refused(closed)

    assert f"cannot write to the data directory {closed}: Permission denied" in message
    assert f"chown {os.geteuid()} {closed}" in message
    assert "--read-only" in message
    assert sorted(os.listdir(closed)) == ["bucket"]


def test_a_directory_that_cannot_be_written_is_served_with_read_only(closed):
    with PowerlessGateway(closed, "--no-auth", "--read-only") as gateway:
        assert ask(gateway, "GET", "/bucket/object").body == b"there before"
        refusal = ask(gateway, "PUT", "/bucket/object", b"new")
        assert (refusal.status, refusal.code) == (403, "AccessDenied")
    assert sorted(os.listdir(closed)) == ["bucket"]
    assert (closed / "bucket/object").read_bytes() == b"there before"


def test_a_control_directory_that_cannot_be_written_is_refused(tmp_path):
    with Gateway(tmp_path, "--no-auth"):
        pass
    control = tmp_path / ".s3gate"
    control.chmod(0o000)
    try:
        message = refused(tmp_path)
    finally:
        control.chmod(0o700)

    assert "Permission denied" in message
    assert f"chown {os.geteuid()}" in message


def test_a_directory_that_cannot_be_made_is_refused(closed):
    message = refused(closed / "new/data")

    assert f"{closed}/new/data" in message
    assert "Permission denied" in message
    assert "s3gate serve DIR" in message


def test_a_directory_that_cannot_be_entered_is_refused(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir(mode=0o000)
    try:
        message = refused(directory)
    finally:
        directory.chmod(0o755)

    assert f"{directory}: Permission denied" in message


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"mine")

    message = refused(path)

    assert str(path) in message
    assert path.read_bytes() == b"mine"


def test_a_bucket_directory_that_cannot_be_written_is_served_and_its_writes_are_denied(tmp_path):
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    (bucket / "object").write_bytes(b"there before")
    bucket.chmod(0o555)
    try:
        with PowerlessGateway(tmp_path, "--no-auth") as gateway:
            refusals = [ask(gateway, method, "/bucket/object", b"new") for method in ("PUT", "DELETE")]
            assert [(answer.status, answer.code) for answer in refusals] == [(403, "AccessDenied")] * 2
            assert ask(gateway, "GET", "/bucket/object").body == b"there before"
            assert ask(gateway, "PUT", "/other").status == 200
    finally:
        bucket.chmod(0o755)
    assert sorted(os.listdir(bucket)) == ["object"]


def test_a_port_in_use_is_refused_and_another_one_is_named(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        message = refused(tmp_path / "data", port=port)

    assert f"another program listens on port {port} already" in message
    assert "--listen 127.0.0.1:" in message
    assert not (tmp_path / "data").exists()


def test_the_port_of_another_gateway_is_in_use_too(tmp_path):
    with Gateway(tmp_path / "data", "--no-auth") as gateway:
        message = refused(tmp_path / "data", port=gateway.port)
        assert ask(gateway, "GET", "/").status == 200

    assert f"another program listens on port {gateway.port} already" in message


def test_a_full_disk_is_no_obstacle_to_a_second_start(tmp_path):
    with SmallDiskGateway(tmp_path / "small", "--no-auth", "--create-bucket", "bucket", size=1 << 20) as gateway:
        assert ask(gateway, "PUT", "/bucket/object", b"x" * 5000).status == 200
        fill(gateway.served / "bucket/filler")

        with Gateway(gateway.served, "--no-auth") as second:
            assert ask(second, "GET", "/bucket/object").body == b"x" * 5000
            assert ask(second, "PUT", "/bucket/object", b"y" * 5000).code == "InsufficientStorage"
            assert ask(second, "DELETE", "/bucket/filler").status == 204
            assert ask(second, "PUT", "/bucket/object", b"y" * 5000).status == 200
        assert ask(gateway, "GET", "/bucket/object").body == b"y" * 5000


def test_other_locks_than_those_of_the_directory_are_refused_with_the_remedy(tmp_path):
    with Gateway(tmp_path, "--no-auth", "--locks", "posix"):
        message = refused(tmp_path, "--locks", "flock")
    assert "locks of the kind posix" in message
    assert f"{tmp_path}/.s3gate/format.json" in message
    assert "--locks auto" in message
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket") as gateway:
        assert ask(gateway, "PUT", "/bucket/key", b"x").status == 200


def test_where_no_lock_excludes_several_workers_and_a_second_gateway_are_refused(tmp_path):
    message = refused(tmp_path, "--locks", "none")
    assert "--workers 1" in message
    assert "no other gateway" in message
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket", workers=1) as gateway:
        message = refused(tmp_path, "--workers", "1")
        assert "works on it already: stop that one first" in message
        assert ask(gateway, "PUT", "/bucket/key", b"x").status == 200
        repair = subprocess.run(
            [sys.executable, "-m", "s3gate", "fsck", "--repair", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (repair.returncode, "stop that one first" in repair.stderr) == (2, True)
    with Gateway(tmp_path, "--no-auth", workers=1) as gateway:
        assert ask(gateway, "GET", "/bucket/key").body == b"x"


def test_a_worker_that_was_killed_is_replaced_where_no_lock_excludes(tmp_path):
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket", "--locks", "none", workers=1) as gateway:
        (worker,) = workers(gateway.pid)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: workers(gateway.pid) not in ([worker], []), "another worker")
        assert ask(gateway, "PUT", "/bucket/key", b"x").status == 200
