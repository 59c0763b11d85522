"""What many deletions share: an open directory, and the closing of what is gone."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.conditions import NO_CONDITION
from s3gate.storage.backend import Removal
from s3gate.storage.filesystem import batch_deletion, deletion
from s3gate.storage.filesystem.kept_parent import KeptParent
from s3gate.storage.filesystem.objects import KEYS, Changes, locked_state
from s3gate.storage.filesystem.paths import place
from s3gate.storage.filesystem.tree import Found
from support.stores import keys, put, set_versioning


def found(handle, key: bytes, kept: KeptParent) -> bytes | None:
    """The contents that stand at a key as a writer finds them."""
    changes = Changes(False)
    with locked_state(handle, key, place(key), changes, kept) as state:
        contents = None if state.found is None else os.pread(state.found.fd, 100, 0)
    for file in changes.files:
        os.close(file.fd)
    return contents


async def test_what_stands_in_a_directory_that_took_the_place_of_the_kept_one_is_found(root: Path, backend, bucket):
    await put(backend, bucket, "dir/a", b"1")
    handle, kept = backend._handle("bucket"), KeptParent()
    assert found(handle, b"dir/a", kept) == b"1"
    (root / "bucket/dir").rename(root / "bucket/moved")
    await put(backend, bucket, "dir/b", b"2")
    assert found(handle, b"dir/b", kept) == b"2"
    assert found(handle, b"dir/a", kept) is None
    assert found(handle, b"other/a", kept) is None
    kept.forget()


async def test_a_key_whose_lock_is_held_is_waited_for(backend, bucket):
    await put(backend, bucket, "key", b"1")
    handle = backend._handle("bucket")
    async with handle.locks.hold(KEYS, b"key"):
        assert deletion.remove_at_once(handle, "key", NO_CONDITION, None) is None
        waiting = asyncio.create_task(backend.delete_objects(bucket, [Removal("key")]))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert await keys(backend, bucket) == ["key"]
    await waiting
    assert await keys(backend, bucket) == []


async def test_no_directory_is_kept_while_a_task_waits(root: Path, backend, bucket):
    await set_versioning(backend, bucket, "Enabled")
    bucket = await backend.find_bucket("bucket")
    held = await put(backend, bucket, "dir/held", b"1")
    other = await put(backend, bucket, "dir/other", b"2")
    removals = [Removal("dir/held", NO_CONDITION, "null"), Removal("dir/held", NO_CONDITION, held.version_id)]
    removals.append(Removal("dir/other", NO_CONDITION, other.version_id))
    async with backend._handle("bucket").locks.hold(KEYS, b"dir/held"):
        deleting = asyncio.create_task(backend.delete_objects(bucket, removals))
        await asyncio.sleep(0.05)
        assert not deleting.done()
        (root / "bucket/dir").rename(root / "bucket/moved")
        (root / "bucket/dir").mkdir()
    await deleting
    assert (root / "bucket/moved/held").read_bytes() == b"1", "what stands at another key by now was deleted"


async def test_directories_that_an_attempt_in_vain_has_changed_are_synced(backend, bucket, monkeypatch):
    await put(backend, bucket, "key", b"1")
    handle, synced = backend._handle("bucket"), []

    def in_vain(*arguments: object) -> None:
        (changes,) = [argument for argument in arguments if isinstance(argument, Changes)]
        changes.directories.append(os.dup(handle.fd))

    monkeypatch.setattr(deletion, "_delete", in_vain)
    monkeypatch.setattr(type(handle.durability), "sync_directory", lambda _, fd: synced.append(os.fstat(fd).st_ino))
    assert deletion.remove_at_once(handle, "key", NO_CONDITION, None) is None
    assert synced == [handle.stat.st_ino]


async def test_deleting_leaves_no_descriptor_open(root: Path, backend, bucket):
    names = [f"{n % 7}/{n}" for n in range(300)]
    for name in names:
        await put(backend, bucket, name)
    await backend.delete_objects(bucket, [Removal(name) for name in names])
    await asyncio.get_running_loop().run_in_executor(backend._handle("bucket").store.executor, int)
    for _ in range(100):
        if not gone(root):
            break
        await asyncio.sleep(0.05)
    assert gone(root) == []


def gone(root: Path) -> list[str]:
    """The files below a directory that are open and have no name any more."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(root)) and link.endswith(" (deleted)")]


@given(st.sets(st.integers(3, 60)))
def test_runs_are_the_descriptors_and_no_others(fds: set[int]):
    runs = batch_deletion._runs(list(fds))
    assert [fd for run in runs for fd in run] == sorted(fds)
    assert all(before.stop < after.start for before, after in pairwise(runs))


async def test_closing_touches_no_descriptor_of_others(tmp_path: Path, runner):
    (tmp_path / "file").write_bytes(b"")
    fds = [os.open(tmp_path / "file", os.O_RDONLY) for _ in range(20)]
    theirs, ours = fds[::3], [fd for fd in fds if fd not in fds[::3]]
    with ThreadPoolExecutor(1) as executor:
        closing = batch_deletion._Closing(executor)
        closing.add([Found(fd, os.fstat(fd), False) for fd in ours])
        closing.flush()
    for fd in theirs:
        os.close(fd)  # an OSError where it was closed already
    assert not [fd for fd in ours if Path(f"/proc/self/fd/{fd}").exists()]
