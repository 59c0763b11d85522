"""What a filesystem can do is found out by trying, and one that lacks something is told by it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import capabilities, layout, ofd_locks, probe, process_locks
from s3gate.storage.filesystem.capabilities import FATAL, FINE, LIMIT, NOTE, Capability, examine
from s3gate.storage.filesystem.mounts import mount_at


def tried(directory: Path) -> dict[str, Capability]:
    """What is found, by name; nothing may be left behind."""
    before = sorted(os.listdir(directory))
    found = {each.name: each for each in examine(str(directory))}
    assert sorted(os.listdir(directory)) == before
    return found


def refuse(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: Callable[..., bool] = lambda *a, **k: True):
    """Let a system call fail as it does where it is not supported."""
    call = getattr(module, name)

    def refused(*arguments: Any, **options: Any) -> Any:
        if when(*arguments, **options):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return call(*arguments, **options)

    monkeypatch.setattr(module, name, refused)


def test_an_ordinary_filesystem_has_all_that_is_needed(tmp_path: Path) -> None:
    found = tried(tmp_path)
    assert {each.level for name, each in found.items() if not name.startswith("free")} <= {FINE, NOTE}
    assert found["longest name"].found == "255 bytes"
    assert found["names that differ in case"].found == "yes"


def test_the_filesystem_is_named(tmp_path: Path) -> None:
    assert " on " in str(mount_at(str(tmp_path)))
    assert str(mount_at("/proc")).startswith("proc on proc")


def test_the_largest_attribute_is_found_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for most, level in ((2999, LIMIT), (3000, FINE), (3001, FINE), (40_000, FINE), (0, LIMIT)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "setxattr", lambda fd, name, value, most=most: _up_to(most, value))
            found = tried(tmp_path)["attributes"]
        assert found.level == level
        assert found.found == (f"values up to {most:,} bytes" if most else "none")


def _up_to(most: int, value: bytes) -> None:
    if len(value) > most:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("module", "call", "name", "level"),
    [
        (os, "link", "hard links", FATAL),
        (os, "rename", "rename over a file that is read", FATAL),
        (os, "fsync", "fsync of directories", LIMIT),
        (os, "copy_file_range", "copy_file_range", NOTE),
        (fcntl, "ioctl", "reflink", NOTE),
        (fcntl, "flock", "flock", NOTE),
        (fcntl, "fcntl", "OFD locks", NOTE),
        (fcntl, "fcntl", "POSIX locks", NOTE),
    ],
)
def test_what_fails_is_found(
    module: Any, call: str, name: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, module, call)
    found = tried(tmp_path)[name]
    assert (found.found, found.level) == ("no", level)


def test_locks_that_keep_nobody_out_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ofd_locks, "lock_byte", lambda *_: True)
    found = tried(tmp_path)
    assert (found["OFD locks"].found, found["locks between processes"].found) == ("no", "posix")
    monkeypatch.setattr(process_locks, "lock_byte", lambda *_: True)
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)
    found = tried(tmp_path)
    assert {found[name].found for name in ("OFD locks", "POSIX locks", "flock")} == {"no"}
    assert (found["locks between processes"].level, found["locks between processes"].found) == (LIMIT, "none")
    assert "--workers 1" in found["locks between processes"].effect


def test_the_locks_of_a_served_directory_are_those_of_its_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(layout.open_root(str(tmp_path), read_only=False, locks="flock"))
    assert tried(tmp_path)["locks between processes"].found == "flock"
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)
    found = tried(tmp_path)["locks between processes"]
    assert (found.level, found.found) == (FATAL, "flock, not working")


def test_names_that_are_refused_or_too_long_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_refused(path: Any, flags: int, *arguments: Any, **options: Any) -> bool:
        name = os.fsencode(path).rpartition(b"/")[2]
        return bool(flags & os.O_EXCL) and (b":" in name or len(name) > 143)

    refuse(monkeypatch, os, "open", is_refused)
    found = tried(tmp_path)
    assert (found["odd bytes in names"].level, found["odd bytes in names"].found) == (LIMIT, "not 'a:b'")
    assert (found["longest name"].level, found["longest name"].found) == (LIMIT, "143 bytes")
    assert "135 bytes" in found["longest name"].effect


def test_coarse_times_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utime = os.utime

    def coarse(fd: int, *, ns: tuple[int, int]) -> None:
        utime(fd, ns=(ns[0] // (2 * 10**9) * 2 * 10**9, ns[1] // (2 * 10**9) * 2 * 10**9))

    monkeypatch.setattr(os, "utime", coarse)
    found = tried(tmp_path)["modification times"]
    assert (found.level, found.found) == (LIMIT, "to 2 s")


@pytest.mark.parametrize(
    ("marker", "name", "words"),
    [
        (b"-probe-A", "names that differ in case", "upper and lower case"),
        ("e\u0301".encode(), "names that differ in Unicode form", "Unicode forms"),
    ],
)
def test_a_filesystem_that_takes_two_names_for_one_is_found_and_refused_at_start(
    marker: bytes, name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: os.fsencode(path).endswith(marker) or lexists(path))
    assert tried(tmp_path)[name].level == FATAL
    with pytest.raises(StartError, match=f"differ in their {words}.*Serve a directory"):
        probe.require_exact_names(str(tmp_path))
    assert os.listdir(tmp_path / ".s3gate/new") == []


def test_a_filesystem_that_changes_names_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir
    accent, plain = "\u00e9".encode(), "e\u0301".encode()

    def changed(path: Any) -> Any:
        return [name.replace(accent, plain) if isinstance(name, bytes) else name for name in listdir(path)]

    monkeypatch.setattr(os, "listdir", changed)
    assert {each.name: each for each in examine(str(tmp_path))}["names that differ in Unicode form"].level == FATAL


def test_names_that_are_kept_apart_are_served(tmp_path: Path) -> None:
    probe.require_exact_names(str(tmp_path))
    assert os.listdir(tmp_path / ".s3gate/new") == []


def test_a_full_disk_is_served_untried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.require_exact_names(str(tmp_path))

    def full(path: Any, *arguments: Any, **options: Any) -> None:
        if os.path.exists(path):
            raise FileExistsError(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "mkdir", full)
    probe.require_exact_names(str(tmp_path))


def test_an_error_in_the_middle_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(place: Any) -> Capability:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(capabilities, "_PROBES", (*capabilities._PROBES[:3], broken))
    with pytest.raises(OSError, match="Input/output"):
        list(examine(str(tmp_path)))
    assert os.listdir(tmp_path) == []


def test_little_space_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(os.statvfs(tmp_path))
    values[4], values[7] = 1, 1  # f_bavail, f_favail
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))
    found = tried(tmp_path)
    assert (found["free space"].level, found["free inodes"].level) == (LIMIT, LIMIT)
