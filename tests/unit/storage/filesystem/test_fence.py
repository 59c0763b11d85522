"""A lock on a file that writers share, and that keeps them out when it is held alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from s3gate.storage.filesystem import fence
from s3gate.storage.filesystem.fence import fences_work, try_lock
from support.forks import fork, in_child, status_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"")
    return path


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def test_many_share_and_one_alone_has_to_wait_for_all_of_them(path):
    sharing = [opened(path) for _ in range(3)]
    alone = opened(path)
    assert all(try_lock(fd, shared=True) for fd in sharing)
    while sharing:
        assert not try_lock(alone, shared=False)
        os.close(sharing.pop())
    assert try_lock(alone, shared=False)
    os.close(alone)


def test_who_has_it_alone_keeps_all_others_out(path):
    alone, other = opened(path), opened(path)
    assert try_lock(alone, shared=False)
    assert not try_lock(other, shared=True)
    assert not try_lock(other, shared=False)
    os.close(alone)
    assert try_lock(other, shared=True)
    os.close(other)


def test_closing_another_opening_of_the_file_unlocks_nothing(path):
    sharing, other, alone = opened(path), opened(path), opened(path)
    assert try_lock(sharing, shared=True)
    os.close(other)
    assert not try_lock(alone, shared=False)
    os.close(sharing)
    os.close(alone)


def test_processes_keep_one_another_out_and_a_killed_one_holds_nothing(path):
    source, target = os.pipe()

    def hold() -> None:
        assert try_lock(opened(path), shared=True)
        os.write(target, b"x")
        signal.pause()

    child = fork(hold)
    os.read(source, 1)
    fd = opened(path)
    assert not try_lock(fd, shared=False)
    assert in_child(lambda: try_lock(opened(path), shared=True)) == (0, True)
    os.kill(child, signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL
    assert try_lock(fd, shared=False)
    for each in (fd, source, target):
        os.close(each)


def test_a_file_that_cannot_be_locked_is_not_locked(path):
    fd = os.open(path, os.O_RDONLY)
    assert not try_lock(fd, shared=False)
    os.close(fd)


def test_locks_that_keep_nobody_out_are_found_out_and_the_trial_leaves_nothing(tmp_path, monkeypatch):
    directory = os.open(tmp_path, os.O_RDONLY)
    assert fences_work(directory)
    for answer in (True, False):
        monkeypatch.setattr(fence, "try_lock", lambda fd, *, shared, answer=answer: answer)
        assert not fences_work(directory)
    assert os.listdir(tmp_path) == []
    os.close(directory)
