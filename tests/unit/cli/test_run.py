"""What `s3gate run` is asked wrongly is told before anything is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3gate.cli.main import main


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two directories, one of them with a file and a directory in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full/inner").mkdir(parents=True)
    (tmp_path / "full/file").touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "name"], "NAME=DIR"),
        (["--input", "name="], "NAME=DIR"),
        (["--input", "name=:ro"], "NAME=DIR"),
        (["--input", "=."], "cannot be a bucket"),
        (["--input", "a/b=."], "cannot be a bucket"),
        (["--input", ".s3gate=."], "cannot be a bucket"),
        (["--input", "name=none"], "No such file"),
        (["--input", "name=full/file"], "Not a directory"),
        (["--input", "name=.", "--input", "name=empty:ro"], "already"),
        (["--input", "out=full", "--out", "empty"], "another name"),
        (["--input", "name=.", "--out", "new"], "overlap"),
        (["--input", "name=.", "--out", "empty"], "overlap"),
        (["--input", "name=full/inner", "--out", "full"], "overlap"),
        (["--input", "name=empty", "--out", "empty"], "overlap"),
        (["--out", "full"], "not empty"),
        (["--out", "full/file"], "Not a directory"),
        (["--out", "none/none"], "make it first"),
        (["--region", "a b"], "region"),
    ],
)
def test_it_is_told_with_the_remedy_and_nothing_runs(
    place: Path, arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments, "--", "touch", "ran"]) == 125
    shown = capfd.readouterr()
    assert shown.err.startswith("s3gate: ")
    assert words in shown.err
    assert shown.out == ""
    assert sorted(os.listdir(place)) == ["empty", "full"]


@pytest.mark.parametrize("arguments", [[], ["--"], ["--out", "new"]])
def test_a_command_is_needed(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *arguments]) == 125
    assert "There is no command to run" in capfd.readouterr().err


def test_a_directory_beside_another_of_a_longer_name_does_not_overlap_it(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "empty-too").mkdir()
    (place / "empty-too/file").touch()
    assert main(["run", "--input", "name=empty", "--out", "empty-too", "--", "true"]) == 125
    assert "is not empty" in capfd.readouterr().err
