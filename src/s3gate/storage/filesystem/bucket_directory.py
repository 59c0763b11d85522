"""The open directory of a bucket: its descriptor, its record, its locks and its staging directory in this process."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor

from s3gate.core.bucket_properties import QUOTA
from s3gate.core.errors import S3Error
from s3gate.core.values import VERSIONING, Bucket
from s3gate.storage.filesystem import instance, layout
from s3gate.storage.filesystem.durability import Durability
from s3gate.storage.filesystem.layout import BucketRecord
from s3gate.storage.filesystem.lock_kinds import FileLock, LockKind
from s3gate.storage.filesystem.locks import Hold, KeyLocks
from s3gate.storage.filesystem.metadata import INLINE_BYTES, MetadataStore, SidecarMetadata, XattrMetadata
from s3gate.storage.filesystem.paths import CONTROL
from s3gate.storage.filesystem.placement import Placement
from s3gate.storage.filesystem.receiving import NOWHERE_ELSE, ReceivedStage, Receivers
from s3gate.storage.filesystem.staging import FileStage

__all__ = ["CONF", "BucketDirectory", "Store"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CONTROL_DIRECTORIES = ("conf", "done", "locks", "meta", "mpu", "tmp", "x")
CONF = CONTROL + b"/conf"
_ACCOUNT = b"account"  # the lock space of what a bucket with a quota holds
# A directory changed this short a time ago may change again without a new time stamp, on kernels with coarse ones.
_SETTLED_NS = 2_000_000_000
_NOWHERE: Mapping[str, str] = {}
_NO_DOCUMENTS: Mapping[str, bytes] = {}


class Store:
    """What all buckets of this process share."""

    def __init__(
        self,
        root_fd: int,
        instance: str,
        executor: Executor,
        *,
        durability: Durability,
        metadata: str,
        parts: str = "auto",
        locking: LockKind,
        inline_bytes: int = INLINE_BYTES,
        follows_links: bool = False,
        receivers: Receivers = NOWHERE_ELSE,
        chunk_bytes: int = 1 << 20,
        elsewhere: Mapping[str, str] = _NOWHERE,
    ) -> None:
        self.root_fd = root_fd
        self.instance = instance
        self.executor = executor
        self.durability = durability
        self.metadata = metadata
        self.placement = Placement(parts)
        self.locking = locking
        self.inline_bytes = inline_bytes
        self.follows_links = follows_links
        self.receivers = receivers
        self.chunk_bytes = chunk_bytes
        self.elsewhere = elsewhere


class BucketDirectory:
    """A bucket held open. Its descriptors close when the last request that uses it lets go."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.durability = store.durability
        self.follows_links = store.follows_links  # of other programs, where they stay in the bucket: see links
        self._path = store.elsewhere.get(name, name)  # one that is elsewhere is absolute: root_fd has no part in it
        self._descriptors: list[int] = []
        self.fd = self._keep(os.open(self._path, _DIRECTORY, dir_fd=store.root_fd))
        self.stat = os.fstat(self.fd)
        self._record = layout.read_bucket_record(self.fd)
        self._locks: KeyLocks | None = None
        self._account_locks: KeyLocks | None = None
        self._alive: FileLock | None = None
        self._staging_fd = -1
        self._metadata: MetadataStore | None = None
        self._documents: tuple[int, Mapping[str, bytes]] = 0, {}
        self._conf = os.fsencode(self._path) + b"/" + CONF
        self._conf_ino = 0
        self.shown: Bucket | None = None

    def _keep(self, fd: int) -> int:
        self._descriptors.append(fd)
        return fd

    def __del__(self) -> None:
        for name in ("_locks", "_account_locks", "_alive"):
            lock: KeyLocks | FileLock | None = getattr(self, name, None)
            if lock is not None:
                lock.close()
        for fd in getattr(self, "_descriptors", ()):
            with contextlib.suppress(OSError):
                os.close(fd)

    @property
    def record(self) -> BucketRecord:
        """The bucket's record; that of an adopted directory until the gateway first writes to it."""
        if self._record is None:
            self._record = layout.read_bucket_record(self.fd)
        return self._record or layout.adopted(min(self.stat.st_mtime_ns, self.stat.st_ctime_ns))

    @property
    def is_adopted(self) -> bool:
        """Whether this is a directory of other programs that has no record of ours yet."""
        return not self.record.metadata

    def value(self, region: str) -> Bucket:
        """The bucket as requests see it; an adopted one is in the gateway's region."""
        record, documents = self.record, self.documents()
        shown = self.shown
        if shown is None or shown.documents is not documents:
            shown = Bucket(self.name, record.owner, record.region or region, record.created_ns, documents)
            self.shown = shown
        return shown

    def unchanged(self) -> Bucket | None:
        """The value that was given out last, where one system call shows that it still holds; else None.

        The directory of the documents, reached by the bucket's name, is the one that was read, and as old: so the name
        leads here, and the documents are the same.
        """
        if self.shown is None or not self._documents[0]:
            return None
        try:
            stat = os.stat(self._conf, dir_fd=self.store.root_fd, follow_symlinks=False)
        except OSError:
            return None
        same = stat.st_mtime_ns == self._documents[0] and stat.st_ino == self._conf_ino
        return self.shown if same and stat.st_dev == self.stat.st_dev else None

    def documents(self) -> Mapping[str, bytes]:
        """The documents of the bucket by kind, as they stand now: read again when their directory has changed."""
        try:
            stat = os.stat(CONF, dir_fd=self.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return _NO_DOCUMENTS
        known, documents = self._documents
        if stat.st_mtime_ns != known:
            documents = _read_documents(self.fd)
            settled = time.time_ns() - stat.st_mtime_ns > _SETTLED_NS
            self._documents = stat.st_mtime_ns if settled else 0, documents
            self._conf_ino = stat.st_ino
        return documents

    @property
    def versioning(self) -> str:
        """The versioning state as it stands now: "Enabled", "Suspended" or ""."""
        return self.documents().get(VERSIONING, b"").decode()

    def current_versioning(self) -> str:
        """The same, for a writer; raises NoSuchBucket when the name does not lead here any more. One system call."""
        if self.unchanged() is None:
            self.check_current()
            self.documents()
        return self.last_versioning

    @property
    def last_versioning(self) -> str:
        """The versioning state as it was last looked at: for what is decided again under a lock."""
        return self._documents[1].get(VERSIONING, b"").decode()

    @property
    def has_quota(self) -> bool:
        """Whether the bucket had a quota when it was last looked at: see account."""
        return QUOTA in self._documents[1]

    def is_current(self) -> bool:
        """Whether the name still leads to this directory."""
        try:
            stat = os.stat(self._path, dir_fd=self.store.root_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.st_ino == self.stat.st_ino and stat.st_dev == self.stat.st_dev

    def check_current(self) -> None:
        """Raise NoSuchBucket when the bucket was removed or replaced since it was opened."""
        if not self.is_current():
            raise S3Error("NoSuchBucket", BucketName=self.name)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is no directory of the data directory, and only read."""
        return self.name in self.store.elsewhere

    def check_writable(self) -> None:
        """Raise AccessDenied for a bucket that is only read. Each way to a write passes here."""
        if self.is_elsewhere:
            raise S3Error("AccessDenied")

    @contextlib.contextmanager
    def _while_current(self) -> Iterator[None]:
        """Where something is missing because the bucket is removed at this moment, that is what is told."""
        try:
            yield
        except FileNotFoundError:
            self.check_current()
            raise

    @property
    def metadata(self) -> MetadataStore:
        """Where this bucket keeps its records."""
        if self._metadata is None:
            kind = self.record.metadata
            chosen: MetadataStore
            if kind == "sidecar":
                chosen = SidecarMetadata(self.fd, CONTROL, self.durability)
            else:
                chosen = XattrMetadata(self.fd, CONTROL, self.durability, inline_bytes=self.store.inline_bytes)
            if not kind:
                return chosen  # adopted: not decided before the first write
            self._metadata = chosen
        return self._metadata

    @property
    def syncs_under_lock(self) -> bool:
        """Whether a commit waits for the disk while it holds the key: sidecars are written there."""
        return self.durability.files and self.record.metadata == "sidecar"

    @property
    def locks(self) -> KeyLocks:
        """The key locks of this bucket; makes the control directory."""
        if self._locks is None:
            with self._while_current():
                self.prepare(self.record)
                self._locks = KeyLocks(
                    self.store.locking.names(self.fd, CONTROL + b"/locks/keys"), self.store.durability.observer
                )
        return self._locks

    def hold_account(self) -> Hold:
        """The lock of the account; of two locks it is taken last."""
        if self._account_locks is None:
            locking, observer = self.store.locking, self.store.durability.observer
            with self._while_current():
                self.prepare(self.record)
                self._account_locks = KeyLocks(locking.names(self.fd, CONTROL + b"/locks/account"), observer)
        return self._account_locks.hold(_ACCOUNT, b"")

    def prepare(self, record: BucketRecord) -> None:
        """Make the control directory and bucket.json where they are missing. `record` is what a new one says."""
        self.check_writable()
        with contextlib.suppress(FileExistsError):
            os.mkdir(CONTROL, 0o700, dir_fd=self.fd)
        control = os.open(CONTROL, _DIRECTORY, dir_fd=self.fd)
        try:
            for name in _CONTROL_DIRECTORIES:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=control)
            if self.is_adopted:
                kind = layout.probe_metadata(control, self.store.metadata)
                layout.write_bucket_record(control, BucketRecord(record.owner, record.region, record.created_ns, kind))
                os.fsync(self.fd)  # for the name of the control directory, without which all in it is lost
                self._record = None
                if self.is_adopted:
                    raise S3Error("InternalError", f"bucket {self.name} has no readable bucket.json")
        finally:
            os.close(control)

    def stage(self) -> FileStage:
        """A new staged file in this process's own staging directory."""
        return self.upload_stage(None)

    def upload_stage(self, receiver: int | None) -> FileStage:
        """A stage for the body of a request, to be received in the open directory `receiver` if there is one."""
        try:
            directory = self._staging_fd if self._staging_fd >= 0 else self._open_staging()
            if receiver is None:
                return FileStage(directory, self.store.executor, self)
            return ReceivedStage(receiver, directory, self.store.executor, self)
        except FileNotFoundError:
            self.check_current()  # it is removed at this moment, mostly
            raise

    def _open_staging(self) -> int:
        """Make the staging directory of this process."""
        self.prepare(self.record)
        with self._temporaries() as tmp:
            directory, self._alive = instance.claim(tmp, self.store.instance.encode(), self.store.locking)
        self._staging_fd = self._keep(directory)
        return directory

    @property
    def places_parts(self) -> bool:
        """Whether the parts of uploads are written at their places in the object to be."""
        return self.store.placement.in_place(self.stat.st_dev, self._temporaries)

    @property
    def fences_parts(self) -> bool:
        """Whether it can be made sure that nobody writes a part at its place any more."""
        return self.store.placement.can(self.stat.st_dev, self._temporaries)

    def check_home(self, stage: FileStage) -> None:
        """Raise NoSuchBucket for a stage of the bucket that had this name before: this one was not meant."""
        if stage.home is not self and not os.path.samestat(stage.home.stat, self.stat):
            raise S3Error("NoSuchBucket", BucketName=self.name)

    def close(self) -> None:
        """Remove this process's staging directory, which is empty when no request is under way."""
        if self._staging_fd >= 0:
            with contextlib.suppress(OSError), self._temporaries() as tmp:
                instance.release(tmp, self.store.instance.encode())

    @contextlib.contextmanager
    def _temporaries(self) -> Iterator[int]:
        self.check_writable()
        fd = os.open(CONTROL + b"/tmp", _DIRECTORY, dir_fd=self.fd)
        try:
            yield fd
        finally:
            os.close(fd)


def _read_documents(bucket_fd: int) -> Mapping[str, bytes]:
    documents = {}
    with contextlib.suppress(FileNotFoundError):
        conf = os.open(CONF, _DIRECTORY, dir_fd=bucket_fd)
        try:
            for name in os.listdir(conf):
                with contextlib.suppress(FileNotFoundError):
                    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=conf)
                    with open(fd, "rb") as file:
                        documents[name] = file.read()
        finally:
            os.close(conf)
    return documents
