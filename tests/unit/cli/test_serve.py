"""`s3gate serve` as a user meets it: real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.credentials import listing_with

SHOWN = re.compile(r"Access key: (\S+)\n.*Secret key: (\S+)\n", re.DOTALL)


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `s3gate serve` in an empty home on a free port."""
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str, **environ: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("S3GATE_", "AWS_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "s3gate", "serve", "--workers", "1", *argv],
            cwd=tmp_path,
            env={**clean, "HOME": str(tmp_path / "home"), "S3GATE_LISTEN": "127.0.0.1:0", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def banner_of(process: subprocess.Popen[str]) -> str:
    """What is printed until the last line of the banner."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if "mc alias set" in line:
            return text
    raise AssertionError(process.stderr.read() if process.stderr else text)


def stop(process: subprocess.Popen[str]) -> str:
    """Stop it; gives its log."""
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in log
    return log


def test_the_first_start_makes_random_credentials_and_shows_them_once(serve, tmp_path):
    path = tmp_path / "home" / ".s3gate" / "credentials.jsonl"
    first = serve()
    text = banner_of(first)
    stop(first)
    shown = SHOWN.search(text)
    record = json.loads(path.read_text())
    assert shown is not None
    assert shown.groups() == (record["access_key"], record["secret_key"])
    assert record["policy"] == "admin"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "data").is_dir()
    second = serve()
    text = banner_of(second)
    log = stop(second)
    assert record["secret_key"] not in text + log
    assert json.loads(path.read_text()) == record


@pytest.mark.parametrize("sighup", [True, False])
def test_a_running_gateway_takes_over_what_the_credential_command_changes(serve, tmp_path, sighup):
    process = serve("--cache-refresh-interval-secs", "3600" if sighup else "1")
    text = banner_of(process)
    port = re.search(r"http://127\.0\.0\.1:(\d+)", text)[1]
    keys = SHOWN.search(text).groups()
    path = tmp_path / "home" / ".s3gate" / "credentials.jsonl"
    assert listing_with(f"http://127.0.0.1:{port}", *keys) == "ok"
    command = [sys.executable, "-m", "s3gate", "credential", "disable", keys[0], "--credentials-path", path]
    subprocess.run(command, check=True, capture_output=True)
    if sighup:
        assert listing_with(f"http://127.0.0.1:{port}", *keys) == "ok"
        process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while listing_with(f"http://127.0.0.1:{port}", *keys) != "InvalidAccessKeyId":
        assert time.monotonic() < deadline
    stop(process)


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["--credential", "somekey:some-secret"], {}),
        ([], {"MINIO_ROOT_USER": "somekey", "MINIO_ROOT_PASSWORD": "some-secret"}),
        (["--no-auth"], {}),
    ],
)
def test_nothing_is_made_where_credentials_are_configured(serve, tmp_path, argv, environ):
    process = serve(*argv, **environ)
    text = banner_of(process)
    log = stop(process)
    assert SHOWN.search(text) is None
    assert "some-secret" not in text + log
    assert ("WARNING" in text) == ("--no-auth" in argv)
    assert not (tmp_path / "home").exists()


def test_a_port_in_use_is_told_before_anything_is_made(serve, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = serve("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        out, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert error.startswith("s3gate: Cannot listen on 127.0.0.1:")
    assert "--listen 127.0.0.1:" in error
    assert list(tmp_path.iterdir()) == []


def test_a_credentials_file_that_cannot_be_read_is_told(serve, tmp_path):
    process = serve("--credentials-path", str(tmp_path))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in error
    assert "--credentials-path" in error


def test_a_store_without_an_enabled_key_is_a_warning(serve, tmp_path):
    path = tmp_path / "credentials.jsonl"
    path.write_text('{"access_key": "key", "secret_key": "long-enough", "enabled": false}\n')
    path.chmod(0o600)
    process = serve("--credentials-path", str(path))
    text = banner_of(process)
    assert SHOWN.search(text) is None
    assert "no access key that is enabled" in stop(process)


def test_a_directory_that_cannot_be_made_is_told(serve, tmp_path):
    Path(tmp_path / "file").write_text("")
    process = serve(str(tmp_path / "file"))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.startswith("s3gate: ")
    assert "Traceback" not in error
