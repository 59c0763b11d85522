"""Started with closed standard descriptors the program works, and nothing it opens gets their numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OPENS = """
import os, sys
from s3gate.cli.standard_streams import fill_in
fill_in()
print("told", flush=True)
print("told", file=sys.stderr, flush=True)
with open(sys.argv[1], "w") as told:
    told.write(str(os.open(os.devnull, os.O_RDONLY) > 2))
"""


def closed(which: str, *command: str) -> int:
    """The status of a Python command that is started with these descriptors closed."""
    return subprocess.run(["sh", "-c", f'exec "$@" {which}', "sh", sys.executable, *command], timeout=60).returncode


@pytest.mark.parametrize("which", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_opened_later_is_no_standard_descriptor(tmp_path: Path, which: str):
    assert closed(which, "-c", OPENS, str(tmp_path / "told")) == 0
    assert (tmp_path / "told").read_text() == "True"


@pytest.mark.parametrize("which", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_gateway_for_a_command_serves_without_them(tmp_path: Path, which: str):
    script = "import os, urllib.request; urllib.request.urlopen(os.environ['S3_ENDPOINT'] + '/healthz')"
    run = ("-m", "s3gate", "run", "--workers", "1", "--out", str(tmp_path / "out"), "--", sys.executable, "-c", script)
    assert closed(which, *run) == 0
    assert (tmp_path / "out").is_dir()
