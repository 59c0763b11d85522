"""The kind of locks is found out by trial, written into the format marker, and the same for everybody."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from s3gate.identity.model import ROOT
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import layout, lock_choice, ofd_locks, probe, process_locks
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.lock_choice import KINDS
from s3gate.storage.filesystem.process_locks import NoLocks
from support.forks import in_child
from support.stores import REGION, get, put

_OFD = (fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK)
_POSIX = (fcntl.F_SETLK, fcntl.F_GETLK)


def lack(*commands: int, flock: bool = False) -> None:
    """In this process from here on: a mount without these locks, as FUSE is without those of open descriptions."""
    call = fcntl.fcntl

    def refused(fd: int, command: int, argument: Any = 0) -> Any:
        if command in commands:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return call(fd, command, argument)

    def no_flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    fcntl.fcntl = refused  # type: ignore[assignment]
    if flock:
        fcntl.flock = no_flock  # type: ignore[assignment]


def marker(root: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((root / ".s3gate/format.json").read_text())
    return fields


def served(root: Path, work: Callable[[FilesystemBackend], Awaitable[Any]], **settings: Any) -> Any:
    """What work gives on a backend that is started and stopped."""

    async def run() -> Any:
        backend = FilesystemBackend(str(root), durability="none", **settings)
        await backend.start()
        try:
            return await work(backend)
        finally:
            await backend.stop()

    return asyncio.run(run())


async def nothing(backend: FilesystemBackend) -> None:
    """Only start and stop."""


async def put_and_get(backend: FilesystemBackend) -> bytes:
    bucket = await backend.create_bucket("bucket", ROOT, REGION)
    await put(backend, bucket, "a/key", b"data")
    return await get(backend, bucket, "a/key")


@pytest.mark.parametrize(
    ("missing", "flock", "chosen"),
    [((), False, "ofd"), (_OFD, False, "posix"), (_OFD + _POSIX, False, "flock"), (_OFD + _POSIX, True, "none")],
)
def test_the_first_kind_that_the_mount_has_is_chosen_and_written_down(
    missing: tuple[int, ...], flock: bool, chosen: str, tmp_path: Path
) -> None:
    def start() -> bytes:
        lack(*missing, flock=flock)
        probe.require_locks(str(tmp_path), workers=1)
        data: bytes = served(tmp_path, put_and_get)
        return data

    assert in_child(start) == (0, b"data")
    assert marker(tmp_path)["locks"] == chosen


@pytest.mark.parametrize("name", list(KINDS))
def test_every_probe_leaves_the_directory_as_it_was(name: str, tmp_path: Path) -> None:
    assert lock_choice.exclude_processes(KINDS[name], os.fsencode(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_kind_that_keeps_nobody_out_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [os.fsencode(tmp_path)]
    monkeypatch.setattr(ofd_locks, "lock_byte", lambda *_: True)
    assert lock_choice.choose(places) == "posix"
    monkeypatch.setattr(process_locks, "lock_byte", lambda *_: True)
    assert lock_choice.choose(places) == "flock"
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)
    assert lock_choice.choose(places) == "none"


def test_a_marked_directory_whose_locks_keep_nobody_out_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.require_locks(str(tmp_path), workers=2)
    monkeypatch.setattr(ofd_locks, "lock_byte", lambda *_: True)
    for workers in (1, 2):
        with pytest.raises(StartError, match=r"kind ofd.*stop every gateway on it and write \"locks\": \"posix\" into"):
            probe.require_locks(str(tmp_path), workers=workers)
    (tmp_path / ".s3gate/format.json").write_text(json.dumps({**marker(tmp_path), "locks": "posix"}))
    probe.require_locks(str(tmp_path), workers=2)
    assert os.listdir(tmp_path / ".s3gate/locks") == []


def test_without_locks_several_workers_are_refused_and_one_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ofd_locks, "lock_byte", lambda *_: True)
        patch.setattr(process_locks, "lock_byte", lambda *_: True)
        patch.setattr(fcntl, "flock", lambda fd, how: None)
        with pytest.raises(StartError, match=r"--workers 1.*no other gateway"):
            probe.require_locks(str(tmp_path), workers=2)
        probe.require_locks(str(tmp_path), workers=1)
        assert served(tmp_path, put_and_get) == b"data"
    with pytest.raises(StartError, match=r"--workers 1.*write \"locks\": \"ofd\""):  # they work now
        probe.require_locks(str(tmp_path), workers=2)


def test_another_kind_than_the_one_written_down_is_refused_with_the_remedy(tmp_path: Path) -> None:
    served(tmp_path, nothing, locks="posix")
    served(tmp_path, nothing)
    assert marker(tmp_path)["locks"] == "posix"
    with pytest.raises(StartError, match=r"kind posix.*set to flock.*--locks auto.*write \"locks\": \"flock\""):
        served(tmp_path, nothing, locks="flock")
    with pytest.raises(StartError, match="set to ofd"):
        probe.require_locks(str(tmp_path), setting="ofd", workers=1)


def test_a_marker_of_the_first_gateways_means_their_locks_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    served(tmp_path, nothing)
    fields = marker(tmp_path)
    del fields["locks"]
    (tmp_path / ".s3gate/format.json").write_text(json.dumps(fields))
    assert layout.lock_kind(str(tmp_path)).name == "ofd"
    (tmp_path / ".s3gate/format.json").write_text(json.dumps({**fields, "locks": "lease"}))
    with pytest.raises(StartError, match=r"does not know \(lease\)"):
        served(tmp_path, nothing)


def test_of_gateways_that_start_at_once_the_marker_of_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = lock_choice.choose

    def other_first(places: list[bytes]) -> str:
        monkeypatch.setattr(lock_choice, "choose", choose)
        os.close(layout.open_root(str(tmp_path), read_only=False, locks="flock"))
        return "ofd"

    monkeypatch.setattr(lock_choice, "choose", other_first)
    assert served(tmp_path, put_and_get) == b"data"
    assert marker(tmp_path)["locks"] == "flock"
    assert sorted(os.listdir(tmp_path / ".s3gate")) == ["format.json", "locks", "new", "trash"]


def test_buckets_on_mounts_of_their_own_are_tried_too(tmp_path: Path) -> None:
    for name in ("plain", "mounted"):
        (tmp_path / name).mkdir()
    script = """
