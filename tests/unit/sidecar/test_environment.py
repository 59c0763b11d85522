"""The variables that a command gets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from s3gate.sidecar.environment import UNSET, variables, write_env_file

ENDPOINT = "http://127.0.0.1:4711"


def test_the_endpoint_has_all_its_names_and_credentials_are_there() -> None:
    found = variables(ENDPOINT, "eu-west-1", {})
    assert [found[name] for name in ("S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")] == [ENDPOINT] * 3
    assert [found[name] for name in ("AWS_REGION", "AWS_DEFAULT_REGION")] == ["eu-west-1"] * 2
    assert found["AWS_ACCESS_KEY_ID"]
    assert found["AWS_SECRET_ACCESS_KEY"]
    assert not set(UNSET) & set(found)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"no_proxy": "intern"}, None),
        ({"http_proxy": ""}, None),
        ({"http_proxy": "http://proxy:8080"}, "127.0.0.1"),
        ({"ALL_PROXY": "http://proxy:8080", "NO_PROXY": "intern,.local"}, "intern,.local,127.0.0.1"),
    ],
)
def test_a_proxy_is_not_asked_for_the_gateway(environ: dict[str, str], expected: str | None) -> None:
    found = variables(ENDPOINT, "r", environ)
    assert (found.get("no_proxy"), found.get("NO_PROXY")) == (expected, expected)


def test_the_file_has_a_variable_a_line_and_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "env"
    write_env_file(str(path), {"A": "1", "B": "x y"})
    assert path.read_text() == "A=1\nB=x y\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_plain_file_is_written_to_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_env_file(str(path), {"A": "1"})
        assert os.read(reader, 100) == b"A=1\n"
    finally:
        os.close(reader)
    assert path.is_fifo()
