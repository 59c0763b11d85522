"""The backend over a directory of plain files: joins the modules beside it, and holds no logic of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from msgspec.structs import replace

from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import bucket_name_fault
from s3gate.core.observation import UNOBSERVED, StoreObserver
from s3gate.core.values import Bucket, ObjectRecord, Owner
from s3gate.storage.backend import (
    Deletion,
    ListPage,
    ListQuery,
    Removal,
    Stage,
    Swept,
    VersionPage,
    VersionQuery,
)
from s3gate.storage.filesystem import (
    batch_deletion,
    buckets,
    counting,
    deletion,
    documents,
    janitor,
    layout,
    leftovers,
    listing,
    lock_choice,
    objects,
)
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.durability import Durability, Level
from s3gate.storage.filesystem.foreign_files import FileHasher
from s3gate.storage.filesystem.links import canonical
from s3gate.storage.filesystem.locks import KeyLocks
from s3gate.storage.filesystem.metadata import INLINE_BYTES
from s3gate.storage.filesystem.os_errors import raise_translated, seam
from s3gate.storage.filesystem.paths import place
from s3gate.storage.filesystem.placement import PlacementName
from s3gate.storage.filesystem.process_locks import NoLocks
from s3gate.storage.filesystem.pruning import Pruner
from s3gate.storage.filesystem.read_backend import ReadBackend
from s3gate.storage.filesystem.receiving import NOWHERE_ELSE, open_receivers
from s3gate.storage.filesystem.sole_process import SoleProcess
from s3gate.storage.filesystem.staging import FileStage, StageHolder
from s3gate.storage.filesystem.upload_backend import UploadBackend
from s3gate.storage.filesystem.usage_backend import UsageBackend

__all__ = ["FilesystemBackend"]

_log = logging.getLogger(__name__)

_THREADS = 16
_NOWHERE: Mapping[str, str] = {}
_T = TypeVar("_T")
_Q = TypeVar("_Q")


class FilesystemBackend(ReadBackend, UploadBackend, UsageBackend):
    """Implements s3gate.storage.backend.Backend; the duties of each method are described there.

    Args:
        root: the data directory; each directory in it is a bucket.
        durability: what an acknowledged write has on the medium, see Durability.
        metadata: where new buckets keep records: "auto", "xattr" or "sidecar".
        locks: the kind of locks of a new data directory, a name of lock_choice.KINDS, or "auto"; see layout.lock_kind.
        read_only: nothing is written, not even the gateway's own directories.
        region: the region of directories that were there before.
        abort_after_days: age of uploads that sweep() aborts; 0 for none.
        upload_parts: where the parts of uploads go: "auto", "in-place" or "separate", see placement.
        inline_bytes: how large a record may be to stand in an attribute; a larger one gets a file of its own.
        follow_links: symbolic links that stay in their bucket are followed, see links.
        receive_in: directories in which objects and parts are received, None for the bucket's own, see receiving.
        chunk_bytes: the size of the pieces in which a large object is read.
        elsewhere: directories that are buckets as well, wherever they are: path by name. They are only read.
        observer: is told of waits for locks, of syncs, and of what is staged.
    """

    def __init__(
        self,
        root: str,
        *,
        durability: Level = "full",
        metadata: str = "auto",
        locks: str = lock_choice.AUTO,
        read_only: bool = False,
        region: str = "us-east-1",
        abort_after_days: int = 0,
        upload_parts: PlacementName = "auto",
        inline_bytes: int = INLINE_BYTES,
        follow_links: bool = False,
        receive_in: tuple[str | None, str | None] = (None, None),
        chunk_bytes: int = 1 << 20,
        elsewhere: Mapping[str, str] = _NOWHERE,
        observer: StoreObserver = UNOBSERVED,
    ) -> None:
        self._root = root
        self._level = durability
        self._metadata = metadata
        self._locks = locks
        self._inline_bytes = inline_bytes
        self._read_only = read_only
        self._region = region
        self._abort_after_days = abort_after_days
        self._upload_parts = upload_parts
        self._handles: dict[str, BucketDirectory] = {}
        self._follow_links = follow_links
        self._receive_in = receive_in
        self._chunk_bytes = chunk_bytes
        self._observer = observer
        self._elsewhere = elsewhere
        self._listing: listing.Memory | None = None
        self._pruner = Pruner()
        self._hasher = FileHasher()
        self._opened: tuple[Store, ThreadPoolExecutor, KeyLocks | None] | None = None
        self._election: janitor.Election | None = None
        self._sole: SoleProcess | None = None

    # --- life
    async def start(self) -> None:
        """Open the data directory."""
        root_fd = layout.open_root(self._root, read_only=self._read_only, locks=self._locks)
        try:
            locking = layout.lock_kind(self._root, self._locks)
            if not locking.excludes and not self._read_only:
                self._sole = SoleProcess(root_fd, self._root)
                locking = NoLocks(alone=True)
            receivers = NOWHERE_ELSE if self._read_only else open_receivers(*self._receive_in)
        except BaseException:
            os.close(root_fd)
            raise
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3gate-disk")
        store = Store(
            root_fd,
            f"{os.getpid()}-{uuid.uuid4().hex[:12]}",
            executor,
            durability=Durability(self._level, executor, self._observer),
            metadata=self._metadata,
            parts=self._upload_parts,
            locking=locking,
            inline_bytes=self._inline_bytes,
            follows_links=self._follow_links,
            receivers=receivers,
            chunk_bytes=self._chunk_bytes,
            elsewhere=self._elsewhere,
        )
        locks = None
        if not self._read_only:
            locks = KeyLocks(locking.names(root_fd, buckets.LOCKS), self._observer)
            self._election = janitor.Election(root_fd, locking)
        self._listing = listing.Memory(follow_links=self._follow_links)
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
        if self._listing is not None:
            self._listing.close()
        if locks is not None:
            locks.close()
        if self._election is not None:
            self._election.close()
        if self._sole is not None:
            self._sole.close()
        store.receivers.close()
        os.close(store.root_fd)

    @seam
    async def sweep(self) -> Swept:
        election = self._election
        if election is None or not election.is_won():
            return Swept()
        now_ns = janitor.filesystem_now(self._store.root_fd)
        root = leftovers.of_root(self._store, lambda: self._bucket_locks, now_ns)
        swept = await janitor.sweep(
            self._store.executor,
            root,
            self._all_buckets(),
            now_ns=now_ns,
            abort_after_days=self._abort_after_days,
        )
        await counting.count_all(self._all_buckets(), self._store.executor)
        return swept

    @seam
    async def hash_foreign_files(self) -> int:
        election = self._election
        if election is None or not election.is_won():
            return 0
        now_ns = janitor.filesystem_now(self._store.root_fd)
        hashed = 0
        for name in buckets.names(self._store.root_fd):
            try:
                bucket = self._glance(name)
            except (S3Error, OSError, ValueError):
                continue  # gone meanwhile, or not to be read
            hashed += await self._hasher.round(bucket, now_ns)
        return hashed

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

    async def _page(self, work: Callable[[BucketDirectory, listing.Memory, _Q], _T], bucket: Bucket, query: _Q) -> _T:
        """Run `work` in a thread of its own kind: other work does not wait for a large directory to be read."""
        handle = self._handle(bucket.name)
        if self._listing is None:
            raise RuntimeError("the backend was not started")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._listing.threads, work, handle, self._listing, query)

    # --- buckets
    @seam
    async def list_buckets(self) -> list[Bucket]:
        found = []
        for name in buckets.served(self._store):
            try:
                found.append(self._glance(name).value(self._region))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone meanwhile, or not ours to see
            except ValueError as error:
                _log.error("bucket %s is left out: its record is damaged (%s); s3gate fsck tells more", name, error)
        return found

    async def find_bucket(self, name: str) -> Bucket:
        try:
            known = self._handles.get(name)
            shown = known.unchanged() if known is not None else None
            return shown or self._handle(name).value(self._region)
        except OSError as error:
            raise_translated(error)

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
    def stage(self, bucket: Bucket) -> StageHolder:
        """See Backend.stage."""
        return StageHolder(self._new_stage, bucket, self._observer)

    def _new_stage(self, bucket: Bucket) -> FileStage:
        handle = self._handles.get(bucket.name)
        if handle is None or handle.shown is not bucket:  # else without another look: the commit takes one
            handle = self._handle(bucket.name)
        return handle.upload_stage(handle.store.receivers.objects)

    async def commit_object(
        self, bucket: Bucket, stage: Stage, key: str, record: ObjectRecord, condition: WriteCondition
    ) -> ObjectRecord:
        """See Backend.commit_object."""
        if not isinstance(stage, FileStage):
            raise TypeError("a stage is committed to the backend that made it")
        handle = self._handles.get(bucket.name)
        try:
            if handle is None or handle is not stage.home:  # else it is looked at under the lock
                handle = self._handle(bucket.name)
            return await objects.commit(handle, stage, canonical(handle, key), record, condition)
        except FileNotFoundError:
            if handle is not None:
                handle.check_current()  # it was removed before that
            raise
        except OSError as error:
            raise_translated(error)

    @seam
    async def update_object(
        self,
        bucket: Bucket,
        key: str,
        change: Callable[[ObjectRecord], ObjectRecord],
        version_id: str | None = None,
    ) -> ObjectRecord:
        handle = self._handle(bucket.name)
        return await objects.update(handle, canonical(handle, key), change, version_id)

    @seam
    async def delete_object(
        self, bucket: Bucket, key: str, condition: WriteCondition, version_id: str | None = None
    ) -> Deletion:
        handle = self._handle(bucket.name)
        key = canonical(handle, key)
        done = await deletion.delete(handle, key, condition, version_id)
        self._prune(handle, key, done)
        return done

    @seam
    async def delete_objects(self, bucket: Bucket, removals: Sequence[Removal]) -> list[Deletion | S3Error]:
        handle = self._handle(bucket.name)
        led = [replace(removal, key=canonical(handle, removal.key)) for removal in removals]
        return await batch_deletion.delete_many(handle, led, lambda key, done: self._prune(handle, key, done))

    def _prune(self, handle: BucketDirectory, key: str, done: Deletion) -> None:
        """Remove, later, the directories that are empty by now."""
        where = place(key.encode())
        self._pruner.later(handle, where.parent)
        if done.version_id:
            self._pruner.later(handle, where.history)

    @seam
    async def list_versions(self, bucket: Bucket, query: VersionQuery) -> VersionPage:
        return await self._page(listing.version_page, bucket, query)

    @seam
    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        return await self._page(listing.list_page, bucket, query)
