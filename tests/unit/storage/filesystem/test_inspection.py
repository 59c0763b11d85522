"""What the inspection of a data directory finds, and what it leaves as it is."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.checksums import Checksum
from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket
from s3gate.storage.filesystem import inspection, leftovers, records
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.durability import Durability
from s3gate.storage.filesystem.inspection import Finding, Inspection, Tally
from s3gate.storage.filesystem.ofd_locks import OfdLocks
from support.mutations import LARGE
from support.snapshot import snapshot
from support.stores import complete, get, put, put_part, set_versioning, start_upload


@pytest.fixture(autouse=True)
def _no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_SECOND_LOOK", 0.0)


def looked(root: Path, *, repair: bool = False, verify: bool = False) -> tuple[list[Finding], Tally]:
    """The findings of one bucket."""
    found: list[Finding] = []
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    with ThreadPoolExecutor(1) as executor:
        durability, locking = Durability("none", executor), OfdLocks()
        store = Store(fd, "inspection", executor, durability=durability, metadata="auto", locking=locking)
        run = Inspection(
            executor,
            repair=repair,
            verify_data=verify,
            report=found.append,
            tick=lambda tally: None,
            now_ns=time.time_ns(),
        )
        asyncio.run(run.bucket(BucketDirectory(store, "bucket")))
    os.close(fd)
    return found, run.tally


def kinds(found: Iterable[Finding]) -> dict[str, str]:
    """Paths below the bucket, with the kinds of what was found there."""
    return {os.fsdecode(each.path).removeprefix("bucket/"): each.kind for each in found}


def in_place(path: Path, data: bytes, *, keep_time: bool = False) -> None:
    """Change a file as a failing disk does (with its time kept), or another program."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    if keep_time:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def full(backend: FilesystemBackend, bucket: Bucket, runner: asyncio.Runner) -> Bucket:
    """A bucket with some of everything."""

    async def work() -> None:
        await put(backend, bucket, "plain", b"data", checksum=Checksum("CRC32", "rfPzYw=="))
        await put(backend, bucket, "dir/large", b"data", **LARGE)
        await put(backend, bucket, "dir", b"shadow")
        await put(backend, bucket, "odd//" + "k" * 300, b"data")
        await set_versioning(backend, bucket, "Enabled")
        await put(backend, bucket, "versions", b"one", **LARGE)
        await put(backend, bucket, "versions", b"two")
        await backend.delete_object(bucket, "plain", NO_CONDITION)
        upload = await start_upload(backend, bucket, "joined")
        parts = [await put_part(backend, bucket, upload, number, b"part %d" % number) for number in (1, 2)]
        await complete(backend, bucket, upload, parts)
        other = await start_upload(backend, bucket, "under way")
        await put_part(backend, bucket, other, 1, b"part")

    runner.run(work())
    return bucket


def test_a_healthy_store_in_use_has_no_findings_and_everything_is_counted(full, root):
    (root / "bucket/theirs").write_bytes(b"another program's")
    found, tally = looked(root, verify=True)
    assert found == []
    assert (tally.objects, tally.versions, tally.foreign) == (6, 3, 1)
    assert tally.bytes_read > 0


def test_looking_writes_nothing(full, root):
    (root / "bucket/.s3gate/tmp/gone").mkdir()
    before = snapshot(root)
    found, _ = looked(root, verify=True)
    assert kinds(found) == {".s3gate/tmp/gone": "stage"}
    assert snapshot(root) == before


def test_what_was_left_behind_is_repaired_and_the_next_look_is_clean(full, root):
    (root / "bucket/.s3gate/tmp/gone").mkdir()
    found, _ = looked(root, repair=True)
    assert [(each.kind, each.repaired) for each in found] == [("stage", True)]
    assert looked(root) == ([], looked(root)[1])


@pytest.mark.parametrize("key", ["dir/large", "versions"])
def test_damaged_contents_are_found_by_reading_them_and_only_so(key, full, root):
    in_place(root / "bucket" / key, b"X", keep_time=True)
    assert looked(root)[0] == []
    found, _ = looked(root, repair=True, verify=True)
    assert kinds(found) == {key: "damaged contents"}
    assert (root / "bucket" / key).read_bytes()[:1] == b"X"


