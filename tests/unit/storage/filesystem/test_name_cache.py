"""Names in memory: every change that was acknowledged is seen, and a directory is read no oftener than it must be."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.storage.filesystem import directory_watch, name_cache
from s3gate.storage.filesystem.name_cache import NameCache

MANY = 3000  # names: enough to be watched


class Readings:
    """Counts how often a directory is read, and may do something after each reading."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.after = lambda: None
        read = name_cache.read_names

        def counted(fd, **arguments):
            self.count += 1
            names = read(fd, **arguments)
            self.after()
            return names

        monkeypatch.setattr(name_cache, "read_names", counted)


@pytest.fixture
def readings(monkeypatch):
    return Readings(monkeypatch)


@pytest.fixture
def cache() -> Iterator[NameCache]:
    cache = NameCache()
    yield cache
    cache.close()


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


@pytest.fixture
def old(monkeypatch):
    """Let the clock of this machine be an hour ahead: everything was changed long ago."""
    now = time.time_ns
    monkeypatch.setattr(name_cache.time, "time_ns", lambda: now() + 3600 * 10**9)


def fill(directory: Path, count: int = MANY) -> None:
    for number in range(count):
        (directory / f"{number:06}").touch()


def names(cache: NameCache, directory: Path, since: float | None = None) -> list[bytes]:
    fd = os.open(directory, os.O_RDONLY)
    try:
        return list(cache.get(fd, since=time.monotonic() if since is None else since).sorted)
    finally:
        os.close(fd)


def expected(directory: Path) -> list[bytes]:
    return sorted(os.listdir(os.fsencode(directory)))


def test_a_directory_that_did_not_change_is_read_once(cache, directory, readings, old):
    fill(directory, 10)
    assert [names(cache, directory) for _ in range(5)] == [expected(directory)] * 5
    assert readings.count == 1


def test_a_directory_that_was_changed_a_moment_ago_is_read_again(cache, directory, readings):
    fill(directory, 10)
    for _ in range(3):
        names(cache, directory)
    assert readings.count == 3


def test_a_large_directory_is_read_once_however_often_it_changes(cache, directory, readings):
    fill(directory)
    names(cache, directory)
    before = names(cache, directory)
    count = readings.count
    for number in range(200):
        (directory / f"new-{number}").touch()
        (directory / f"{number:06}").unlink()
        os.rename(directory / f"{number + 1000:06}", directory / f"renamed-{number}")
        assert names(cache, directory) == expected(directory)
    assert before != names(cache, directory)
    assert readings.count == count


def test_a_time_of_change_that_the_kernel_does_not_explain_has_the_directory_read(
    cache, directory, readings, monkeypatch
):
    fill(directory)
    names(cache, directory)
    names(cache, directory)
    count = readings.count
    monkeypatch.setattr(cache._watch, "take", lambda number: set())
    (directory / "untold").touch()
    assert names(cache, directory) == expected(directory)
    assert readings.count > count


def test_a_directory_is_read_when_the_kernel_lost_count_of_its_changes(cache, directory, readings, monkeypatch):
    fill(directory)
    names(cache, directory)
    names(cache, directory)
    monkeypatch.setattr(directory_watch, "_MOST_CHANGES", 10)
    count = readings.count
    for number in range(50):
        (directory / f"new-{number}").touch()
    assert names(cache, directory) == expected(directory)
    assert readings.count > count


def test_without_watches_every_change_has_a_large_directory_read(cache, directory, readings, monkeypatch, old):
    monkeypatch.setattr(cache._watch, "add", lambda fd: None)
    fill(directory)
    names(cache, directory)
    names(cache, directory)
    assert readings.count == 1
    for number in range(3):
        (directory / f"new-{number}").touch()
        assert names(cache, directory) == expected(directory)
    assert readings.count == 4


def test_the_clock_of_a_filesystem_that_others_share_is_not_trusted(cache, directory, readings, old, monkeypatch):
    monkeypatch.setattr(name_cache, "is_local", lambda fd: False)
    fill(directory, 10)
    names(cache, directory)
    names(cache, directory)
    assert readings.count == 2
    monkeypatch.setattr(name_cache, "_SETTLED_SECONDS", 0.0)  # as if the same time had been met long ago
    names(cache, directory)
    names(cache, directory)
    assert readings.count == 3


