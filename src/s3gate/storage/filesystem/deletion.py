"""Deleting an object or one of its versions, under the lock of the key; each way has one commit system call."""

from __future__ import annotations

import contextlib

from msgspec.structs import replace

from s3gate.core import clock
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.backend import Deletion
from s3gate.storage.filesystem import history, links, objects, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.history import HistoryEntry
from s3gate.storage.filesystem.kept_parent import KeptParent
from s3gate.storage.filesystem.locks import LeaseExpired
from s3gate.storage.filesystem.objects import ATTEMPTS, KEYS, Changes, State, locked_state
from s3gate.storage.filesystem.paths import Place, place
from s3gate.storage.filesystem.staging import FileStage

__all__ = ["delete", "remove", "remove_at_once"]


async def delete(bucket: BucketDirectory, key: str, condition: WriteCondition, version_id: str | None) -> Deletion:
    """See Backend.delete_object."""
    deletion, changes = remove_at_once(bucket, key, condition, version_id) or await remove(
        bucket, key, condition, version_id
    )
    try:
        if changes.directories:
            await bucket.durability.sync_directories(changes.directories)
        objects.remove_paths(bucket, changes.garbage)
    finally:
        changes.close(bucket.store.executor)
    return deletion


def remove_at_once(
    bucket: BucketDirectory,
    key: str,
    condition: WriteCondition,
    version_id: str | None,
    kept: KeptParent | None = None,
) -> tuple[Deletion, Changes] | None:
    """The same as remove() where nothing has to be waited for, which is nearly always; else None, and it is to be done.

    Nobody has the key locked, and neither a marker is needed nor an account. `kept`: see locked_state.
    """
    if bucket.has_quota or (version_id is None and bucket.last_versioning):
        return None
    name, locks = key.encode(), bucket.locks
    slot = locks.slot(KEYS, name)
    lease = locks.take_free(slot)
    if lease is None:
        return None
    changes = Changes(bucket.durability.directories, lease=lease)
    deletion = None
    try:
        with contextlib.suppress(LeaseExpired):
            deletion = _delete(bucket, name, condition, version_id, None, changes, kept)
        if deletion is None:
            for fd in changes.directories:  # the next attempt may find that done, and not note it
                bucket.durability.sync_directory(fd)
    finally:
        locks.give_back(slot)
        if deletion is None:
            changes.close(bucket.store.executor)
    return None if deletion is None else (deletion, changes)


async def remove(
    bucket: BucketDirectory, key: str, condition: WriteCondition, version_id: str | None
) -> tuple[Deletion, Changes]:
    """Delete, but for what makes it durable: the caller syncs the directories, removes the garbage, and closes."""
    name = key.encode()
    for _ in range(ATTEMPTS):
        changes = Changes(bucket.durability.directories)
        try:
            deletion = await _try(bucket, name, condition, version_id, changes)
            if deletion is not None:
                return deletion, changes
            await bucket.durability.sync_directories(changes.directories)
        except BaseException:
            changes.close(bucket.store.executor)
            raise
        changes.close(bucket.store.executor)
        await objects.clear_the_way(bucket, name)
    raise S3Error("OperationAborted")


async def _try(
    bucket: BucketDirectory, key: bytes, condition: WriteCondition, version_id: str | None, changes: Changes
) -> Deletion | None:
    """One attempt; None where there has to be another, see _delete, or where the lock may have been lost."""
    marker = bucket.stage() if version_id is None and bucket.last_versioning else None
    try:
        with contextlib.suppress(LeaseExpired):
            async with changes.hold(bucket, key) as changes.lease:
                arguments = bucket, key, condition, version_id, marker, changes
                if marker is not None and bucket.durability.files:
                    return await marker.run(_delete, *arguments)  # the marker is forced to the medium there
                return _delete(*arguments)
    finally:
        if marker is not None:
            marker.discard()
    return None


def _delete(
    bucket: BucketDirectory,
    key: bytes,
    condition: WriteCondition,
    version_id: str | None,
    marker: FileStage | None,
    changes: Changes,
    kept: KeptParent | None = None,
) -> Deletion | None:
    """One attempt under the lock; None when something stands in the way of a version that comes back.

    `marker` is the staged file of a delete marker; where the bucket's state has changed so that one is needed and
    there is none, the next attempt has it.
    """
    where = place(key)
    with locked_state(bucket, key, where, changes, kept) as state:
        try:
            if version_id is not None:
                return _delete_version(bucket, key, where, state, condition, version_id, changes)
            condition.check(state.current)
            if state.versioning:
                return None if marker is None else _mark_deleted(bucket, key, where, state, marker, changes)
            _remove_live(where, state, changes)
            return Deletion()
        except (FileNotFoundError, NotADirectoryError):
            return None


