"""The stores that the contract suite runs on, and the short forms of what its tests do with them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from s3gate.core.checksums import Buffer
from s3gate.core.clock import now_ns
from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import new_upload_id
from s3gate.core.values import VERSIONING, Bucket, ObjectRecord, Owner, Part, PartSpan, Upload
from s3gate.storage.backend import Backend, Deletion, ListedVersion, ListPage, ListQuery, ObjectReader, VersionQuery
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.memory import MemoryBackend

ALICE = Owner("a" * 64, "alice")
BOB = Owner("b" * 64, "bob")
REGION = "eu-central-1"

# A directory on a filesystem in memory, which every Linux has.
MEMORY = "/dev/shm"  # noqa: S108  # files there have no names

# Gives one more backend for one and the same store, as another process would have it.
Store = Callable[[], Backend]


def memory_store(_root: Path) -> Store:
    """All state of this one is in the backend, so that there is one only."""
    backend = MemoryBackend()
    return lambda: backend


def filesystem_store(metadata: str, **settings: Any) -> Callable[[Path], Store]:
    """A directory with its records in extended attributes or in sidecars, and parts of uploads in place."""

    def make(root: Path) -> Store:
        chosen: dict[str, Any] = {"upload_parts": "in-place", **settings}
        return lambda: FilesystemBackend(str(root), durability="none", metadata=metadata, **chosen)

    return make


# A new backend joins the contract with a line here.
STORES: dict[str, Callable[[Path], Store]] = {
    "memory": memory_store,
    "filesystem-xattr": filesystem_store("xattr"),
    "filesystem-sidecar": filesystem_store("sidecar"),
    # Every record is too large for its attribute.
    "filesystem-overflow": filesystem_store("xattr", inline_bytes=0),
}

# For uploads also with parts in files of their own.
UPLOAD_STORES = {
    **STORES,
    "filesystem-xattr-separate": filesystem_store("xattr", upload_parts="separate"),
    "filesystem-sidecar-separate": filesystem_store("sidecar", upload_parts="separate"),
    # Whatever is written comes from another filesystem.
    "filesystem-received": filesystem_store("xattr", upload_parts="auto", receive_in=(MEMORY, MEMORY)),
}


def unchanged(pieces: list[Buffer]) -> list[Buffer]:
    """The `through` of a body that is stored as it comes."""
    return pieces


def record_of(data: bytes, **fields: Any) -> ObjectRecord:
    """The record of an object put in one piece."""
    return replace(ObjectRecord(hashlib.md5(data).hexdigest(), len(data), 0), **fields)


def essence(record: ObjectRecord) -> ObjectRecord:
    """The record without what the store sets."""
    return replace(record, modified_ns=0, version_id="", sequence=0)


async def error_of(work: Awaitable[object]) -> S3Error:
    """The S3Error that `work` ends in."""
    try:
        await work
    except S3Error as error:
        return error
    raise AssertionError("no error was raised")


async def error_code(work: Awaitable[object]) -> str:
    """The code of the S3Error that `work` ends in, or `"none"`."""
    try:
        await work
    except S3Error as error:
        return error.code
    return "none"


async def put(
    backend: Backend,
    bucket: Bucket,
    key: str,
    data: bytes = b"",
    *,
    condition: WriteCondition = NO_CONDITION,
    **fields: Any,
) -> ObjectRecord:
    """Store an object in one piece."""
    async with backend.stage(bucket) as stage:
        await stage.write([data], unchanged)
        return await backend.commit_object(bucket, stage, key, record_of(data, **fields), condition)


async def read_all(reader: ObjectReader) -> bytes:
    """All bytes of the version that `reader` holds."""
    return b"".join([bytes(piece) async for piece in reader.chunks(0, reader.record.size)])


async def get_with_record(
    backend: Backend, bucket: Bucket, key: str, version_id: str | None = None
) -> tuple[bytes, ObjectRecord]:
    """The bytes and the record of one version."""
    reader = await backend.open_object(bucket, key, version_id)
    try:
        return await read_all(reader), reader.record
    finally:
        await reader.close()


async def get(backend: Backend, bucket: Bucket, key: str, version_id: str | None = None) -> bytes:
    """The bytes of an object."""
    return (await get_with_record(backend, bucket, key, version_id))[0]


async def keys(backend: Backend, bucket: Bucket) -> list[str]:
    """All keys, as the listing gives them."""
    page = await backend.list_objects(bucket, ListQuery(limit=100_000))
    assert not page.truncated
    return [listed.key for listed in page.objects]


async def set_versioning(backend: Backend, bucket: Bucket, state: str) -> None:
    """Make the versioning of a bucket Enabled or Suspended."""
    await backend.put_document(bucket, VERSIONING, state.encode())


async def versions(backend: Backend, bucket: Bucket, prefix: str = "") -> list[ListedVersion]:
    """All versions and delete markers, as the listing gives them."""
    page = await backend.list_versions(bucket, VersionQuery(prefix, limit=100_000))
    assert not page.truncated
    return page.versions


async def version_ids(backend: Backend, bucket: Bucket, key: str) -> list[str]:
    """The ids of all versions of a key, newest first, a delete marker's with a minus before it."""
    found = [each for each in await versions(backend, bucket, key) if each.key == key]
    assert [each.latest for each in found] == [n == 0 for n in range(len(found))]
    return ["-" * each.record.delete_marker + each.record.version_id for each in found]


