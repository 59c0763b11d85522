"""Where parts are written: by the setting, and by what the filesystem can do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.storage.filesystem import placement
from s3gate.storage.filesystem.placement import PLACEMENTS, Placement, shares_blocks


class Trials:
    """A directory to try things out in, and how often that was done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.device = os.stat(path).st_dev

    @contextlib.contextmanager
    def __call__(self) -> Iterator[int]:
        self.count += 1
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    def decide(self, setting: str) -> bool:
        return Placement(setting).in_place(self.device, self)


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trials:
    """On a local filesystem with locks and without shared blocks, whatever the tests run on."""
    monkeypatch.setattr(placement, "fences_work", lambda fd: True)
    monkeypatch.setattr(placement, "_is_local", lambda device: True)
    monkeypatch.setattr(placement, "shares_blocks", lambda fd: False)
    return Trials(tmp_path)


def decisions(trials: Trials) -> dict[str, bool]:
    return {setting: trials.decide(setting) for setting in PLACEMENTS}


def test_parts_go_to_their_places_where_they_could_only_be_copied_there(trials):
    assert decisions(trials) == {"auto": True, "in-place": True, "separate": False}


def test_parts_are_separate_where_files_share_blocks_unless_it_is_said(trials, monkeypatch):
    monkeypatch.setattr(placement, "shares_blocks", lambda fd: True)
    assert decisions(trials) == {"auto": False, "in-place": True, "separate": False}


def test_parts_are_separate_where_other_hosts_may_write_unless_it_is_said(trials, monkeypatch):
    monkeypatch.setattr(placement, "_is_local", lambda device: False)
    assert decisions(trials) == {"auto": False, "in-place": True, "separate": False}


def test_parts_are_separate_where_locks_keep_nobody_out_whatever_is_said(trials, monkeypatch):
    monkeypatch.setattr(placement, "fences_work", lambda fd: False)
    assert decisions(trials) == {"auto": False, "in-place": False, "separate": False}


def test_a_filesystem_is_tried_once(trials):
    chosen = Placement("auto")
    for _ in range(3):
        assert chosen.in_place(trials.device, trials)
        assert chosen.can(trials.device, trials)
    assert trials.count == 2


def test_what_could_not_be_tried_is_separate_and_is_tried_again(trials, monkeypatch):
    def full(_fd: int) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    chosen = Placement("auto")
    with monkeypatch.context() as patch:
        patch.setattr(placement, "shares_blocks", full)
        assert not chosen.in_place(trials.device, trials)
    assert chosen.in_place(trials.device, trials)


def test_a_trial_of_shared_blocks_leaves_nothing_behind(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    assert shares_blocks(fd) in (True, False)
    assert os.listdir(tmp_path) == []
    os.close(fd)


def test_a_filesystem_is_local_by_its_type(tmp_path, monkeypatch):
    device = os.stat(tmp_path).st_dev
    row = "36 35 {}:{} / /mnt rw,noatime master:1 - {} source rw\n"
    kinds = {"ext4": True, "xfs": True, "nfs4": False, "fuse.sshfs": False, "cifs": False, "ceph": False}
    whole = open

    for kind, is_local in kinds.items():
        table = tmp_path / "mountinfo"
        table.write_text(row.format(os.major(device), os.minor(device), kind) + row.format(0, 999_999, "ext4"))
        monkeypatch.setattr("builtins.open", lambda path, *args, table=table, **more: whole(table, *args, **more))
        assert placement._is_local(device) is is_local, kind
        monkeypatch.undo()
