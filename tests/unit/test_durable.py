from __future__ import annotations

import os
import stat

import pytest

from s3gate import durable


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_gets_the_data_and_exactly_the_mode_whatever_the_umask(tmp_path, sync):
    before = os.umask(0o077)
    try:
        durable.write_file(tmp_path / "a", b"data", mode=0o644, durable=sync)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_replaced_by_a_new_one_so_that_who_has_the_old_one_open_keeps_it(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as reader:
        durable.write_file(os.fsencode(tmp_path / "a"), b"new", mode=0o600)
        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_the_data_is_synced_before_the_rename_and_the_directory_after_it(tmp_path, monkeypatch):
    calls: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "rename")}

    def fsync(descriptor):
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real["fsync"](descriptor)

    def rename(*args):
        calls.append("rename")
        real["rename"](*args)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    durable.write_file(tmp_path / "a", b"x", mode=0o600)
    assert calls == ["file", "rename", "directory"]
    calls.clear()
    durable.write_file(tmp_path / "a", b"x", mode=0o600, durable=False)
    assert calls == ["rename"]


def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_file(tmp_path / "a", b"new", mode=0o600)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_write_that_the_kernel_takes_in_pieces_is_whole(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    durable.write_file(tmp_path / "a", b"0123456789", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    durable.write_file(tmp_path / ("n" * 255), b"x", mode=0o600)
    assert os.listdir(tmp_path) == ["n" * 255]


def test_a_relative_path_without_a_directory_is_in_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    durable.write_file("a", b"x", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"x"
