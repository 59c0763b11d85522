"""The backend over a directory of plain files: joins the modules beside it, and holds no logic of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import RESERVED, bucket_name_fault
from s3gate.core.values import Bucket, ObjectRecord, Owner, Part, Upload
from s3gate.storage.backend import Deletion, ListPage, ListQuery, ObjectReader, Stage, Swept, VersionPage, VersionQuery
from s3gate.storage.filesystem import (
    buckets,
    deletion,
    documents,
    janitor,
    layout,
    leftovers,
    listing,
    multipart,
    objects,
    reading,
)
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.directory_names import NameCache
from s3gate.storage.filesystem.durability import Durability, Level
from s3gate.storage.filesystem.locks import KeyLocks
from s3gate.storage.filesystem.os_errors import seam
from s3gate.storage.filesystem.paths import place
from s3gate.storage.filesystem.pruning import Pruner
from s3gate.storage.filesystem.staging import FileStage

__all__ = ["FilesystemBackend"]

_log = logging.getLogger(__name__)

_THREADS = 16
_T = TypeVar("_T")


class FilesystemBackend:
    """Implements s3gate.storage.backend.Backend; the duties of each method are described there.

    Args:
        root: the data directory; each directory in it is a bucket.
        durability: what an acknowledged write has on the medium, see Durability.
        metadata: where new buckets keep records: "auto", "xattr" or "sidecar".
        read_only: nothing is written, not even the gateway's own directories.
        region: the region of directories that were there before.
        abort_after_days: age of uploads that sweep() aborts; 0 for none.
    """

    def __init__(
        self,
        root: str,
        *,
        durability: Level = "full",
        metadata: str = "auto",
        read_only: bool = False,
        region: str = "us-east-1",
        abort_after_days: int = 0,
    ) -> None:
        self._root = root
        self._level = durability
        self._metadata = metadata
        self._read_only = read_only
        self._region = region
        self._abort_after_days = abort_after_days
        self._handles: dict[str, BucketDirectory] = {}
        self._cache = NameCache()
        self._pruner = Pruner()
        self._opened: tuple[Store, ThreadPoolExecutor, KeyLocks | None] | None = None
        self._election: janitor.Election | None = None

    # --- life
    async def start(self) -> None:
        """Open the data directory."""
        root_fd = layout.open_root(self._root, read_only=self._read_only)
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3gate-disk")
        instance = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        durability = Durability(self._level, executor)
        store = Store(root_fd, instance, executor, durability=durability, metadata=self._metadata)
        locks = None
        if not self._read_only:
            path = f"{RESERVED}/locks/buckets"
            locks = KeyLocks(
                os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
            )
            self._election = janitor.Election(root_fd)
        self._opened = store, executor, locks
        if locks is not None:
            for bucket in leftovers.cut_off(store, lambda: self._bucket_locks):
                with contextlib.suppress(S3Error):  # the lock of the name is taken: it is not cut off after all
                    await janitor.clear(bucket, executor)

    async def stop(self) -> None:
        """Let go of the data directory."""
        if self._opened is None:
            return
        store, executor, locks = self._opened
        self._opened = None
        self._pruner.flush()
        for handle in self._handles.values():
            handle.close()
        self._handles.clear()
        executor.shutdown(wait=True)
        if locks is not None:
            locks.close()
        if self._election is not None:
            self._election.close()
        os.close(store.root_fd)

    @seam
    async def sweep(self) -> Swept:
        election = self._election
        if election is None or not election.is_won():
            return Swept()
        now_ns = janitor.filesystem_now(self._store.root_fd)
        root = leftovers.of_root(self._store, lambda: self._bucket_locks, now_ns)
        return await janitor.sweep(
            self._store.executor,
            root,
            self._all_buckets(),
            now_ns=now_ns,
            abort_after_days=self._abort_after_days,
        )

    async def _all_buckets(self) -> AsyncIterator[BucketDirectory]:
        """The buckets that the gateway has written to, one after the other."""
        for name in buckets.names(self._store.root_fd):
            try:
                bucket = self._glance(name)
            except (S3Error, OSError, ValueError):
                continue  # gone meanwhile, or not to be read: s3gate fsck tells
            if not bucket.is_adopted:
                yield bucket

    @property
    def _store(self) -> Store:
        if self._opened is None:
            raise RuntimeError("the backend was not started")
        return self._opened[0]

    @property
    def _bucket_locks(self) -> KeyLocks:
        if self._opened is None or self._opened[2] is None:
            raise S3Error("AccessDenied", "The gateway is read-only")
        return self._opened[2]

    def _handle(self, name: str) -> BucketDirectory:
        """The open directory of a bucket, kept while its name leads to it."""
        handle = self._handles.get(name)
        if handle is not None and handle.is_current():
            return handle
        self._handles.pop(name, None)
        if bucket_name_fault(name, relaxed=True) is not None:
            raise S3Error("NoSuchBucket", BucketName=name)
        try:
            handle = BucketDirectory(self._store, name)
        except (FileNotFoundError, NotADirectoryError):
            raise S3Error("NoSuchBucket", BucketName=name) from None
        self._handles[name] = handle
        return handle

    def _glance(self, name: str) -> BucketDirectory:
        """The open directory of a bucket that is only looked at: it is not kept, so that a walk over all buckets does
        not hold a descriptor of each of them."""
        handle = self._handles.get(name)
        return handle if handle is not None and handle.is_current() else BucketDirectory(self._store, name)

    async def _off_loop(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._store.executor, work, *arguments)

    # --- buckets
    @seam
    async def list_buckets(self) -> list[Bucket]:
        found = []
        for name in buckets.names(self._store.root_fd):
            try:
                found.append(self._glance(name).value(self._region))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone meanwhile, or not ours to see
            except ValueError as error:
                _log.error("bucket %s is left out: its record is damaged (%s); s3gate fsck tells more", name, error)
        return found

    @seam
    async def find_bucket(self, name: str) -> Bucket:
        return self._handle(name).value(self._region)

    @seam
    async def create_bucket(self, name: str, owner: Owner, region: str) -> Bucket:
        made = await buckets.create(self._store, self._bucket_locks, name, owner, region)
        self._handles[name] = made
        return made.value(self._region)

    @seam
    async def delete_bucket(self, bucket: Bucket) -> None:
        await buckets.delete(self._store, self._bucket_locks, self._handle(bucket.name))
        self._handles.pop(bucket.name, None)

    @seam
    async def put_document(self, bucket: Bucket, kind: str, data: bytes) -> None:
        await documents.put(self._handle(bucket.name), kind, data)

    @seam
    async def delete_document(self, bucket: Bucket, kind: str) -> None:
        await documents.delete(self._handle(bucket.name), kind)

    # --- objects
    @contextlib.asynccontextmanager
    async def stage(self, bucket: Bucket) -> AsyncIterator[Stage]:
        """See Backend.stage."""
        stage = await self._new_stage(bucket)
        try:
            yield stage
        finally:
            stage.discard()

    @seam
    async def _new_stage(self, bucket: Bucket) -> FileStage:
        return self._handle(bucket.name).stage()

    @seam
    async def commit_object(
        self, bucket: Bucket, stage: Stage, key: str, record: ObjectRecord, condition: WriteCondition
    ) -> ObjectRecord:
        return await objects.commit(self._handle(bucket.name), _own(stage), key, record, condition)

    @seam
    async def open_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectReader:
        return reading.open_reader(self._handle(bucket.name), key, version_id)

    @seam
    async def stat_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectRecord:
        return reading.read_record(self._handle(bucket.name), key, version_id)

    @seam
    async def update_object(
        self,
        bucket: Bucket,
        key: str,
        change: Callable[[ObjectRecord], ObjectRecord],
        version_id: str | None = None,
    ) -> ObjectRecord:
        return await objects.update(self._handle(bucket.name), key, change, version_id)

    @seam
    async def delete_object(
        self, bucket: Bucket, key: str, condition: WriteCondition, version_id: str | None = None
    ) -> Deletion:
        handle = self._handle(bucket.name)
        done = await deletion.delete(handle, key, condition, version_id)
        where = place(key.encode())
        self._pruner.later(handle, where.parent)
        if done.version_id:
            self._pruner.later(handle, where.history)
        return done

    @seam
    async def list_versions(self, bucket: Bucket, query: VersionQuery) -> VersionPage:
        return await self._off_loop(listing.version_page, self._handle(bucket.name), self._cache, query)

    @seam
    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        return await self._off_loop(listing.list_page, self._handle(bucket.name), self._cache, query)

    # --- multipart uploads
    @seam
    async def create_upload(self, bucket: Bucket, upload: Upload) -> None:
        await multipart.create(self._handle(bucket.name), upload)

    @seam
    async def find_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        return multipart.find(self._handle(bucket.name), key, upload_id)

    @seam
    async def commit_part(self, bucket: Bucket, upload: Upload, stage: Stage, part: Part) -> Part:
        return await multipart.commit_part(self._handle(bucket.name), upload, _own(stage), part)

    @seam
    async def list_parts(self, bucket: Bucket, upload: Upload) -> list[Part]:
        return await self._off_loop(multipart.list_parts, self._handle(bucket.name), upload)

    @seam
    async def list_uploads(self, bucket: Bucket, prefix: str) -> list[Upload]:
        return await self._off_loop(multipart.list_uploads, self._handle(bucket.name), prefix)

    @seam
    async def complete_upload(
        self,
        bucket: Bucket,
        upload: Upload,
        parts: Sequence[Part],
        record: ObjectRecord,
        condition: WriteCondition,
    ) -> ObjectRecord:
        return await multipart.complete(self._handle(bucket.name), upload, parts, record, condition)

    @seam
    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        await multipart.abort(self._handle(bucket.name), upload)


def _own(stage: Stage) -> FileStage:
    if not isinstance(stage, FileStage):
        raise TypeError("a stage is committed to the backend that made it")
    return stage