def test_a_time_of_modification_that_was_put_back_hides_no_change(cache, directory, old):
    fill(directory, 10)
    names(cache, directory)
    stat = os.stat(directory)
    (directory / "new").touch()
    os.utime(directory, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert names(cache, directory) == expected(directory)


@pytest.mark.parametrize("count", [10, MANY], ids=["small", "large"])
def test_what_changes_while_a_directory_is_read_is_in_its_names(cache, directory, readings, count):
    fill(directory, count)

    def change() -> None:
        if readings.count == 1:
            (directory / "meanwhile").touch()

    readings.after = change
    assert names(cache, directory) == expected(directory)


def test_requests_that_wait_for_a_reading_share_the_next_one(cache, directory, readings, monkeypatch):
    """And none of them gets names that were read before it began."""
    monkeypatch.setattr(cache._watch, "add", lambda fd: None)
    fill(directory, MANY)
    started, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert go_on.wait(30)

    readings.after = wait
    found: list[list[bytes]] = []
    first = threading.Thread(target=lambda: names(cache, directory))
    first.start()
    assert started.wait(30)
    (directory / "after-the-first-began").touch()
    since = time.monotonic()
    others = [threading.Thread(target=lambda: found.append(names(cache, directory, since))) for _ in range(5)]
    for other in others:
        other.start()
    go_on.set()
    for thread in (first, *others):
        thread.join(30)
    assert found == [expected(directory)] * 5
    assert readings.count == 2


def test_memory_is_bounded_and_what_was_not_asked_for_longest_goes_first(tmp_path, readings, old):
    cache = NameCache(capacity=100_000)
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        fill(tmp_path / str(number), 1000)
    for number in range(20):
        names(cache, tmp_path / str(number))
    assert cache._used <= 100_000
    assert readings.count == 20
    names(cache, tmp_path / "19")
    assert readings.count == 20
    names(cache, tmp_path / "0")
    assert readings.count == 21
    cache.close()


def test_the_directory_asked_for_last_stays_in_memory_whatever_its_size(directory, readings, old):
    cache = NameCache(capacity=1000)
    fill(directory)
    names(cache, directory)
    names(cache, directory)
    assert readings.count == 1
    cache.close()


@pytest.mark.parametrize("count", [0, MANY], ids=["small", "large"])
def test_a_change_that_another_process_acknowledged_is_always_seen(cache, directory, count):
    """A thousand changes, each listed right after it was told of."""
    fill(directory, count)
    names(cache, directory)
    told, tell = os.pipe()
    go, ask = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number in range(1000):
                path = directory / f"by-another-{number % 50}"
                if path.exists():
                    path.unlink()
                elif number % 3:
                    path.touch()
                else:
                    os.rename(_made(directory.parent / "staged"), path)
                os.write(tell, b"1" if path.exists() else b"0")
                os.read(go, 1)
        finally:
            os._exit(0)
    try:
        for number in range(1000):
            there = os.read(told, 1) == b"1"
            assert (f"by-another-{number % 50}".encode() in names(cache, directory)) == there
            os.write(ask, b".")
    finally:
        for fd in (told, tell, go, ask):
            os.close(fd)
        os.waitpid(child, 0)


def _made(path: Path) -> Path:
    path.touch()
    return path


def test_a_smaller_directory_that_is_listed_while_it_changes_is_not_read_each_time(cache, directory, readings):
    fill(directory, 200)
    for number in range(10):
        (directory / f"new-{number}").touch()
        assert names(cache, directory) == expected(directory)
        (directory / f"{number:06}").unlink()
        assert names(cache, directory) == expected(directory)
    assert readings.count <= 3


def test_a_few_names_are_read_again_and_not_watched(cache, directory, readings, monkeypatch):
    monkeypatch.setattr(cache._watch, "add", lambda fd: pytest.fail("watched"))
    fill(directory, 10)
    for number in range(5):
        (directory / f"new-{number}").touch()
        assert names(cache, directory) == expected(directory)
    assert readings.count >= 5
