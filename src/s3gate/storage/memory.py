"""The reference backend: the contract in its plainest form, held in memory by one process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from s3gate.core.checksums import Buffer
from s3gate.core.clock import now_ns
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, Bucket, ObjectRecord, Owner, Part, Upload
from s3gate.storage.backend import ListPage, ListQuery, ObjectReader, Stage, Through
from s3gate.storage.rollup import collect

__all__ = ["MemoryBackend"]

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Object:
    """A version of an object. It is never changed, only replaced: who holds it keeps record and bytes together."""

    record: ObjectRecord
    data: bytes


@dataclass(slots=True)
class _UploadState:
    upload: Upload
    parts: dict[int, tuple[Part, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _BucketState:
    bucket: Bucket
    objects: dict[str, _Object] = field(default_factory=dict)
    keys: list[bytes] = field(default_factory=list)  # of objects, as UTF-8, sorted
    uploads: dict[str, _UploadState] = field(default_factory=dict)

    def put(self, key: str, item: _Object) -> None:
        if key not in self.objects:
            insort(self.keys, key.encode())
        self.objects[key] = item

    def remove(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key.encode())]

    def find(self, key: str) -> _Object:
        try:
            return self.objects[key]
        except KeyError:
            raise S3Error("NoSuchKey", Key=key) from None

    def record(self, key: str) -> ObjectRecord | None:
        item = self.objects.get(key)
        return None if item is None else item.record


class _Cursor:
    """Walks the sorted keys of a bucket from where a query begins."""

    def __init__(self, keys: list[bytes], query: ListQuery) -> None:
        self._keys = keys
        self._at = max(bisect_right(keys, query.after.encode()), bisect_left(keys, query.prefix.encode()))

    def next(self) -> bytes | None:
        if self._at == len(self._keys):
            return None
        self._at += 1
        return self._keys[self._at - 1]

    def skip(self, prefix: bytes) -> None:
        # Keys cut to the prefix's length are still in order, and those that begin with it are then equal to it.
        self._at = bisect_right(self._keys, prefix, lo=self._at, key=lambda key: key[: len(prefix)])


class _Reader:
    def __init__(self, item: _Object) -> None:
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

    async def close(self) -> None:
        """Nothing is held but memory."""


class _Stage:
    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    async def write(self, pieces: list[Buffer], through: Through) -> None:
        for piece in through(pieces):
            self.data += piece

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
        self._sequence = 0

    async def start(self) -> None:
        """Nothing is to be opened."""

    async def stop(self) -> None:
        """Nothing is held open; what was stored is there after another start."""

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
        return self._commit(self._bucket(bucket.name), key, record, _staged(stage), condition)

    async def open_object(self, bucket: Bucket, key: str) -> ObjectReader:
        """The current version of the object, else NoSuchKey."""
        return _Reader(self._bucket(bucket.name).find(key))

    async def stat_object(self, bucket: Bucket, key: str) -> ObjectRecord:
        """The record of the current version, else NoSuchKey."""
        return self._bucket(bucket.name).find(key).record

    async def update_object(
        self, bucket: Bucket, key: str, change: Callable[[ObjectRecord], ObjectRecord]
    ) -> ObjectRecord:
        """Replace the record of the current version in place."""
        state = self._bucket(bucket.name)
        item = state.find(key)
        record = change(item.record)
        state.put(key, _Object(record, item.data))
        return record

    async def delete_object(self, bucket: Bucket, key: str, condition: WriteCondition) -> None:
        """Remove the object; deleting what is not there succeeds (unless If-Match)."""
        state = self._bucket(bucket.name)
        condition.check(state.record(key))
        state.remove(key)

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """A page of the listing."""
        state = self._bucket(bucket.name)
        return collect(_Cursor(state.keys, query), query, lambda keys: [state.record(key) for key in keys])

    # --- multipart uploads
    async def create_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Record a new upload."""
        self._bucket(bucket.name).uploads[upload.id] = _UploadState(upload)

    async def find_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """The upload under way with this id and key, else NoSuchUpload."""
        return self._upload(bucket, key, upload_id).upload

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
        stored = self._upload(bucket, upload.key, upload.id).parts
        data = bytearray()
        for part in parts:
            there, piece = stored.get(part.number, (None, b""))
            # Time is no mark of identity: a part sent again with the same bytes is as good as the one named.
            if there is None or (there.etag, there.size, there.checksum) != (part.etag, part.size, part.checksum):
                raise S3Error("InvalidPart", UploadId=upload.id, PartNumber=part.number, ETag=part.etag)
            data += piece
        state = self._bucket(bucket.name)
        committed = self._commit(state, upload.key, record, bytes(data), condition)
        del state.uploads[upload.id]
        return committed

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

    def _commit(
        self, state: _BucketState, key: str, record: ObjectRecord, data: bytes, condition: WriteCondition
    ) -> ObjectRecord:
        condition.check(state.record(key))
        self._sequence += 1
        stored = replace(record, modified_ns=now_ns(), version_id=NULL_VERSION, sequence=self._sequence)
        state.put(key, _Object(stored, data))
        return stored
