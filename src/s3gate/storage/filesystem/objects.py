"""Objects of one bucket: commit one, change the record of one. Every mutation runs under the lock of its key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

import msgspec
from msgspec.structs import replace

from s3gate.core import clock
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.filesystem import history, links, reading, tree
from s3gate.storage.filesystem.account import Account
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.history import HistoryEntry
from s3gate.storage.filesystem.kept_parent import KeptParent
from s3gate.storage.filesystem.locks import Lease, LeaseExpired
from s3gate.storage.filesystem.paths import Place, place
from s3gate.storage.filesystem.receiving import ReceivedStage
from s3gate.storage.filesystem.staging import FileStage
from s3gate.storage.filesystem.threads import close_file, run_to_end
from s3gate.storage.filesystem.tree import Directory, Found
from s3gate.storage.versions import new_version_id

__all__ = [
    "ATTEMPTS",
    "ENABLED",
    "KEYS",
    "Changes",
    "State",
    "clear_the_way",
    "commit",
    "locked_state",
    "stamp",
    "update",
]

ENABLED = "Enabled"
KEYS = b"key"  # the lock space of keys
ATTEMPTS = 32  # how often a directory may vanish or a file stand in the way before a write gives up


class Changes(msgspec.Struct):
    """Open directories whose names changed, to be synced and closed when the lock is released; none without `syncs`.

    `garbage` is what nothing needs once they are synced: paths below the bucket. Removed before, the object that a loss
    of power brings back would have lost its record. `files` were open meanwhile: with the last descriptor of a file
    that has lost its name its blocks are freed, which is not to be waited for under the lock.
    """

    syncs: bool = True
    directories: list[int] = []
    garbage: list[bytes] = []
    files: list[Found] = []
    lease: Lease | None = None  # of the lock under which they are made
    account: Account | None = None  # of a bucket that has a quota

    def note(self, fd: int) -> None:
        """This directory has changed."""
        if self.syncs:
            self.directories.append(os.dup(fd))

    def hold(self, bucket: BucketDirectory, key: bytes) -> contextlib.AbstractAsyncContextManager[Lease]:
        """The lock of a key, and after it that of the account where the bucket has a quota."""
        return self._hold_account(bucket, key) if bucket.has_quota else bucket.locks.hold(KEYS, key)

    @contextlib.asynccontextmanager
    async def _hold_account(self, bucket: BucketDirectory, key: bytes) -> AsyncIterator[Lease]:
        async with bucket.locks.hold(KEYS, key) as lease, bucket.hold_account():
            self.account = Account(bucket, key)
            try:
                yield lease
            finally:
                self.account.settle()

    def check_lease(self) -> None:
        """Raise LeaseExpired when the lock may be lost: right before the commit, so that all is looked at once more."""
        if self.lease is not None:
            self.lease.check()

    def close(self, executor: Executor) -> None:
        """Close them all."""
        for fd in self.directories:
            os.close(fd)
        for found in self.files:
            close_file(executor, found.fd, found.stat.st_size)


class State(msgspec.Struct):
    """A key as a writer finds it once it holds the lock: the plain file, its record, and the history that counts.

    `parent` is the open directory that holds the key, None where there is none yet. What is open is let go of at the
    end of a `with` block: the file is left to `changes`.
    """

    changes: Changes
    parent: Directory | None
    versioning: str
    found: Found | None = None
    current: ObjectRecord | None = None
    entries: list[HistoryEntry] = []

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        if self.parent is not None and self.parent.owned:
            os.close(self.parent.fd)
        if self.found is not None:
            self.changes.files.append(self.found)

    @property
    def newest(self) -> int:
        """The greatest sequence there is."""
        return max(self.current.sequence if self.current else 0, self.entries[0].sequence if self.entries else 0)

    @property
    def archives(self) -> bool:
        """Whether a new version leaves the current one in the history: but for a null version replaced by another.

        A link is no version: it goes, and what it leads to stays where it is.
        """
        if self.current is None or self.is_link:
            return False
        return self.versioning == ENABLED or (self.versioning != "" and self.current.version_id != NULL_VERSION)

    @property
    def is_link(self) -> bool:
        """Whether the name of the object is a link to another key's."""
        return self.found is not None and self.found.target != b""

    def place_for(self, bucket: BucketDirectory, where: Place, changes: Changes) -> Directory:
        """The directory that holds the key, made where it is missing; see tree.make_parent."""
        if self.parent is not None:
            return Directory(self.parent.fd, owned=False)
        return tree.make_parent(bucket.fd, where, changes.directories)

    @property
    def garbage(self) -> list[bytes]:
        """Paths below the bucket that hold nothing once the current version is gone."""
        return [] if self.found is None else self.found.garbage