def _remove_live(where: Place, state: State, changes: Changes) -> None:
    """Take the plain file away, with all that is kept for it alone. Its unlink is the commit."""
    if state.found is None:
        return
    garbage = [] if state.archives else state.garbage
    _unlink_live(where, state, changes)
    changes.garbage += garbage


def _unlink_live(where: Place, state: State, changes: Changes) -> None:
    if state.parent is None or state.found is None:
        return
    changes.note(state.parent.fd)
    changes.check_lease()
    tree.remove(state.parent.fd, where, state.found)


def _mark_deleted(
    bucket: BucketDirectory, key: bytes, where: Place, state: State, stage: FileStage, changes: Changes
) -> Deletion:
    """Make a delete marker the current version.

    The marker goes into the history first, where it does not count as long as there is a plain file (R3); then the
    unlink of the plain file commits. Where there is no plain file, the link of the marker does.
    """
    sequence = max(clock.now_ns(), state.newest + 1)
    marker = objects.stamp(ObjectRecord("", 0, clock.now_ns(), delete_marker=True), state.versioning, sequence)
    bucket.metadata.attach(stage.fd, key, marker)
    bucket.metadata.settle(stage.fd, key, marker)
    bucket.durability.sync_file(stage.fd)
    if state.parent is not None:
        objects.keep_current(bucket, state, where, state.parent.fd, changes)
    with history.history_directory(bucket, where, changes.directories) as directory:
        changes.note(directory)
        changes.check_lease()
        history.archive(stage.directory, stage.name, directory, history.entry_of(marker))
    _remove_live(where, state, changes)
    objects.drop_nulls(bucket, key, where, state, marker)
    return Deletion(marker.version_id, delete_marker=True)


def _delete_version(
    bucket: BucketDirectory,
    key: bytes,
    where: Place,
    state: State,
    condition: WriteCondition,
    version_id: str,
    changes: Changes,
) -> Deletion:
    if not state.versioning:
        if version_id == NULL_VERSION:
            condition.check(state.current)
            _remove_live(where, state, changes)
        else:
            condition.check(None)
        return Deletion()
    if state.current is not None and state.current.version_id == version_id:
        condition.check(state.current)
        _remove_current(bucket, where, state, changes)
        return Deletion(version_id)
    entry = next((entry for entry in state.entries if entry.version_id == version_id), None)
    if entry is None:
        condition.check(None)
        return Deletion(version_id)
    condition.check(_record(bucket, key, where, entry))
    changes.check_lease()
    following = state.entries[1:2]
    if state.found is None and entry is state.entries[0] and following and not following[0].delete_marker:
        _bring_back(bucket, where, following[0], changes)  # the commit: the marker does not count from here on (R3)
    _remove_entry(bucket, key, where, entry, changes)
    return Deletion(version_id, delete_marker=entry.delete_marker)


def _record(bucket: BucketDirectory, key: bytes, where: Place, entry: HistoryEntry) -> ObjectRecord | None:
    if entry.delete_marker:
        return None
    with history.open_entry(bucket, where, entry) as opened:
        return None if opened is None else history.record_of(bucket, key, entry, opened)


def _remove_current(bucket: BucketDirectory, where: Place, state: State, changes: Changes) -> None:
    """Remove the current version: the one before it takes its place in the same system call, where there is one."""
    if state.found is None:
        return
    garbage = state.garbage
    if state.entries and not state.entries[0].delete_marker:
        _bring_back(bucket, where, state.entries[0], changes)
    else:
        _unlink_live(where, state, changes)
    changes.garbage += garbage


def _bring_back(bucket: BucketDirectory, where: Place, entry: HistoryEntry, changes: Changes) -> None:
    """Move a version from the history to the plain path, over whatever version stands there."""
    with history.history_directory(bucket, where, changes.directories) as directory:
        changes.note(directory)
        with tree.make_parent(bucket.fd, where, changes.directories) as parent:
            changes.note(parent)
            shadowed = links.is_followed_directory(bucket, where)
            changes.check_lease()
            tree.replace(directory, entry.name, parent, where, shadowed=shadowed)


def _remove_entry(bucket: BucketDirectory, key: bytes, where: Place, entry: HistoryEntry, changes: Changes) -> None:
    history.remove_entry(bucket, key, where, entry)
    directory = tree.open_parent(bucket.fd, replace(where, parent=where.history))
    if directory is not None:
        with directory as fd:
            changes.note(fd)