async def delete(backend: Backend, bucket: Bucket, key: str, version_id: str | None = None) -> Deletion:
    """Delete an object or one of its versions, whatever is there."""
    return await backend.delete_object(bucket, key, NO_CONDITION, version_id)


async def remove_versions(backend: Backend, bucket: Bucket) -> None:
    """Remove every version and delete marker for good."""
    for each in await versions(backend, bucket):
        await backend.delete_object(bucket, each.key, NO_CONDITION, each.record.version_id)


def entries(page: ListPage) -> list[tuple[str, bool]]:
    """What a page gives, in order, each entry with whether it is a common prefix."""
    found = [(listed.key, False) for listed in page.objects] + [(prefix, True) for prefix in page.prefixes]
    return sorted(found, key=lambda entry: entry[0].encode())


def in_order(names: Sequence[str]) -> list[str]:
    """In byte order of UTF-8."""
    return sorted(names, key=str.encode)


def new_upload(key: str, **fields: Any) -> Upload:
    """An upload that no store knows yet."""
    upload = Upload(new_upload_id(), key, now_ns(), ALICE, ObjectRecord("", 0, 0), "CRC64NVME", "FULL_OBJECT", False)
    return replace(upload, **fields)


async def start_upload(backend: Backend, bucket: Bucket, key: str, **fields: Any) -> Upload:
    """An upload under way."""
    upload = new_upload(key, **fields)
    await backend.create_upload(bucket, upload)
    return upload


async def put_part(backend: Backend, bucket: Bucket, upload: Upload, number: int, data: bytes, **fields: Any) -> Part:
    """Store a part whose length is known before."""
    async with backend.stage_part(bucket, upload, number, len(data)) as stage:
        await stage.write([data], unchanged)
        part = replace(Part(number, len(data), hashlib.md5(data).hexdigest(), 0), **fields)
        return await backend.commit_part(bucket, upload, stage, part)


async def complete(
    backend: Backend,
    bucket: Bucket,
    upload: Upload,
    parts: Sequence[Part],
    *,
    condition: WriteCondition = NO_CONDITION,
) -> ObjectRecord:
    """Join parts with the record that CompleteMultipartUpload makes of them."""
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
    record = replace(
        upload.template,
        etag=f"{digest}-{len(parts)}",
        size=sum(part.size for part in parts),
        parts=tuple(PartSpan(part.number, part.size) for part in parts),
        upload_id=upload.id,
    )
    return await backend.complete_upload(bucket, upload, parts, record, condition)
