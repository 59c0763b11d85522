"""conf/s3gate.service, as systemd reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import REPOSITORY, find_program

UNIT = REPOSITORY / "conf" / "s3gate.service"
INSTALLED = "/usr/local/bin/s3gate"
# Of 10, by which systemd measures what a service could do; about 9.6 without any hardening.
MOST_EXPOSED = 2


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    text = UNIT.read_text()
    assert text.count(INSTALLED) == 1
    path = tmp_path / "s3gate.service"
    path.write_text(text.replace(INSTALLED, sys.executable))
    return path


def analyze(*arguments: str | Path) -> str:
    command = [find_program("systemd-analyze"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_no_fault(unit: Path):
    assert analyze("verify", "--man=no", unit).strip() == ""


def test_the_service_can_do_little_besides(unit: Path):
    analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED * 10}", "--no-pager", unit)
