"""Buckets that are directories elsewhere: served beside those of the data directory, and only read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, Part
from s3gate.identity.model import ROOT
from s3gate.storage.backend import Backend, ListQuery, Removal, VersionQuery
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.files import TREE, make_tree, read_tree
from support.stores import ALICE, REGION, complete, error_code, get, keys, new_upload, put, start_upload


def state_of(top: Path) -> dict[str, tuple[int, int, int, int]]:
    """Every file and directory with what changes when it is written to: the time of its inode above all."""
    paths = [top, *top.rglob("*")]
    statuses = {str(path): os.lstat(path) for path in paths}
    return {name: (each.st_ino, each.st_mode, each.st_mtime_ns, each.st_ctime_ns) for name, each in statuses.items()}


@pytest.fixture(params=["plain", "bucket"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, runner: asyncio.Runner) -> Path:
    """A directory of other programs, or one that was a bucket: with records, an upload and what a crash left."""
    top = tmp_path / "far/away/a directory"
    top.parent.mkdir(parents=True)
    make_tree(top)
    if request.param == "bucket":
        runner.run(_write_as_bucket(top))
        (top / ".s3gate/tmp/gone").mkdir()
    return top


async def _write_as_bucket(top: Path) -> None:
    served = FilesystemBackend(str(top.parent / "root"), durability="none")
    await served.start()
    bucket = await served.create_bucket("name", ROOT, REGION)
    for name in TREE:
        (top.parent / "root/name" / name).parent.mkdir(parents=True, exist_ok=True)
        await put(served, bucket, name, (top / name).read_bytes(), user_metadata={"from": name[:1]})
    await start_upload(served, bucket, "begun")
    await served.stop()
    for path in sorted(top.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    os.rename(top.parent / "root/name", top)


@pytest.fixture
def backend(tmp_path: Path, directory: Path, runner: asyncio.Runner) -> Iterator[Backend]:
    backend = FilesystemBackend(str(tmp_path / "data"), durability="none", elsewhere={"in.put_1": str(directory)})
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


async def test_they_are_found_and_listed_among_the_others(backend: Backend) -> None:
    for name in ("aaa", "zzz"):
        await backend.create_bucket(name, ALICE, REGION)
    assert [bucket.name for bucket in await backend.list_buckets()] == ["aaa", "in.put_1", "zzz"]
    assert (await backend.find_bucket("in.put_1")).name == "in.put_1"
    assert await error_code(backend.find_bucket("a directory")) == "NoSuchBucket"


async def test_their_objects_are_read_and_nothing_there_is_touched(backend: Backend, directory: Path) -> None:
    before, contents = state_of(directory), read_tree(directory)
    bucket = await backend.find_bucket("in.put_1")

    assert {key: await get(backend, bucket, key) for key in await keys(backend, bucket)} == contents
    assert sorted(contents) == sorted(TREE)
    await backend.list_objects(bucket, ListQuery(delimiter="/"))
    assert len((await backend.list_versions(bucket, VersionQuery())).versions) == len(contents)
    await backend.list_uploads(bucket, "")
    assert await error_code(backend.stat_object(bucket, "none")) == "NoSuchKey"
    await backend.sweep()
    await backend.hash_foreign_files()

    assert state_of(directory) == before


async def _stage(backend: Backend, bucket: Bucket) -> None:
    async with backend.stage(bucket):
        pass


async def _part(backend: Backend, bucket: Bucket) -> None:
    async with backend.stage_part(bucket, new_upload("key"), 1, 1):
        pass


async def test_each_way_to_write_into_one_is_refused(backend: Backend, directory: Path) -> None:
    before = state_of(directory)
    bucket = await backend.find_bucket("in.put_1")
    begun = await backend.list_uploads(bucket, "")
    upload = begun[0] if begun else new_upload("none")
    parts = [Part(1, 1, "", 0)]

    refused = {
        "stage": _stage(backend, bucket),
        "part": _part(backend, bucket),
        "put": put(backend, bucket, "key", b"x"),
        "update": backend.update_object(bucket, "one-byte", lambda record: record),
        "delete": backend.delete_object(bucket, "one-byte", NO_CONDITION),
        "versioning": backend.put_document(bucket, "versioning", b"Enabled"),
        "no versioning": backend.delete_document(bucket, "versioning"),
        "create upload": backend.create_upload(bucket, upload),
        "complete upload": complete(backend, bucket, upload, parts),
        "abort upload": backend.abort_upload(bucket, upload),
        "remove": backend.delete_bucket(bucket),
    }
    codes = {name: await error_code(work) for name, work in refused.items()}
    [many] = await backend.delete_objects(bucket, [Removal("one-byte")])

    missing = {} if begun else dict.fromkeys(("complete upload", "abort upload"), "NoSuchUpload")
    assert codes == {**dict.fromkeys(refused, "AccessDenied"), **missing}
    assert isinstance(many, S3Error)
    assert many.code == "AccessDenied"
    assert state_of(directory) == before


async def test_a_bucket_of_the_name_cannot_be_made(backend: Backend, directory: Path) -> None:
    before = state_of(directory)
    assert await error_code(backend.create_bucket("in.put_1", ROOT, REGION)) == "BucketAlreadyOwnedByYou"
    assert await error_code(backend.create_bucket("in.put_1", ALICE, REGION)) == "BucketAlreadyExists"
    assert state_of(directory) == before


async def test_a_directory_that_takes_its_place_is_served(backend: Backend, directory: Path) -> None:
    bucket = await backend.find_bucket("in.put_1")
    assert await keys(backend, bucket) == sorted(TREE, key=str.encode)
    os.rename(directory, f"{directory}.old")
    assert await error_code(backend.find_bucket("in.put_1")) == "NoSuchBucket"
    directory.mkdir()
    (directory / "new").write_bytes(b"content")
    assert await get(backend, await backend.find_bucket("in.put_1"), "new") == b"content"
