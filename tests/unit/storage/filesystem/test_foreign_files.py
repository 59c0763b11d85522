"""With `foreign_etags = md5` files of other programs get the MD5 of their contents, and nothing else changes."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.values import Bucket
from s3gate.server.app import create_app
from s3gate.settings import Settings
from s3gate.storage.backend import ListQuery
from s3gate.storage.filesystem import foreign_files
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.asgi import sample_gateway
from support.ordinary_user import as_ordinary_user, own, shared_directory
from support.stores import error_code, get, put, set_versioning, version_ids


@pytest.fixture(params=["xattr", "sidecar"])
def backend(
    request: pytest.FixtureRequest, root: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FilesystemBackend]:
    """A gateway for which every file is at rest."""
    monkeypatch.setattr(foreign_files, "SETTLED_NS", 0)
    backend = FilesystemBackend(str(root), durability="none", metadata=request.param)
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def directory(root: Path, bucket: Bucket) -> Path:
    """The directory of the bucket."""
    return root / "bucket"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


async def etags(backend: FilesystemBackend, bucket: Bucket) -> dict[str, str]:
    """The ETags of all keys, which LIST and HEAD agree on."""
    page = await backend.list_objects(bucket, ListQuery())
    for listed in page.objects:
        assert await backend.stat_object(bucket, listed.key) == listed.record
    return {listed.key: listed.record.etag for listed in page.objects}


async def test_files_of_other_programs_get_the_md5_of_their_contents(backend, bucket, directory) -> None:
    (directory / "sub").mkdir()
    for name, data in (("page.html", b"<p>"), ("sub/empty", b""), ("sub/large", b"x" * (9 << 20))):
        (directory / name).write_bytes(data)
    ours = await put(backend, bucket, "ours", b"ours")
    before = {name: await backend.stat_object(bucket, name) for name in ("page.html", "sub/empty", "sub/large")}

    assert await backend.hash_foreign_files() == 3

    assert await etags(backend, bucket) == {
        "ours": ours.etag,
        "page.html": md5(b"<p>"),
        "sub/empty": md5(b""),
        "sub/large": md5(b"x" * (9 << 20)),
    }
    for name, record in before.items():
        now = await backend.stat_object(bucket, name)
        assert (now.size, now.modified_ns, now.headers) == (record.size, record.modified_ns, record.headers)
        assert "-" in record.etag


async def test_no_file_is_hashed_twice(backend, bucket, directory) -> None:
    (directory / "file").write_bytes(b"x")

    assert [await backend.hash_foreign_files() for _ in range(2)] == [1, 0]


async def test_the_modification_time_and_the_contents_stay(backend, bucket, directory) -> None:
    (directory / "file").write_bytes(b"x")
    os.utime(directory / "file", ns=(1, 1_500_000_000_123_456_789))

    assert await backend.hash_foreign_files() == 1

    assert (directory / "file").stat().st_mtime_ns == 1_500_000_000_123_456_789
    assert (directory / "file").read_bytes() == b"x"


async def test_a_file_that_is_changed_in_place_gets_its_new_md5_and_keeps_what_it_has_of_headers(
    backend, bucket, directory
) -> None:
    await put(backend, bucket, "key", b"old", headers={"content-type": "text/x"}, user_metadata={"a": "b"})
    with (directory / "key").open("ab") as file:
        file.write(b" and new")
    before = await backend.stat_object(bucket, "key")
    assert "-" in before.etag

    assert await backend.hash_foreign_files() == 1

    record = await backend.stat_object(bucket, "key")
    assert record.etag == md5(b"old and new")
    assert (record.headers, record.user_metadata) == (before.headers, before.user_metadata)


async def test_a_hashed_file_that_is_changed_loses_the_etag_at_once(backend, bucket, directory) -> None:
    (directory / "file").write_bytes(b"one")
    await backend.hash_foreign_files()
    (directory / "file").write_bytes(b"other")

    assert "-" in (await etags(backend, bucket))["file"]


async def test_a_file_that_has_just_changed_waits(backend, bucket, directory, monkeypatch) -> None:
    monkeypatch.setattr(foreign_files, "SETTLED_NS", 3600 * 10**9)
    (directory / "file").write_bytes(b"x")
    os.utime(directory / "file", (1, 1))  # a time of modification is set by anybody, that of change by the kernel

    assert await backend.hash_foreign_files() == 0
    assert "-" in (await etags(backend, bucket))["file"]


def during_the_hash(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Have `change` happen when a file has been read, and its key is not locked yet."""
    hash_file = foreign_files._md5

    async def hash_and_change(*args: Any) -> str:
        etag = await hash_file(*args)
        change()
        return etag

    monkeypatch.setattr(foreign_files, "_md5", hash_and_change)


@pytest.mark.parametrize("change", ["append", "same size", "time put back", "truncate", "replace", "remove", "move"])
async def test_a_file_that_changes_while_it_is_hashed_gets_nothing(
    backend, bucket, directory, monkeypatch, change
) -> None:
    path = directory / "file"
    path.write_bytes(b"before")
    other = directory / "zother"

    def do() -> None:
        match change:
            case "append":
                path.write_bytes(b"before and after")
            case "same size":
                path.write_bytes(b"behind")
            case "time put back":
                times = path.stat()
                path.write_bytes(b"behind")
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            case "truncate":
                os.truncate(path, 2)
            case "replace":
                other.write_bytes(b"behind")
                os.replace(other, path)
            case "remove":
                path.unlink()
            case "move":
                os.rename(path, other)

    during_the_hash(monkeypatch, do)

    assert await backend.hash_foreign_files() == 0
    assert all("-" in etag for etag in (await etags(backend, bucket)).values())


