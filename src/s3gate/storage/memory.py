"""The reference backend: the contract in its plainest form, held in memory by one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from msgspec.structs import replace

from s3gate.core.bucket_properties import NO_QUOTA, check_quota, quota_of
from s3gate.core.checksums import Buffer
from s3gate.core.clock import now_ns
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.observation import UsageReport
from s3gate.core.values import Bucket, ObjectRecord, Owner, Part, Upload
from s3gate.storage.backend import (
    Beside,
    Deletion,
    ListPage,
    ListQuery,
    ObjectReader,
    Removal,
    Stage,
    Swept,
    Through,
    VersionPage,
    VersionQuery,
)
from s3gate.storage.completions import KEPT_NS, Completion
from s3gate.storage.memory_versions import Version, Versions

__all__ = ["MemoryBackend"]

_CHUNK = 256 * 1024


@dataclass(slots=True)
class _UploadState:
    upload: Upload
    parts: dict[int, tuple[Part, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _BucketState:
    bucket: Bucket
    objects: Versions = field(default_factory=Versions)
    uploads: dict[str, _UploadState] = field(default_factory=dict)
    completed: dict[str, Completion] = field(default_factory=dict)

    def forget(self, before_ns: int) -> list[str]:
        """Forget the completions of objects made before a time."""
        old = [each for each, done in self.completed.items() if done.record.modified_ns < before_ns]
        for upload_id in old:
            del self.completed[upload_id]
        return ["old completion"] * len(old)

    def commit(self, key: str, record: ObjectRecord, data: bytes, condition: WriteCondition) -> ObjectRecord:
        objects, quota = self.objects, quota_of(self.bucket.documents)
        if quota == NO_QUOTA:
            return objects.commit(self.bucket.versioning, key, record, data, condition)
        before, held = objects.of(key), objects.held()
        stored = objects.commit(self.bucket.versioning, key, record, data, condition)
        try:
            check_quota(quota, held, objects.held() - held)
        except S3Error:
            objects.put_back(key, before)
            raise
        return stored


class _Reader:
    def __init__(self, item: Version) -> None:
        self._item = item

    @property
    def record(self) -> ObjectRecord:
        return self._item.record

    async def read(self, start: int, length: int) -> Buffer:
        data = self._item.data[start : start + length]
        if len(data) != length:
            raise S3Error("InternalError")
        return data

    async def chunks(self, start: int, length: int) -> AsyncIterator[Buffer]:
        for at in range(start, start + length, _CHUNK):
            yield await self.read(at, min(_CHUNK, start + length - at))

    @property
    def file(self) -> None:
        return None

    def require_unchanged(self) -> None:
        """Nobody can change these bytes."""

    async def close(self) -> None:
        """Nothing is held but memory."""


class _Stage:
    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    async def write(self, pieces: list[Buffer], through: Through, beside: Beside | None = None) -> None:
        stored = through(pieces)
        for piece in stored:
            self.data += piece
        if beside is not None:
            beside(stored)

    async def copy(self, source: ObjectReader, start: int, length: int) -> None:
        self.data += await source.read(start, length)


def _staged(stage: Stage) -> bytes:
    if not isinstance(stage, _Stage):
        raise TypeError("a stage is committed by the backend that made it")
    return bytes(stage.data)


class MemoryBackend:
    """A Backend of dictionaries, for tests and as documentation of the contract. It forgets all when it is dropped.

    It belongs to one event loop. No method awaits anything between looking at the state and changing it, which is the
    lock that the contract speaks of.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, _BucketState] = {}

    async def start(self) -> None:
        """Nothing is to be opened."""

    async def stop(self) -> None:
        """Nothing is held open; what was stored is there after another start."""

    async def sweep(self) -> Swept:
        """A process that is killed takes all of this along; completions are forgotten when they are a day old."""
        counts = Counter(kind for state in self._buckets.values() for kind in state.forget(now_ns() - KEPT_NS))
        return Swept(dict(counts))

    async def hash_foreign_files(self) -> int:
        """No other program can reach what is stored here."""
        return 0

    async def scan_usage(self, every: float) -> bool:
        """There is nothing to be looked through slowly."""
        return False

    def usage(self) -> UsageReport | None:
        """Nothing is measured beforehand."""
        return None

    async def recount(self, bucket: Bucket) -> None:
        """Nothing is kept that could be wrong: what a bucket holds is counted for every write."""

    # --- buckets
    async def list_buckets(self) -> list[Bucket]:
        """All buckets, in byte order of their names."""
        return [self._buckets[name].bucket for name in sorted(self._buckets, key=str.encode)]

    async def find_bucket(self, name: str) -> Bucket:
        """The bucket, else NoSuchBucket."""
        return self._bucket(name).bucket

    async def create_bucket(self, name: str, owner: Owner, region: str) -> Bucket:
        """Make a bucket, else BucketAlreadyOwnedByYou or BucketAlreadyExists."""
        there = self._buckets.get(name)
        if there is not None:
            mine = there.bucket.owner.id == owner.id
            raise S3Error("BucketAlreadyOwnedByYou" if mine else "BucketAlreadyExists", BucketName=name)
        bucket = Bucket(name, owner, region, now_ns())
        self._buckets[name] = _BucketState(bucket)
        return bucket

    async def delete_bucket(self, bucket: Bucket) -> None:
        """Remove an empty bucket with its uploads, else BucketNotEmpty."""
        if self._bucket(bucket.name).objects:
            raise S3Error("BucketNotEmpty", BucketName=bucket.name)
        del self._buckets[bucket.name]

    async def put_document(self, bucket: Bucket, kind: str, data: bytes) -> None:
        """Keep a document of the bucket, in place of an earlier one of its kind."""
        self._set_documents(bucket, {**self._bucket(bucket.name).bucket.documents, kind: bytes(data)})

    async def delete_document(self, bucket: Bucket, kind: str) -> None:
        """Remove a document; removing what is not there succeeds."""
        documents = self._bucket(bucket.name).bucket.documents
        self._set_documents(bucket, {name: data for name, data in documents.items() if name != kind})

    # --- objects
    @asynccontextmanager
    async def stage(self, bucket: Bucket) -> AsyncIterator[Stage]:
        """A new stage."""
        self._bucket(bucket.name)
        yield _Stage()

    async def commit_object(
        self, bucket: Bucket, stage: Stage, key: str, record: ObjectRecord, condition: WriteCondition
    ) -> ObjectRecord:
        """Make the staged bytes the object at `key`."""
        return self._bucket(bucket.name).commit(key, record, _staged(stage), condition)

    async def open_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectReader:
        """The current version of the object, or the one with this id."""
        return _Reader(self._bucket(bucket.name).objects.find(key, version_id))

    async def stat_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectRecord:
        """The record of the current version, or of the one with this id."""
        return self._bucket(bucket.name).objects.find(key, version_id).record

    async def update_object(
        self,
        bucket: Bucket,
        key: str,
        change: Callable[[ObjectRecord], ObjectRecord],
        version_id: str | None = None,
    ) -> ObjectRecord:
        """Replace the record of a version in place."""
        return self._bucket(bucket.name).objects.update(key, version_id, change)

    async def delete_object(
        self, bucket: Bucket, key: str, condition: WriteCondition, version_id: str | None = None
    ) -> Deletion:
        """Remove the object, or one version of it, or put a delete marker over it."""
        state = self._bucket(bucket.name)
        return state.objects.delete(state.bucket.versioning, key, version_id, condition)

    async def delete_objects(self, bucket: Bucket, removals: Sequence[Removal]) -> list[Deletion | S3Error]:
        """Remove many, each by itself."""
        self._bucket(bucket.name)
        done: list[Deletion | S3Error] = []
        for each in removals:
            try:
                done.append(await self.delete_object(bucket, each.key, each.condition, each.version_id))
            except S3Error as error:
                done.append(error)
        return done

    async def list_versions(self, bucket: Bucket, query: VersionQuery) -> VersionPage:
        """A page of all versions and delete markers."""
        return self._bucket(bucket.name).objects.list_versions(query)

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """A page of the listing."""
        return self._bucket(bucket.name).objects.list_objects(query)

    # --- multipart uploads
    async def create_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Record a new upload."""
        self._bucket(bucket.name).uploads[upload.id] = _UploadState(upload)

    async def find_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """The upload under way with this id and key, else NoSuchUpload."""
        return self._upload(bucket, key, upload_id).upload

    @asynccontextmanager
    async def stage_part(self, bucket: Bucket, upload: Upload, number: int, length: int | None) -> AsyncIterator[Stage]:
        """A new stage."""
        self._bucket(bucket.name)
        yield _Stage()

    async def commit_part(self, bucket: Bucket, upload: Upload, stage: Stage, part: Part) -> Part:
        """Make the staged bytes a part, in place of an earlier one of its number."""
        state = self._upload(bucket, upload.key, upload.id)
        stored = replace(part, modified_ns=now_ns())
        state.parts[part.number] = (stored, _staged(stage))
        return stored

    async def list_parts(self, bucket: Bucket, upload: Upload) -> list[Part]:
        """All parts, by number."""
        parts = self._upload(bucket, upload.key, upload.id).parts
        return [parts[number][0] for number in sorted(parts)]

    async def list_uploads(self, bucket: Bucket, prefix: str) -> list[Upload]:
        """All uploads whose key begins with `prefix`, by key in byte order, then by id."""
        uploads = (state.upload for state in self._bucket(bucket.name).uploads.values())
        found = [upload for upload in uploads if upload.key.startswith(prefix)]
        return sorted(found, key=lambda upload: (upload.key.encode(), upload.id))

    async def complete_upload(
        self,
        bucket: Bucket,
        upload: Upload,
        parts: Sequence[Part],
        record: ObjectRecord,
        condition: WriteCondition,
    ) -> ObjectRecord:
        """Join `parts` into the object at the upload's key and end the upload."""
        named = [(part.number, part.etag) for part in parts]
        if upload.id in self._bucket(bucket.name).completed:
            return await self.find_completed(bucket, upload.key, upload.id, named)
        stored = self._upload(bucket, upload.key, upload.id).parts
        data = bytearray()
        for part in parts:
            there, piece = stored.get(part.number, (None, b""))
            # Time is no mark of identity: a part sent again with the same bytes is as good as the one named.
            if there is None or (there.etag, there.size, there.checksum) != (part.etag, part.size, part.checksum):
                raise S3Error("InvalidPart", UploadId=upload.id, PartNumber=part.number, ETag=part.etag)
            data += piece
        state = self._bucket(bucket.name)
        committed = state.commit(upload.key, record, bytes(data), condition)
        state.completed[upload.id] = Completion.of(upload.key, named, committed)
        del state.uploads[upload.id]
        return committed

    async def find_completed(
        self, bucket: Bucket, key: str, upload_id: str, parts: Sequence[tuple[int, str]]
    ) -> ObjectRecord:
        """What an upload became, for the same key and parts, else NoSuchUpload."""
        found = self._bucket(bucket.name).completed.get(upload_id)
        if found is None:
            raise S3Error("NoSuchUpload", UploadId=upload_id)
        return found.again(key, parts)

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        """End the upload and remove its parts, else NoSuchUpload."""
        self._upload(bucket, upload.key, upload.id)
        del self._bucket(bucket.name).uploads[upload.id]

    # --- state
    def _bucket(self, name: str) -> _BucketState:
        try:
            return self._buckets[name]
        except KeyError:
            raise S3Error("NoSuchBucket", BucketName=name) from None

    def _upload(self, bucket: Bucket, key: str, upload_id: str) -> _UploadState:
        state = self._bucket(bucket.name).uploads.get(upload_id)
        if state is None or state.upload.key != key:
            raise S3Error("NoSuchUpload", UploadId=upload_id)
        return state

    def _set_documents(self, bucket: Bucket, documents: dict[str, bytes]) -> None:
        state = self._bucket(bucket.name)
        state.bucket = replace(state.bucket, documents=MappingProxyType(documents))