import os, sys
from s3gate.storage.filesystem.lock_choice import choose, places
root = sys.argv[1]
for found in (places(root), os.makedirs(root + "/mounted/.s3gate/locks") or places(root)):
    print(*(os.path.relpath(place.decode(), root) for place in found))
os.makedirs(root + "/.s3gate/locks")
print(choose(places(root)))
"""
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"']
    command += [str(tmp_path / "mounted"), sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        ".s3gate/locks mounted",
        ".s3gate/locks mounted/.s3gate/locks",
        "ofd",
    ]


def test_a_kind_must_work_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lock_choice, "exclude_processes", lambda kind, place: place == b"/one" or kind.name in ("flock", "none")
    )
    assert lock_choice.choose([b"/one"]) == "ofd"
    assert lock_choice.choose([b"/one", b"/other"]) == "flock"


def test_a_place_where_nothing_can_be_made_is_no_mark_against_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def full(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, flags, *arguments, **options)

    probe.require_locks(str(tmp_path), workers=2)
    monkeypatch.setattr(os, "open", full)
    probe.require_locks(str(tmp_path), workers=2)


# --- the process that is alone


def test_where_nothing_excludes_a_second_process_is_refused_and_served_when_the_first_has_stopped(
    tmp_path: Path,
) -> None:
    def second() -> None:
        with pytest.raises(StartError, match=rf"process {os.getppid()} on host .* stop that one first"):
            served(tmp_path, nothing)

    async def work(backend: FilesystemBackend) -> None:
        assert in_child(second)[0] == 0

    served(tmp_path, work, locks="none")
    assert in_child(lambda: served(tmp_path, put_and_get)) == (0, b"data")
    assert not (tmp_path / ".s3gate/locks/process").exists()


def test_the_claim_of_a_process_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    async def die(backend: FilesystemBackend) -> None:
        os.kill(os.getpid(), 9)

    assert in_child(lambda: served(tmp_path, die, locks="none"))[0] == -9
    assert (tmp_path / ".s3gate/locks/process").exists()
    assert served(tmp_path, put_and_get) == b"data"
    assert [path.name for path in (tmp_path / ".s3gate/locks").iterdir() if "process" in path.name] == []


@pytest.mark.parametrize("change", [{"boot": "another"}, {"namespace": "pid:[1]"}, {"started": 1, "boot": "x"}])
def test_a_claim_from_elsewhere_stands_until_a_person_removes_it(change: dict[str, Any], tmp_path: Path) -> None:
    async def copy(backend: FilesystemBackend) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads((tmp_path / ".s3gate/locks/process").read_text())
        return fields

    claim = served(tmp_path, copy, locks="none")
    for text in (json.dumps({**claim, **change}), "damaged"):
        (tmp_path / ".s3gate/locks/process").write_text(text)
        with pytest.raises(StartError, match=r"If it is gone for sure, remove .*/\.s3gate/locks/process"):
            served(tmp_path, nothing)
    (tmp_path / ".s3gate/locks/process").unlink()
    served(tmp_path, nothing)


def test_backends_of_one_process_share_its_claim(tmp_path: Path) -> None:
    async def work(backend: FilesystemBackend) -> None:
        other = FilesystemBackend(str(tmp_path))
        await other.start()
        await other.stop()
        assert (tmp_path / ".s3gate/locks/process").exists()

    served(tmp_path, work, locks="none")
    assert not (tmp_path / ".s3gate/locks/process").exists()


def test_one_that_is_alone_knows_its_own_files(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    kind = NoLocks(alone=True)
    lock = kind.take(fd, b"file")
    assert lock is not None
    assert kind.is_taken(fd, b"file")
    assert kind.take(fd, b"file") is None
    lock.close()
    assert not kind.is_taken(fd, b"file")
    os.close(fd)


def test_a_read_only_gateway_needs_no_claim(tmp_path: Path) -> None:
    async def work(backend: FilesystemBackend) -> None:
        def read() -> None:
            served(tmp_path, nothing, read_only=True)

        assert in_child(read)[0] == 0

    served(tmp_path, work, locks="none")