async def test_an_object_that_is_put_while_the_file_is_hashed_keeps_its_own_record(
    backend, bucket, directory, monkeypatch
) -> None:
    (directory / "file").write_bytes(b"foreign")
    hash_file = foreign_files._md5
    stored = []

    async def hash_and_put(*args: Any) -> str:
        etag = await hash_file(*args)
        stored.append(await put(backend, bucket, "file", b"ours", user_metadata={"a": "b"}))
        return etag

    monkeypatch.setattr(foreign_files, "_md5", hash_and_put)

    assert await backend.hash_foreign_files() == 0
    assert await backend.stat_object(bucket, "file") == stored[0]


async def test_a_hashed_file_is_archived_as_any_version(backend, bucket, directory) -> None:
    await set_versioning(backend, bucket, "Enabled")
    (directory / "file").write_bytes(b"foreign")
    await backend.hash_foreign_files()

    new = await put(backend, bucket, "file", b"new")

    assert await version_ids(backend, bucket, "file") == [new.version_id, "null"]
    assert (await backend.stat_object(bucket, "file", "null")).etag == md5(b"foreign")


async def test_of_several_processes_one_hashes_and_another_takes_over(backend, bucket, directory, root) -> None:
    another = FilesystemBackend(str(root), durability="none")
    await another.start()
    (directory / "one").write_bytes(b"1")
    assert [await each.hash_foreign_files() for each in (backend, another)] == [1, 0]

    await backend.stop()
    (directory / "two").write_bytes(b"2")
    assert await another.hash_foreign_files() == 1

    await another.stop()
    await backend.start()


async def test_what_is_no_object_is_left_alone(backend, bucket, directory, root) -> None:
    (root / "outside").write_bytes(b"x")
    (directory / "link").symlink_to("../outside")
    os.mkfifo(directory / "fifo")
    with open(os.fsencode(directory) + b"/caf\xe9", "wb") as file:
        file.write(b"x")

    assert await backend.hash_foreign_files() == 0
    assert os.listxattr(root / "outside") == []


async def test_reading_is_slowed_down_to_the_rate(backend, bucket, directory, monkeypatch) -> None:
    (directory / "file").write_bytes(b"x" * 1000)
    monkeypatch.setattr(foreign_files, "_BYTES_PER_SECOND", 1000)
    waited = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(foreign_files.asyncio, "sleep", note)

    assert await backend.hash_foreign_files() == 1
    assert max(waited) > 0.9


@pytest.mark.parametrize("metadata", ["xattr", "sidecar"])
def test_a_file_that_may_not_be_written_is_not_touched(metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_files, "SETTLED_NS", 0)
    with shared_directory() as root:
        (root / "bucket").mkdir()
        own(str(root / "bucket"))
        for name in ("fine", "read-only", "closed"):
            (root / "bucket" / name).write_bytes(b"x")
            own(str(root / "bucket" / name))
        os.chmod(root / "bucket/read-only", 0o444)
        os.chmod(root / "bucket/closed", 0)

        def work() -> tuple[int, dict[str, str]]:
            async def run() -> tuple[int, dict[str, str]]:
                backend = FilesystemBackend(str(root), durability="none", metadata=metadata)
                await backend.start()
                bucket = await backend.find_bucket("bucket")
                hashed = await backend.hash_foreign_files()
                page = await backend.list_objects(bucket, ListQuery())
                assert await get(backend, bucket, "read-only") == b"x"
                assert await error_code(backend.stat_object(bucket, "closed")) == "AccessDenied"
                await backend.stop()
                return hashed, {listed.key: listed.record.etag for listed in page.objects}

            return asyncio.run(run())

        found = as_ordinary_user(work)

    assert found is not None
    assert found[0] == 1
    assert found[1]["fine"] == md5(b"x")
    assert "-" in found[1]["read-only"]
    assert "-" in found[1]["closed"]


async def test_a_file_that_takes_no_record_is_not_read_again_and_again(root, runner, monkeypatch) -> None:
    monkeypatch.setattr(foreign_files, "SETTLED_NS", 0)
    backend = FilesystemBackend(str(root), durability="none", metadata="xattr")
    await backend.start()
    (root / "bucket").mkdir()
    (root / "bucket/file").write_bytes(b"x")
    reads = []
    hash_file = foreign_files._md5

    async def count(*args: Any) -> str:
        reads.append(1)
        return await hash_file(*args)

    def refuse(*args: Any) -> bool:
        raise PermissionError("immutable")

    monkeypatch.setattr(foreign_files, "_md5", count)
    monkeypatch.setattr(foreign_files, "_store", refuse)

    assert [await backend.hash_foreign_files() for _ in range(3)] == [0, 0, 0]
    assert len(reads) == 1
    await backend.stop()


def test_the_work_is_done_by_gateways_that_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().foreign_etags == "synthetic"
    done = []

    class Storage(FilesystemBackend):
        async def hash_foreign_files(self) -> int:
            done.append(1)
            return 0

    async def run(told: bool, root: str) -> None:
        storage = Storage(root, durability="none")
        app = create_app(sample_gateway(storage=storage, hashes_foreign_files=told))
        async with app.shell.router.lifespan_context(app.shell):
            await asyncio.sleep(0.05)

    monkeypatch.setattr("s3gate.server.app._FIRST_HASHING", 0.0)
    with shared_directory() as root:
        asyncio.run(run(False, str(root)))
        assert done == []
        asyncio.run(run(True, str(root)))
    assert done == [1]
