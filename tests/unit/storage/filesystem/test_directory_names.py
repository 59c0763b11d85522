"""Names that are brought up to date are those that reading the directory anew gives."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.storage.filesystem.directory_names import Names, read_names, update_names

NAMES = [
    "a", "b", ".s3gate=a", ".s3gate#..", ".s3gate%..", ".s3gate%", ".s3gate#", ".s3gate!a", ".s3gate&", ".hidden",
    "lost+found", ".s3gate", ".s3gate?", ".s3gate=.s3gate", "é", "x" * 200,
]  # fmt: skip
KINDS = ["file", "directory", "link", "fifo", "nothing"]


def put(directory: Path, name: str, kind: str) -> None:
    path = directory / name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match kind:
        case "file":
            path.touch()
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("a")
        case "fifo":
            os.mkfifo(path)


def shown(names: Names | None) -> object:
    return names and (list(names.sorted), dict(names.physical), names.flat)


@settings(deadline=None)
@given(
    before=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(KINDS)), max_size=10),
    after=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(KINDS)), max_size=10),
    histories=st.booleans(),
)
def test_names_after_changes_are_those_of_a_new_reading(before, after, histories):
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        for name, kind in before:
            put(directory, name, kind)
        fd = os.open(directory, os.O_RDONLY)
        try:
            names = read_names(fd, histories=histories)
            for name, kind in after:
                put(directory, name, kind)
            changed = {os.fsencode(name) for name, _ in after}
            assert shown(update_names(names, fd, changed, histories=histories)) == shown(
                read_names(fd, histories=histories)
            )
        finally:
            os.close(fd)


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_continuation_directory_is_for_a_new_reading_to_find(tmp_path, fd):
    names = read_names(fd)
    (tmp_path / (".s3gate+" + "a" * 240)).mkdir()
    assert update_names(names, fd, [b".s3gate+" + b"a" * 240]) is None


@pytest.mark.parametrize("kinds", [("nothing", "link"), ("link", "file"), ("link", "nothing")])
def test_a_link_that_came_or_went_is_for_a_new_reading_where_links_are_followed(tmp_path, fd, kinds):
    put(tmp_path, "l", kinds[0])
    names = read_names(fd, follow_links=True)
    put(tmp_path, "l", kinds[1])
    assert update_names(names, fd, [b"l"], follow_links=True) is None


def test_names_that_no_key_can_have_change_nothing(tmp_path, fd):
    (tmp_path / "a").touch()
    names = read_names(fd)
    updated = update_names(names, fd, [b".s3gate", b"lost+found", b"\xff", b".nfs" + b"0" * 24])
    assert shown(updated) == shown(names)