def locked_state(
    bucket: BucketDirectory, key: bytes, where: Place, changes: Changes, kept: KeptParent | None = None
) -> State:
    """What stands at a key; only for a holder of its lock, because it clears away what a killed writer left.

    `kept`: for who has many keys, one after the other.
    """
    versioning = bucket.current_versioning()
    if bucket.has_quota and changes.account is None:
        raise LeaseExpired  # it got one just now: the writer looks again, with the lock of the account
    state = State(changes, (kept or tree).look_parent(bucket.fd, where), versioning)
    try:
        _look(bucket, key, where, state)
        if kept is not None and state.found is None and not kept.is_fresh:
            kept.forget()
            state.parent = kept.look_parent(bucket.fd, where)
            _look(bucket, key, where, state)
    except BaseException:
        state.__exit__()
        raise
    return state


def _look(bucket: BucketDirectory, key: bytes, where: Place, state: State) -> None:
    """Complete a state by what stands there now."""
    check_lease = state.changes.check_lease
    parent = None if state.parent is None else state.parent.fd
    opened = reading.open_locked(bucket, key, where, parent)
    if opened is not None:
        state.found, state.current = opened
    check_lease()  # what counts is told by the current version, and that must be it still
    if not state.versioning:
        return
    found, current = state.found, state.current
    state.entries = history.scrub(bucket, key, where, current)
    if found is not None and not found.target and current and history.is_foreign(current):
        # A file of another program gets its place in time before anything newer is added.
        last = state.entries[0].sequence if state.entries else 0
        state.current = replace(current, sequence=max(last + 1, min(found.stat.st_mtime_ns, clock.now_ns())))
        bucket.metadata.rewrite(found.fd, found.stat, key, state.current, check_lease)
        found.garbage = bucket.metadata.garbage(found.fd, found.stat, key)


def stamp(record: ObjectRecord, versioning: str, sequence: int) -> ObjectRecord:
    """The record as that of a new version in a bucket of this state."""
    return replace(record, version_id=_new_version(versioning, sequence), sequence=sequence)


def _new_version(versioning: str, sequence: int) -> str:
    return new_version_id(sequence) if versioning == ENABLED else NULL_VERSION


async def commit(
    bucket: BucketDirectory, stage: FileStage, key: str, record: ObjectRecord, condition: WriteCondition
) -> ObjectRecord:
    """See Backend.commit_object. The one commit system call is the rename in tree.replace()."""
    bucket.check_home(stage)
    if isinstance(stage, ReceivedStage):
        await stage.arrive()
    name = key.encode()
    now = clock.now_ns()
    version_id = _new_version(bucket.last_versioning, now)
    record = replace(record, size=stage.size, modified_ns=now, version_id=version_id, sequence=now)
    try:
        if bucket.durability.files:
            await stage.run(_seal, bucket, stage, name, record)
        else:
            bucket.metadata.attach(stage.fd, name, record)
        for _ in range(ATTEMPTS):
            changes = Changes(bucket.durability.directories)
            published = None
            try:
                try:
                    async with changes.hold(bucket, name) as changes.lease:
                        arguments = bucket, stage, name, record, condition, changes
                        if bucket.syncs_under_lock:
                            published = await stage.run(_publish, *arguments)
                        else:
                            published = _publish(*arguments)
                except LeaseExpired:
                    pass  # another attempt
                if changes.directories:
                    await bucket.durability.sync_directories(changes.directories)
                if published is not None:
                    remove_paths(bucket, changes.garbage)
                    return published
            finally:
                changes.close(bucket.store.executor)
            await clear_the_way(bucket, name)
        raise S3Error("OperationAborted")
    finally:
        if not stage.committed:
            bucket.metadata.detach(stage.fd)


def _seal(bucket: BucketDirectory, stage: FileStage, key: bytes, record: ObjectRecord) -> None:
    """Give the staged file its record and force both to the medium, before the lock: it may take long."""
    bucket.metadata.attach(stage.fd, key, record)
    bucket.durability.sync_file(stage.fd)


def _restamp(bucket: BucketDirectory, stage: FileStage, key: bytes, record: ObjectRecord, state: State) -> ObjectRecord:
    """The record as it has to be now that the key is locked: newer than all there is, in today's versioning state.

    A clock that went back must not change the order of versions, and the state may have changed since the record was
    written; both are rare, and cost an fsync under the lock.
    """
    fits = (record.version_id != NULL_VERSION) is (state.versioning == ENABLED)
    if fits and record.sequence > state.newest:
        return record
    record = stamp(record, state.versioning, max(record.sequence, state.newest + 1))
    bucket.metadata.detach(stage.fd)
    bucket.metadata.attach(stage.fd, key, record)
    bucket.durability.sync_file(stage.fd)
    return record


