"""Everything that changes a store, one by one: what is there before, the change, and what a repetition may answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from s3gate.core.checksums import Checksum
from s3gate.core.conditions import NO_CONDITION
from s3gate.core.errors import S3Error
from s3gate.core.names import new_upload_id
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.identity.model import ROOT
from s3gate.storage.backend import Removal
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.placement import PlacementName
from support.forks import in_child
from support.observed import is_synthetic, observe, parts_of
from support.stores import (
    ALICE,
    BOB,
    REGION,
    complete,
    get,
    new_upload,
    put,
    put_part,
    remove_versions,
    set_versioning,
    start_upload,
    versions,
)

__all__ = ["BY_NAME", "MUTATIONS", "LocalBackend", "Mutation", "copy", "go_on", "on"]

_T = TypeVar("_T")

NAME = "bucket"
# More than an attribute holds.
LARGE: dict[str, Any] = {"user_metadata": {f"name-{n}": "v" * 500 for n in range(8)}}
OLD, NEW, OTHER = b"the old contents", b"new contents, of another length", b"other"
_CREATED = new_upload("key", id=new_upload_id())


class LocalBackend(FilesystemBackend):
    """The backend, and where it keeps everything. Parts of uploads go to their places unless it is said otherwise."""

    def __init__(self, root: str, **settings: Any) -> None:
        super().__init__(root, **{"upload_parts": "in-place", **settings})
        self.root = root

    def place_parts(self, setting: PlacementName) -> None:
        """Write parts from here on as this setting says."""
        self._store.placement.setting = setting


Work = Callable[[LocalBackend, Bucket], Awaitable[object]]


def on(root: Path, work: Callable[[LocalBackend], Awaitable[_T]], **settings: Any) -> _T:
    """Run work on a new backend over a directory, as a process would that has just started."""

    async def run() -> _T:
        backend = LocalBackend(str(root), **{"durability": "none", **settings})
        await backend.start()
        result = await work(backend)
        await backend.stop()
        return result

    return asyncio.run(run())


def copy(source: Path, target: Path) -> Path:
    """A copy with attributes, times and links."""
    subprocess.run(["rm", "-rf", target], check=True)
    subprocess.run(["cp", "-a", source, target], check=True)
    return target


@dataclass(frozen=True)
class Mutation:
    """One change. `prepare` runs in an empty bucket of Alice's, or with `foreign` in a directory of other programs.

    `keys` are all that the store may have then; `again` what a repetition may answer where the change was done.
    """

    name: str
    prepare: Work
    mutate: Work
    keys: Sequence[str] = ("key",)
    again: frozenset[str] = frozenset()
    foreign: bool = False
    bucket_before: bool = True
    upload_parts: PlacementName = "in-place"

    async def set_up(self, backend: LocalBackend) -> None:
        """Make the state before."""
        backend.place_parts(self.upload_parts)
        if self.bucket_before and not self.foreign:
            await backend.create_bucket(NAME, ALICE, REGION)
        await self.prepare(backend, await _bucket(backend))

    async def run(self, backend: LocalBackend) -> None:
        """Do the change."""
        backend.place_parts(self.upload_parts)
        await self.mutate(backend, await _bucket(backend))


async def _bucket(backend: LocalBackend) -> Bucket:
    try:
        return await backend.find_bucket(NAME)
    except S3Error:
        return Bucket(NAME, ALICE, REGION, 0)


async def go_on(backend: LocalBackend, mutation: Mutation) -> None:
    """The change is done again, others after it, and in the end all is deleted with the bucket."""
    try:
        await mutation.run(backend)
    except S3Error as error:
        known = error.code in mutation.again or await _is_lost(backend, error)
        assert known, f"{mutation.name} again: {error.code} {error.message}"
    try:
        bucket = await backend.find_bucket(NAME)
    except S3Error:
        bucket = await backend.create_bucket(NAME, ALICE, REGION)
    listed = await versions(backend, bucket)
    joined = [each.record.upload_id for each in listed if each.record.upload_id]
    assert len(joined) == len(set(joined)), "one upload became two versions"
    uploads = await parts_of(backend, bucket)
    lost = joined or any(is_synthetic(each.record) for each in listed)
    for key in mutation.keys:
        await put(backend, bucket, key, b"after " + key.encode(), **LARGE)
    for key in mutation.keys:
        assert await get(backend, bucket, key) == b"after " + key.encode()
    await observe(backend, mutation.keys)
    for number, (upload, parts) in enumerate(uploads):
        try:
            if number == 0 and parts:
                await complete(backend, bucket, upload, parts)
                continue
        except S3Error as error:
            assert error.code == "NoSuchUpload", f"{error.code} {error.message}"
            assert lost, "an upload that is listed cannot be completed"
        await backend.abort_upload(bucket, upload)
    await observe(backend, mutation.keys)
    await remove_versions(backend, bucket)
    view = await observe(backend, mutation.keys)
    assert (view.objects, view.versions, view.uploads) == ([], [], [])
    await backend.delete_bucket(bucket)
    assert (await observe(backend, [])).buckets == []


async def _is_lost(backend: LocalBackend, error: S3Error) -> bool:
    """Whether an upload cannot be completed because a loss of power has kept half of its completion.

    Its bytes are an object already, which has lost its record; or which has it, while some of the parts are gone.
    """
    listed = await versions(backend, await _bucket(backend))
    return error.code == "NoSuchUpload" and any(is_synthetic(each.record) or each.record.upload_id for each in listed)


MUTATIONS: list[Mutation] = []


def _add(name: str, prepare: Work, mutate: Work, *keys: str, again: Sequence[str] = (), **fields: Any) -> None:
    MUTATIONS.append(Mutation(name, prepare, mutate, keys or ("key",), frozenset(again), **fields))


def _steps(*works: Work) -> Work:
    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        for work in works:
            await work(backend, bucket)

    return run


def _put(data: bytes, key: str = "key", **fields: Any) -> Work:
    return lambda backend, bucket: put(backend, bucket, key, data, **fields)


def _delete(key: str = "key") -> Work:
    return lambda backend, bucket: backend.delete_object(bucket, key, NO_CONDITION)


def _state(state: str) -> Work:
    return lambda backend, bucket: set_versioning(backend, bucket, state)


_ENABLED, _SUSPENDED, _NOTHING = _state("Enabled"), _state("Suspended"), _steps()


def _delete_many(key: str) -> Work:
    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        (done,) = await backend.delete_objects(bucket, [Removal(key)])
        assert not isinstance(done, S3Error), done

    return run


def _delete_version(content: bytes | None, key: str = "key") -> Work:
    """Delete the version with this content for good, or the newest marker; nothing where it is gone."""

    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        for each in await versions(backend, bucket, key):
            version_id = each.record.version_id
            marker = each.record.delete_marker
            if each.key != key or marker is not (content is None):
                continue
            if marker or await get(backend, bucket, key, version_id) == content:
                await backend.delete_object(bucket, key, NO_CONDITION, version_id)
                return

    return run


def _update(key: str = "key", *, oldest: bool = False, **fields: Any) -> Work:
    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        version_id = (await versions(backend, bucket, key))[-1].record.version_id if oldest else None

        def change(record: ObjectRecord) -> ObjectRecord:
            return replace(record, **fields)

        await backend.update_object(bucket, key, change, version_id)

    return run


_TAGS: dict[str, Any] = {"tags": {"colour": "green"}}

# --- one object, never versioned
_add("put", _NOTHING, _put(NEW, "dir/sub/key", **_TAGS), "dir/sub/key", "dir")
_add("put-large", _NOTHING, _put(NEW, **LARGE))
_add("put-odd", _NOTHING, _put(NEW, "a//" + "k" * 300), "a//" + "k" * 300, "a/")
_add("overwrite", _put(OLD, **_TAGS), _put(NEW))
_add("overwrite-same", _put(OLD), _put(OLD, **_TAGS))
_add("overwrite-large", _put(OLD, **LARGE), _put(NEW, **LARGE))
_add("delete", _put(OLD, "dir/key"), _delete("dir/key"), "dir/key")
_add("delete-many", _put(OLD, "dir/key", **LARGE), _delete_many("dir/key"), "dir/key")
_add("delete-large", _put(OLD, **LARGE), _delete())
_add("delete-null", _put(OLD), lambda b, bucket: b.delete_object(bucket, "key", NO_CONDITION, "null"))
_add("update", _put(OLD), _update(**_TAGS))
_add("update-large", _put(OLD, **LARGE), _update(user_metadata={"x": "y" * 3500}))
_add("update-grows", _put(OLD), _update(**LARGE))
_add("update-shrinks", _put(OLD, **LARGE), _update(user_metadata={}))

# --- versions
_TWO = _steps(_put(OTHER), _ENABLED, _put(OLD, "key", **_TAGS))
_add("enabled-first", _ENABLED, _put(NEW, "dir/key"), "dir/key")
_add("enabled-over-null", _steps(_put(OLD), _ENABLED), _put(NEW))
_add("enabled-over-version", _TWO, _put(NEW, **LARGE))
_add("enabled-over-large", _steps(_ENABLED, _put(OLD, **LARGE)), _put(NEW))
_add("enabled-over-marker", _steps(_TWO, _delete()), _put(NEW))
_add("enabled-delete", _TWO, _delete())
_add("enabled-delete-many", _TWO, _delete_many("key"))
_add("enabled-delete-absent", _ENABLED, _delete("dir/key"), "dir/key")
_add("enabled-delete-deleted", _steps(_TWO, _delete()), _delete())
_add("enabled-update-old", _steps(_TWO, _put(NEW)), _update(oldest=True, **LARGE))
_add("suspended-over-version", _steps(_TWO, _SUSPENDED), _put(NEW))
_add("suspended-over-null", _steps(_ENABLED, _put(OTHER), _SUSPENDED, _put(OLD, **LARGE)), _put(NEW))
_add("suspended-over-old-null", _steps(_put(OTHER, **LARGE), _ENABLED, _put(OLD), _SUSPENDED), _put(NEW))
_add("suspended-delete-version", _steps(_TWO, _SUSPENDED), _delete())
_add("suspended-delete-null", _steps(_ENABLED, _put(OTHER), _SUSPENDED, _put(OLD)), _delete())
_add("suspended-delete-deleted", _steps(_TWO, _SUSPENDED, _delete()), _delete())
_add("delete-current", _steps(_TWO, _put(NEW, **LARGE)), _delete_version(NEW))
_add("delete-current-above-marker", _steps(_TWO, _delete(), _put(NEW)), _delete_version(NEW))
_add("delete-only", _steps(_ENABLED, _put(OLD, "dir/key")), _delete_version(OLD, "dir/key"), "dir/key")
_add("delete-middle", _steps(_TWO, _put(NEW)), _delete_version(OLD))
_add("delete-oldest", _steps(_put(OTHER, **LARGE), _ENABLED, _put(NEW)), _delete_version(OTHER))
_add("undelete", _steps(_TWO, _delete()), _delete_version(None))
_add("undelete-above-marker", _steps(_TWO, _delete(), _delete()), _delete_version(None))

# --- a key that is the directory of another
_add("file-becomes-directory", _put(OLD, "a", **LARGE), _put(NEW, "a/b"), "a", "a/b")
_add("version-becomes-directory", _steps(_ENABLED, _put(OTHER, "a"), _put(OLD, "a")), _put(NEW, "a/b/c"), "a", "a/b/c")
_add("beside-directory", _put(OLD, "a/b"), _put(NEW, "a"), "a", "a/b")
_add("overwrite-beside-directory", _steps(_put(OLD, "a"), _put(OTHER, "a/b")), _put(NEW, "a"), "a", "a/b")
_add("delete-beside-directory", _steps(_put(OLD, "a"), _put(OTHER, "a/b")), _delete("a"), "a", "a/b")
_BESIDE = _steps(_ENABLED, _put(OLD, "a"), _put(OTHER, "a/b"))
_add("version-beside-directory", _BESIDE, _put(NEW, "a"), "a", "a/b")
_add("marker-beside-directory", _BESIDE, _delete("a"), "a", "a/b")
_add("undelete-beside-directory", _steps(_BESIDE, _delete("a")), _delete_version(None, "a"), "a", "a/b")
_add("back-over-empty-directory", _steps(_BESIDE, _delete("a/b")), _put(NEW, "a"), "a", "a/b")
_add("over-empty-directory", _steps(_put(OTHER, "a/b"), _delete("a/b")), _put(NEW, "a"), "a", "a/b")


# --- uploads
def _upload(parts: Sequence[bytes], **fields: Any) -> Work:
    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        upload = await start_upload(backend, bucket, "key", **fields)
        for number, data in enumerate(parts, 1):
            await put_part(backend, bucket, upload, number, data)

    return run


def _part(number: int, data: bytes) -> Work:
    checksum = Checksum("SHA256", "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=")

    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        upload = (await backend.list_uploads(bucket, ""))[0]
        await put_part(backend, bucket, upload, number, data, checksum=checksum)

    return run


async def _complete(backend: LocalBackend, bucket: Bucket) -> None:
    for upload, parts in await parts_of(backend, bucket):
        if parts:
            await complete(backend, bucket, upload, parts)


async def _abort(backend: LocalBackend, bucket: Bucket) -> None:
    for upload in await backend.list_uploads(bucket, ""):
        await backend.abort_upload(bucket, upload)


async def _create(backend: LocalBackend, bucket: Bucket) -> None:
    try:
        await backend.create_upload(bucket, _CREATED)
    except FileExistsError:  # the first attempt came that far; a client that tries again gets another id
        await backend.create_upload(bucket, new_upload("key"))


async def _copy(backend: LocalBackend, bucket: Bucket) -> None:
    reader = await backend.open_object(bucket, "key")
    try:
        async with backend.stage(bucket) as stage:
            await stage.copy(reader, 0, reader.record.size)
            record = replace(reader.record, tags={"copied": "yes"})
            await backend.commit_object(bucket, stage, "dir/copy", record, NO_CONDITION)
    finally:
        await reader.close()


_PARTS = [b"first part,", b"second one,", b"third"]  # the first ones of one length, for which there is a place
_LARGE_TEMPLATE: dict[str, Any] = {"template": replace(ObjectRecord("", 0, 0), **LARGE)}
_add("create-upload", _upload([OLD]), _create)
_SEPARATE: dict[str, Any] = {"upload_parts": "separate"}
_add("put-first-part", _upload([]), _part(1, NEW))
_add("put-part", _upload([OLD]), _part(2, OLD[::-1]))
_add("put-long-part", _upload([OLD]), _part(2, NEW))
_add("put-part-separate", _upload([OLD]), _part(2, OLD[::-1]), **_SEPARATE)
_add("replace-part", _upload(_PARTS), _part(2, b"another one"))
_add("replace-part-separate", _upload(_PARTS), _part(2, NEW), **_SEPARATE)
_add("complete", _upload(_PARTS), _complete)
_add("complete-replaced", _steps(_upload(_PARTS), _part(2, b"another one"), _part(3, b"3")), _complete)
_add("complete-uneven", _upload([*_PARTS, b"and the very last"]), _complete)
_add("complete-separate", _upload(_PARTS), _complete, **_SEPARATE)
_add("complete-over-version", _steps(_TWO, _upload(_PARTS)), _complete)
_LARGE_BEFORE = _steps(_put(OLD, **LARGE), _upload(_PARTS, **_LARGE_TEMPLATE))
_add("complete-large", _LARGE_BEFORE, _complete)
_add("complete-large-separate", _LARGE_BEFORE, _complete, **_SEPARATE)
_add("abort", _upload(_PARTS), _abort)
_add("abort-separate", _upload(_PARTS), _abort, **_SEPARATE)
_add("copy", _put(OLD, **LARGE), _copy, "key", "dir/copy")

# --- buckets and their documents
_add("put-document", _NOTHING, lambda b, bucket: b.put_document(bucket, "tagging", b"new"))
_add(
    "replace-document",
    lambda b, bucket: b.put_document(bucket, "tagging", b"old"),
    lambda b, bucket: b.put_document(bucket, "tagging", b"new"),
)
_add(
    "delete-document",
    lambda b, bucket: b.put_document(bucket, "tagging", b"old"),
    lambda b, bucket: b.delete_document(bucket, "tagging"),
)
_add("enable-versioning", _put(OLD), _ENABLED)
_add(
    "create-bucket",
    _NOTHING,
    lambda b, bucket: b.create_bucket(NAME, BOB, REGION),
    again=["BucketAlreadyOwnedByYou"],
    bucket_before=False,
)
_add("delete-bucket", _NOTHING, lambda b, bucket: b.delete_bucket(bucket), again=["NoSuchBucket"])
_add(
    "delete-bucket-with-remains",
    _steps(_put(OLD, "a/b/c"), _delete("a/b/c"), _upload(_PARTS)),
    lambda b, bucket: b.delete_bucket(bucket),
    again=["NoSuchBucket"],
)


async def _delete_bucket_in_use(backend: LocalBackend, bucket: Bucket) -> None:
    """Delete a bucket into which another process puts an object at the last moment: it has to come back."""
    rename = os.rename

    async def other() -> None:
        another = FilesystemBackend(backend.root, durability="none")
        await another.start()
        await put(another, await another.find_bucket(NAME), "key", NEW)
        await another.stop()

    def put_first(source: Any, target: Any, **where: Any) -> None:
        if source == NAME:
            os.rename = rename
            in_child(lambda: asyncio.run(other()))
        rename(source, target, **where)

    os.rename = put_first  # type: ignore[assignment]
    try:
        await backend.delete_bucket(bucket)
    except S3Error as error:
        assert error.code == "BucketNotEmpty"
    finally:
        os.rename = rename


_add("delete-bucket-in-use", _NOTHING, _delete_bucket_in_use)


# --- directories and files of other programs
async def _adopt_by_root(backend: LocalBackend, bucket: Bucket) -> None:
    await backend.create_bucket(NAME, ROOT, REGION)


def _foreign_file(key: str, data: bytes) -> Work:
    async def run(backend: LocalBackend, bucket: Bucket) -> None:
        path = os.path.join(backend.root, NAME, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    return run


_FILE = _foreign_file("dir/file", OLD)
_add("adopt", _FILE, _adopt_by_root, "dir/file", again=["BucketAlreadyOwnedByYou"], foreign=True)
_add("first-write", _FILE, _put(NEW, "dir/key"), "dir/file", "dir/key", foreign=True)
_add("first-upload", _FILE, _create, "dir/file", foreign=True)
_add("overwrite-foreign", _FILE, _put(NEW, "dir/file"), "dir/file", foreign=True)
_add("delete-foreign", _FILE, _delete("dir/file"), "dir/file", foreign=True)
_add("update-foreign", _FILE, _update("dir/file", **_TAGS), "dir/file", foreign=True)
_add("version-over-foreign", _steps(_ENABLED, _FILE), _put(NEW, "dir/file"), "dir/file")
_add("marker-over-foreign", _steps(_ENABLED, _put(OTHER, "dir/file"), _FILE), _delete("dir/file"), "dir/file")

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
