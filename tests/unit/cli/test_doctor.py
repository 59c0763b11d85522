"""`s3gate doctor`: a table of what was tried, and an exit status that says what it comes to."""

from __future__ import annotations

import json
import os

import pytest

from s3gate.cli.main import main
from s3gate.storage.filesystem import capabilities
from s3gate.storage.filesystem.capabilities import FATAL, FINE, LIMIT, NOTE, Capability


def levels(monkeypatch, *wanted):
    probes = tuple(lambda place, level=level: Capability(f"a {level}", level, "no", "then that") for level in wanted)
    monkeypatch.setattr(capabilities, "_PROBES", probes)


@pytest.mark.parametrize(
    ("wanted", "status", "verdict"),
    [
        ((FINE, NOTE), 0, "it can be served"),
        ((FINE, NOTE, LIMIT), 1, "it can be served, with the limits above"),
        ((LIMIT, FATAL, FINE), 2, "it cannot be served"),
    ],
)
def test_the_worst_thing_found_decides(wanted, status, verdict, tmp_path, capsys, monkeypatch):
    levels(monkeypatch, *wanted)
    assert main(["doctor", str(tmp_path)]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{tmp_path}: ")
    assert [line.split()[0] for line in lines[2:-2]] == list(wanted)
    assert lines[-1] == f"{tmp_path}: {verdict}"


def test_a_real_directory_is_tried_out_and_left_as_it_was(tmp_path, capsys):
    (tmp_path / "bucket").mkdir()
    assert main(["doctor", str(tmp_path)]) in (0, 1)
    assert "hard links: yes" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["bucket"]


def test_json_has_an_object_a_line(tmp_path, capsys, monkeypatch):
    levels(monkeypatch, FINE, LIMIT)
    assert main(["doctor", "--json", str(tmp_path)]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[1] == {"name": "a limit", "level": "limit", "found": "no", "effect": "then that"}
    assert len(found) == 2


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_directory_cannot_be_served(name, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert main(["doctor", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert "cannot be tried out" in captured.err
    assert not (tmp_path / "missing").exists()