def test_damage_in_an_older_version_and_in_a_part_is_found(full, root):
    (old,) = root.glob("bucket/.s3gate/v/.s3gate!versions/*")
    (part,) = root.glob("bucket/.s3gate/mpu/*/00001-*")
    (joint,) = root.glob("bucket/.s3gate/mpu/*/data")
    for path in (old, joint):
        in_place(path, b"X", keep_time=True)
    found, _ = looked(root, verify=True)
    assert kinds(found) == {str(path.relative_to(root / "bucket")): "damaged contents" for path in (old, part)}


def test_a_file_changed_by_another_program_is_a_note_and_no_fault(full, root):
    in_place(root / "bucket/versions", b"longer than before")
    ((finding),) = looked(root, verify=True)[0]
    assert (finding.kind, finding.fault) == ("changed outside", False)


def test_records_that_cannot_be_read_or_are_missing_are_found(full, root):
    os.setxattr(root / "bucket/versions", "user.s3gate", b"broken")
    name = records.decode(os.getxattr(root / "bucket/dir/large", "user.s3gate")).spill
    spill = root / f"bucket/.s3gate/x/{name[-2:]}/{name}"
    (other,) = {*root.glob("bucket/.s3gate/x/*/*")} - {spill}
    spill.unlink()
    other.write_bytes(b"broken")
    found = kinds(looked(root)[0])
    assert found.pop("versions") == "unreadable record"
    assert found.pop("dir/large") == "missing record"
    assert found.pop(str(other.relative_to(root / "bucket"))) == "unreadable record"
    ((path, kind),) = found.items()
    assert path.startswith(".s3gate/v/.s3gate!versions/")
    assert kind == "unreadable record"


def test_names_that_are_not_served_are_found(full, root):
    top = os.fsencode(root / "bucket")
    for name in (b"n" * 241, b"not utf-8 \xff", b".s3gate~", b".s3gate%plain"):
        with open(top + b"/" + name, "wb"):
            pass
    os.symlink("versions", top + b"/link")
    os.mkfifo(top + b"/fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{os.open(top, os.O_RDONLY)}/socket")
    found = kinds(looked(root)[0])
    assert found.pop("n" * 241) == "long name"
    assert {*found.values()} == {"hidden"}
    assert {os.fsencode(path) for path in found} == {
        b"not utf-8 \xff", b".s3gate~", b".s3gate%plain", b"link", b"fifo", b"socket",
    }  # fmt: skip


def test_files_that_stand_where_the_gateway_puts_none_are_found(full, root):
    control = root / "bucket/.s3gate"
    (upload,) = (control / "mpu").iterdir()
    strange = [control / "v/.s3gate!versions/notes", control / "v/notes", upload / "notes"]
    for path in strange:
        path.write_bytes(b"")
    assert kinds(looked(root)[0]) == {str(path.relative_to(root / "bucket")): "unknown file" for path in strange}


def test_an_upload_and_a_versioning_state_that_cannot_be_read_are_found(full, root):
    (upload,) = root.glob("bucket/.s3gate/mpu/*/upload")
    upload.write_bytes(b"broken")
    (root / "bucket/.s3gate/conf/versioning").write_bytes(b"Perhaps")
    found = kinds(looked(root)[0])
    assert found.pop(str(upload.relative_to(root / "bucket"))) == "unreadable upload"
    assert found == {".s3gate/conf/versioning": "unknown state"}


def test_files_and_directories_that_are_closed_to_us_are_found(full, root, monkeypatch):
    closed = {"versions", "odd"}
    whole = os.open

    def denied(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if path in {name.encode() for name in closed}:
            raise PermissionError(13, "Permission denied")
        return whole(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", denied)
    found = kinds(looked(root)[0])
    assert {found[name] for name in closed} == {"unreadable"}


async def test_a_sidecar_store_is_inspected_too(root, runner, monkeypatch):
    (root / "bucket").mkdir()
    backend = FilesystemBackend(str(root), durability="none", metadata="sidecar")
    await backend.start()
    bucket = await backend.find_bucket("bucket")
    for key in ("good", "bad", "gone"):
        await put(backend, bucket, key, b"data")
    assert await get(backend, bucket, "good") == b"data"
    await backend.stop()
    in_place(root / "bucket/bad", b"X", keep_time=True)
    (root / "bucket/gone").unlink()
    monkeypatch.setattr(leftovers, "GRACE_NS", -(10**12))

    found, _ = await asyncio.to_thread(looked, root, verify=True)
    assert sorted(each.kind for each in found) == ["damaged contents", "orphan record"]