def _publish(
    bucket: BucketDirectory,
    stage: FileStage,
    key: bytes,
    record: ObjectRecord,
    condition: WriteCondition,
    changes: Changes,
) -> ObjectRecord | None:
    """Decide the condition and rename, under the lock. None when something stands in the way of the directory."""
    where = place(key)
    with locked_state(bucket, key, where, changes) as state:
        condition.check(state.current)
        found, record = state.found, _restamp(bucket, stage, key, record, state)
        if changes.account is not None:
            changes.account.admit(record, state.versioning)
        archives = state.archives
        garbage = [] if archives else state.garbage
        shadowed = links.is_followed_directory(bucket, where)
        bucket.metadata.settle(stage.fd, key, record)
        try:
            with state.place_for(bucket, where, changes) as parent:
                changes.note(parent)  # first, for it may find no descriptor free: nothing may fail behind the rename
                if archives:
                    keep_current(bucket, state, where, parent, changes)
                changes.check_lease()
                has_shadow = found is not None and found.shadow
                other = found if stage.lends_name else None
                tree.replace(
                    stage.directory, stage.name, parent, where, found=other, has_shadow=has_shadow, shadowed=shadowed
                )
                stage.committed = True
        except (FileNotFoundError, NotADirectoryError):
            return None
        finally:
            if not stage.committed:
                bucket.metadata.unsettle(stage.fd, key)
        if state.versioning:
            drop_nulls(bucket, key, where, state, record)
    changes.garbage += garbage
    bucket.check_current()
    return record


def keep_current(bucket: BucketDirectory, state: State, where: Place, parent: int, changes: Changes) -> None:
    """Give the current version its second name, in the history, before it loses the first one."""
    changes.check_lease()  # another writer's version must not get the name of the one before it
    if not state.archives or state.found is None or state.current is None:
        return
    with history.history_directory(bucket, where, changes.directories) as directory:
        name = where.shadow if state.found.shadow else where.name
        changes.note(directory)
        history.archive(parent, name, directory, history.entry_of(state.current))


def drop_nulls(bucket: BucketDirectory, key: bytes, where: Place, state: State, record: ObjectRecord) -> None:
    """After the commit of a null version: the older ones do not count any more, and go."""
    if record.version_id == NULL_VERSION:
        for entry in state.entries:
            if entry.version_id == NULL_VERSION:
                history.remove_entry(bucket, key, where, entry)


def remove_paths(bucket: BucketDirectory, paths: list[bytes]) -> None:
    """Remove files of the gateway's own below the bucket."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path, dir_fd=bucket.fd)


async def clear_the_way(bucket: BucketDirectory, key: bytes) -> None:
    """Turn the object that stands where a directory is needed into its shadow, under the lock of *its* key."""
    blocking = tree.obstacle(bucket.fd, key)
    if blocking is None:
        bucket.check_current()
        return
    where = place(blocking)
    async with bucket.locks.hold(KEYS, blocking) as lease:

        def sync(fd: int) -> None:
            bucket.durability.sync_directory(fd)
            lease.check()  # what follows is the unlink

        with contextlib.suppress(LeaseExpired):  # the writer looks again
            tree.convert(bucket.fd, where, sync)
    parent = tree.open_parent(bucket.fd, where)
    if parent is not None:
        with parent as fd:
            await bucket.durability.sync_directories([fd])


async def update(
    bucket: BucketDirectory, key: str, change: Callable[[ObjectRecord], ObjectRecord], version_id: str | None
) -> ObjectRecord:
    """See Backend.update_object. The commit is the replacement of the attribute, or of the sidecar."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(LeaseExpired):
            async with bucket.locks.hold(KEYS, key.encode()) as lease:
                return await _rewrite(bucket, key, change, version_id, lease)
    raise S3Error("OperationAborted")


async def _rewrite(
    bucket: BucketDirectory,
    key: str,
    change: Callable[[ObjectRecord], ObjectRecord],
    version_id: str | None,
    lease: Lease,
) -> ObjectRecord:
    """One attempt under the lock; LeaseExpired when it took so long that the lock may be lost."""
    found, current = reading.open_one(bucket, key, version_id)
    try:
        if found.target:
            raise S3Error("AccessDenied", "The key is a link to another object, whose metadata it does not change")
        record = replace(change(current), version_id=current.version_id, sequence=current.sequence, size=current.size)
        arguments = found.fd, found.stat, key.encode(), record, lease.check
        if bucket.durability.files:
            await run_to_end(bucket.store.executor, bucket.metadata.rewrite, *arguments)
        else:
            bucket.metadata.rewrite(*arguments)
    finally:
        os.close(found.fd)
    return record
