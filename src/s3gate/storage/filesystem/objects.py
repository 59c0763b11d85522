"""Objects of one bucket: open, commit, change in place, delete. Every mutation runs under the lock of its key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from s3gate.core import clock
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.filesystem import tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import Place, place
from s3gate.storage.filesystem.reader import FileReader
from s3gate.storage.filesystem.staging import FileStage
from s3gate.storage.filesystem.tree import Found

__all__ = ["KEYS", "commit", "delete", "open_reader", "read_record", "update"]

KEYS = b"key"  # the lock space of keys
_ATTEMPTS = 32  # how often a directory may vanish or a file stand in the way before a write gives up


@dataclass(slots=True)
class _Changes:
    """Open directories whose names changed, to be synced and closed when the lock is released."""

    directories: list[int] = field(default_factory=list)

    def note(self, fd: int) -> None:
        self.directories.append(os.dup(fd))

    def close(self) -> None:
        for fd in self.directories:
            os.close(fd)


def _read(bucket: BucketDirectory, key: bytes, where: Place) -> tuple[Found, ObjectRecord] | None:
    """Open an object with its record. A record file that vanishes meanwhile means it was replaced: look again."""
    for _ in range(_ATTEMPTS):
        found = tree.find(bucket.fd, where)
        if found is None:
            return None
        try:
            return found, bucket.metadata.read(found.fd, found.stat, key)
        except FileNotFoundError:
            os.close(found.fd)
        except BaseException:
            os.close(found.fd)
            raise
    raise S3Error("InternalError", "The record of the object cannot be found")


def open_reader(bucket: BucketDirectory, key: str) -> FileReader:
    """The current version of an object, open; NoSuchKey when there is none."""
    name = key.encode()
    opened = _read(bucket, name, place(name))
    if opened is None:
        raise S3Error("NoSuchKey", Key=key)
    found, record = opened
    return FileReader(found.fd, record, bucket.store.executor)


def read_record(bucket: BucketDirectory, key: str) -> ObjectRecord | None:
    """The record of the current version, or None."""
    name = key.encode()
    opened = _read(bucket, name, place(name))
    if opened is None:
        return None
    os.close(opened[0].fd)
    return opened[1]


@contextlib.contextmanager
def _current(bucket: BucketDirectory, key: bytes, where: Place) -> Iterator[tuple[Found | None, ObjectRecord | None]]:
    opened = _read(bucket, key, where)
    if opened is None:
        yield None, None
        return
    try:
        yield opened
    finally:
        os.close(opened[0].fd)


def _remove_garbage(bucket: BucketDirectory, paths: list[bytes]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path, dir_fd=bucket.fd)


async def commit(
    bucket: BucketDirectory, stage: FileStage, key: str, record: ObjectRecord, condition: WriteCondition
) -> ObjectRecord:
    """See Backend.commit_object. The one commit system call is the rename in tree.replace()."""
    bucket.check_home(stage)
    name = key.encode()
    now = clock.now_ns()
    record = replace(record, size=stage.size, modified_ns=now, version_id=NULL_VERSION, sequence=now)
    try:
        await _seal(bucket, stage, name, record)
        for _ in range(_ATTEMPTS):
            changes = _Changes()
            try:
                async with bucket.locks.hold(KEYS, name):
                    published = _publish(bucket, stage, name, record, condition, changes)
                await bucket.durability.sync_directories(changes.directories)
                if published is not None:
                    return published
            finally:
                changes.close()
            await _clear_the_way(bucket, name)
        raise S3Error("OperationAborted")
    finally:
        if not stage.committed:
            bucket.metadata.detach(stage.fd)


async def _seal(bucket: BucketDirectory, stage: FileStage, key: bytes, record: ObjectRecord) -> None:
    """Give the staged file its record and force both to the medium, before the lock: it may take long."""
    metadata, durability = bucket.metadata, bucket.durability
    if not durability.files:
        metadata.attach(stage.fd, key, record)
        return

    def work() -> None:
        metadata.attach(stage.fd, key, record)
        durability.sync_file(stage.fd)

    await stage.run(work)


def _publish(
    bucket: BucketDirectory,
    stage: FileStage,
    key: bytes,
    record: ObjectRecord,
    condition: WriteCondition,
    changes: _Changes,
) -> ObjectRecord | None:
    """Decide the condition and rename, under the lock. None when something stands in the way of the directory."""
    where = place(key)
    with _current(bucket, key, where) as (found, current):
        condition.check(current)
        if current is not None and current.sequence >= record.sequence:
            # a clock that went back: versions of a key are ordered all the same
            record = replace(record, sequence=current.sequence + 1)
            bucket.metadata.detach(stage.fd)
            bucket.metadata.attach(stage.fd, key, record)
            bucket.durability.sync_file(stage.fd)
        garbage = bucket.metadata.garbage(found.fd, found.stat, key) if found else []
        bucket.metadata.settle(stage.fd, key, record, found.stat if found else None)
        try:
            with tree.make_parent(bucket.fd, where, changes.directories) as parent:
                changes.note(parent)  # first, for it may find no descriptor free: nothing may fail behind the rename
                tree.replace(stage.directory, stage.name, parent, where)
                stage.committed = True
        except (FileNotFoundError, NotADirectoryError):
            return None
        finally:
            if not stage.committed:
                bucket.metadata.unsettle(stage.fd, key)
        _remove_garbage(bucket, garbage)
    bucket.check_current()
    return record


async def _clear_the_way(bucket: BucketDirectory, key: bytes) -> None:
    """Turn the object that stands where a directory is needed into its shadow, under the lock of *its* key."""
    blocking = tree.obstacle(bucket.fd, key)
    if blocking is None:
        bucket.check_current()
        return
    where = place(blocking)
    async with bucket.locks.hold(KEYS, blocking):
        tree.convert(bucket.fd, where)
    parent = tree.open_parent(bucket.fd, where)
    if parent is not None:
        with parent as fd:
            await bucket.durability.sync_directories([fd])


async def update(bucket: BucketDirectory, key: str, change: Callable[[ObjectRecord], ObjectRecord]) -> ObjectRecord:
    """See Backend.update_object."""
    name = key.encode()
    async with bucket.locks.hold(KEYS, name):
        with _current(bucket, name, place(name)) as (found, current):
            if found is None or current is None:
                raise S3Error("NoSuchKey", Key=key)
            record = change(current)
            bucket.metadata.rewrite(found.fd, found.stat, name, record)
    return record


async def delete(bucket: BucketDirectory, key: str, condition: WriteCondition) -> None:
    """See Backend.delete_object. The commit is the unlink of the name under which the object is found."""
    name = key.encode()
    where = place(name)
    changes = _Changes()
    try:
        async with bucket.locks.hold(KEYS, name):
            with _current(bucket, name, where) as (found, current):
                condition.check(current)
                if found is None:
                    return
                garbage = bucket.metadata.garbage(found.fd, found.stat, name)
                parent = tree.open_parent(bucket.fd, where)
                if parent is None:
                    return
                with parent as fd:
                    changes.note(fd)
                    tree.remove(fd, where, found)
                _remove_garbage(bucket, garbage)
        await bucket.durability.sync_directories(changes.directories)
    finally:
        changes.close()
