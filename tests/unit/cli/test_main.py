from __future__ import annotations

import subprocess
import sys

import pytest

from s3gate import __version__
from s3gate.cli.main import main


def status_of(*argv: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return caught.value.code


def test_the_version_is_a_flag_and_a_command(capsys):
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"s3gate {__version__}\n"
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"s3gate {__version__} (Python 3.")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["credential"],
        ["config"],
        ["nothing"],
        ["serve", "--listn", ":1"],
        ["credential", "add"],
        ["serve", "a", "b"],
    ],
)
def test_a_command_that_makes_no_sense_is_a_usage_error(argv, capsys):
    assert status_of(*argv) == 2
    assert "usage: s3gate" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["serve", "--help"], ["credential", "generate", "--help"]])
def test_there_is_help_everywhere(argv, capsys):
    assert status_of(*argv) == 0
    assert capsys.readouterr().out.startswith("usage: s3gate")


def test_a_configuration_that_is_wrong_is_a_usage_error_without_a_traceback(capsys):
    assert main(["serve", "--workers", "many", "--region", "/"]) == 2
    error = capsys.readouterr().err
    assert "--workers: " in error
    assert "--region: " in error
    assert "Traceback" not in error


def test_the_package_is_the_command_and_a_reader_that_has_seen_enough_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "s3gate", "config", "reference"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
