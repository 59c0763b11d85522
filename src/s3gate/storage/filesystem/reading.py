"""Finding one version of an object, without a lock: the current one, or one by its id."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable

from msgspec.structs import replace

from s3gate.core.errors import S3Error
from s3gate.core.names import MAX_KEY_BYTES
from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.filesystem import history, links, records, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.history import HistoryEntry
from s3gate.storage.filesystem.paths import Place, key_of, place
from s3gate.storage.filesystem.reader import FileReader
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.filesystem.tree import Found
from s3gate.storage.versions import no_such_key, no_such_version, not_for_delete_markers

__all__ = ["all_versions", "current_record", "open_live", "open_locked", "open_one", "open_reader", "read_record"]

_ATTEMPTS = 32  # how often an object may be replaced while its record is looked for

Opened = tuple[Found, ObjectRecord]


def open_live(bucket: BucketDirectory, key: bytes, where: Place) -> Opened | None:
    """The plain file of a key with its record, or None; whoever asked closes it.

    A record file that vanishes meanwhile means that the object was replaced: look again.
    """
    for _ in range(_ATTEMPTS):
        found = tree.find(bucket.fd, where) or _find_linked(bucket, where)
        if found is None:
            return None
        try:
            if not found.target:
                return found, bucket.metadata.read(found.fd, found.stat, key)
            return found, _record_behind(bucket, found, key)
        except FileNotFoundError:
            os.close(found.fd)
        except BaseException:
            os.close(found.fd)
            raise
    raise _unfindable()


def open_locked(bucket: BucketDirectory, key: bytes, where: Place, parent: int | None) -> Opened | None:
    """The same for who has the key locked, and the open directory that holds it; `found.garbage` is told too."""
    for _ in range(_ATTEMPTS):
        found = (tree.find_in(parent, where) if parent is not None else None) or _find_linked(bucket, where)
        if found is None:
            return None
        try:
            if found.target:
                return found, _record_behind(bucket, found, key)
            record, found.garbage = bucket.metadata.read_with_garbage(found.fd, found.stat, key)
            return found, record
        except FileNotFoundError:
            os.close(found.fd)  # another program has replaced it in this instant
        except BaseException:
            os.close(found.fd)
            raise
    raise _unfindable()


def _unfindable() -> S3Error:
    return S3Error("InternalError", "The record of the object cannot be found")


def _record_behind(bucket: BucketDirectory, found: Found, key: bytes) -> ObjectRecord:
    """The record of the object that a link leads to, as that of the link."""
    record = bucket.metadata.read(found.fd, found.stat, key_of(found.target) or key)
    return replace(record, version_id=NULL_VERSION, sequence=0)


def _find_linked(bucket: BucketDirectory, where: Place) -> Found | None:
    """The file that the name of an object leads to as a link. It has no history under this name."""
    if not bucket.follows_links:
        return None
    target = links.file_behind(bucket.fd, where.path)
    opened = tree.open_regular(bucket.fd, target) if target is not None else None
    return Found(*opened, shadow=False, target=target) if opened is not None and target is not None else None


def _look_again(bucket: BucketDirectory, key: bytes, where: Place) -> Opened:
    """The current version, which was not to be seen at first, else NoSuchKey.

    The headers of the error say so where that is because of a delete marker.
    """
    newest = None
    if bucket.versioning:
        newest = next(iter(history.read_entries(bucket.fd, where)), None)
        if newest is not None and not newest.delete_marker:
            # An older version is on its way back to its place: never serve it from the history.
            opened = open_live(bucket, key, where)
            if opened is not None:
                return opened
    bucket.check_current()
    raise no_such_key(key.decode(), newest.version_id if newest is not None and newest.delete_marker else "")


def _look(bucket: BucketDirectory, key: bytes, where: Place) -> tuple[Opened | None, list[HistoryEntry]]:
    """The plain file and the history that counts beside it, as they stood at one instant.

    The plain file is looked at before and after the history. Where it is another one, or where there is none and no
    delete marker tells why, a writer has moved a version between the two meanwhile: look again.
    """
    opened = open_live(bucket, key, where)
    for _ in range(_ATTEMPTS):
        try:
            entries = history.read_entries(bucket.fd, where)
            again = open_live(bucket, key, where)
        except BaseException:
            if opened is not None:
                os.close(opened[0].fd)
            raise
        settled = _is_same(opened, again) and (opened is not None or not entries or entries[0].delete_marker)
        if opened is not None:
            os.close(opened[0].fd)
        opened = again
        if settled:
            break
    return opened, history.committed(entries, opened[1] if opened else None)


def _is_same(one: Opened | None, other: Opened | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one[1].version_id, one[1].sequence) == (other[1].version_id, other[1].sequence)


def _open_version(bucket: BucketDirectory, key: bytes, where: Place, version_id: str) -> Opened:
    """The version with this id. An entry that is gone when it is opened has moved to the plain path: look again."""
    for _ in range(_ATTEMPTS):
        opened, entries = _look(bucket, key, where)
        if opened is not None and opened[1].version_id == version_id:
            return opened
        if opened is not None:
            os.close(opened[0].fd)
        entry = next((entry for entry in entries if entry.version_id == version_id), None)
        if entry is None:
            break
        found = _open_entry(bucket, key, where, entry)
        if found is not None:
            return found
    bucket.check_current()
    raise no_such_version(key.decode(), version_id)


def _open_entry(bucket: BucketDirectory, key: bytes, where: Place, entry: HistoryEntry) -> Opened | None:
    with history.open_entry(bucket, where, entry) as opened:
        if opened is None:
            return None
        try:
            record = history.record_of(bucket, key, entry, opened)
        except FileNotFoundError:
            return None  # removed meanwhile
        if entry.delete_marker:
            raise not_for_delete_markers(entry.version_id, record.modified_ns)
        return Found(os.dup(opened[0]), opened[1], shadow=False), record


def open_one(bucket: BucketDirectory, key: str, version_id: str | None) -> Opened:
    """The current version, or the one with this id; whoever asked closes it."""
    name = key.encode()
    where = place(name)
    if version_id is None:
        return open_live(bucket, name, where) or _look_again(bucket, name, where)
    return _open_version(bucket, name, where, version_id)


def open_reader(bucket: BucketDirectory, key: str, version_id: str | None) -> FileReader:
    """See Backend.open_object."""
    found, record = open_one(bucket, key, version_id)
    return FileReader(found.fd, found.stat, record, bucket.store.executor, bucket.store.chunk_bytes)


def read_record(bucket: BucketDirectory, key: str, version_id: str | None) -> ObjectRecord:
    """See Backend.stat_object."""
    found, record = open_one(bucket, key, version_id)
    os.close(found.fd)
    return record


def current_record(bucket: BucketDirectory, key: str) -> ObjectRecord | None:
    """The record of the plain file of a key, for a listing; None where there is none."""
    name = links.canonical(bucket, key).encode()
    if len(key.encode()) > MAX_KEY_BYTES:
        return None  # nobody can ask for it
    where = place(name)
    try:
        opened = open_live(bucket, name, where)
    except PermissionError:
        return _closed_record(bucket, name, (where.path, where.shadow_path))
    if opened is None:
        return None
    os.close(opened[0].fd)
    return opened[1]


def _closed_record(bucket: BucketDirectory, key: bytes, paths: Iterable[bytes]) -> ObjectRecord | None:
    """What can be told of a file that the gateway must not read: it is there, and to get it is denied.

    Who mirrors a listing would take it for deleted if it were left out. None where it cannot even be seen.
    """
    for path in paths:
        linked = links.file_behind(bucket.fd, path) if bucket.follows_links else None
        try:
            fd = open_beneath(bucket.fd, linked or path, os.O_PATH)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        try:
            stat = os.fstat(fd)
        finally:
            os.close(fd)
        if modes.S_ISREG(stat.st_mode):
            return records.foreign(stat, key.decode())
    return None


def all_versions(bucket: BucketDirectory, key: str) -> list[ObjectRecord]:
    """All versions and delete markers of a key as they stood at one instant, the newest first."""
    name = links.canonical(bucket, key).encode()
    if len(key.encode()) > MAX_KEY_BYTES:
        return []  # nobody can ask for it
    where = place(name)
    try:
        opened, entries = _look(bucket, name, where)
    except PermissionError:
        current = _closed_record(bucket, name, (where.path, where.shadow_path))
        opened, entries = None, history.committed(history.read_entries(bucket.fd, where), current)
        found = [current]
    else:
        found = [opened[1] if opened is not None else None]
    if opened is not None:
        os.close(opened[0].fd)
    found += [_entry_record(bucket, name, where, entry) for entry in entries]
    return [replace(each, size=0) if each.delete_marker else each for each in found if each is not None]


def _entry_record(bucket: BucketDirectory, key: bytes, where: Place, entry: HistoryEntry) -> ObjectRecord | None:
    """The record of an entry for a listing, None when it was removed meanwhile."""
    try:
        with history.open_entry(bucket, where, entry) as opened:
            return history.record_of(bucket, key, entry, opened) if opened is not None else None
    except FileNotFoundError:
        return None
    except PermissionError:
        record = _closed_record(bucket, key, [where.history + b"/" + entry.name])
        if record is None:
            return None
        return replace(record, version_id=entry.version_id, sequence=entry.sequence, delete_marker=entry.delete_marker)
