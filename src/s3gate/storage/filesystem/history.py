"""The history of a key: its older versions and delete markers, in a directory of their own beside the objects.

The current version is always the plain file at its own path. Every other version is a hard link or a rename of the file
it once was; a delete marker is an empty file with a record. The name of an entry is its place in time: 16 hex digits of
2**64-1-sequence, so that names in ascending order are versions from the newest on, then 8 random ones (together the
version id) or `null`, then `.d` for a delete marker.

A reader takes no lock. What it may find while a writer is at work, or after one was killed, is sorted out by rules:
R1 the plain file, where there is one, is the current version. R2 an entry with the version id of the current version is
a duplicate. R3 an entry newer than the current version was never committed. R4 without a plain file the newest entry
decides, and it is a delete marker. R5 of several entries with the id `null` the newest counts, and none if the current
version has it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.filesystem import tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import Place
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = [
    "HistoryEntry",
    "archive",
    "committed",
    "entry_of",
    "is_foreign",
    "open_entry",
    "parse_name",
    "read_entries",
    "remove_entry",
    "scrub",
]

_LAST = (1 << 64) - 1
_NAME = re.compile(rb"([0-9a-f]{16})\.([0-9a-f]{8}|null)(\.d)?")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A version that is not the current one: the name of its file says all that order and rules need."""

    name: bytes
    sequence: int
    version_id: str
    delete_marker: bool


def entry_of(record: ObjectRecord) -> HistoryEntry:
    """The entry that a version has once it is no longer the current one."""
    tail = NULL_VERSION if record.version_id == NULL_VERSION else record.version_id[16:]
    name = f"{_LAST - record.sequence:016x}.{tail}{'.d' if record.delete_marker else ''}"
    return HistoryEntry(name.encode(), record.sequence, record.version_id, record.delete_marker)


def parse_name(name: bytes) -> HistoryEntry | None:
    """The entry that a file of this name is, or None."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    inverse, tail, marker = match.groups()
    version_id = NULL_VERSION if tail == b"null" else (inverse + tail).decode()
    return HistoryEntry(name, _LAST - int(inverse, 16), version_id, marker is not None)


def read_entries(bucket_fd: int, where: Place) -> list[HistoryEntry]:
    """All entries of a key, the newest first; those among them that do not count are told apart by committed()."""
    try:
        fd = open_beneath(bucket_fd, where.history, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        names = sorted(map(os.fsencode, os.listdir(fd)))
    finally:
        os.close(fd)
    return [entry for entry in map(parse_name, names) if entry is not None]


def is_foreign(record: ObjectRecord) -> bool:
    """Whether another program put the file: it has no place in time yet, and counts as newer than everything."""
    return record.sequence == 0


def committed(entries: Iterable[HistoryEntry], current: ObjectRecord | None) -> list[HistoryEntry]:
    """The entries that count beside the current version, the newest first: rules R2, R3 and R5."""
    counted = []
    null_seen = current is not None and current.version_id == NULL_VERSION
    for entry in entries:
        if current is not None:
            if entry.version_id == current.version_id and entry.version_id != NULL_VERSION:
                continue
            if entry.sequence >= current.sequence and not is_foreign(current):
                continue
        if entry.version_id == NULL_VERSION:
            if null_seen:
                continue
            null_seen = True
        counted.append(entry)
    return counted


@contextlib.contextmanager
def open_entry(
    bucket: BucketDirectory, where: Place, entry: HistoryEntry
) -> Iterator[tuple[int, os.stat_result] | None]:
    """The open file of an entry, None when it is gone."""
    try:
        fd = open_beneath(bucket.fd, where.history + b"/" + entry.name, _FILE)
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    try:
        yield fd, os.fstat(fd)
    finally:
        os.close(fd)


def record_of(
    bucket: BucketDirectory, key: bytes, entry: HistoryEntry, opened: tuple[int, os.stat_result]
) -> ObjectRecord:
    """The record of an entry; its name is what says which version it is."""
    record = bucket.metadata.read(opened[0], opened[1], key)
    return replace(record, version_id=entry.version_id, sequence=entry.sequence, delete_marker=entry.delete_marker)


def archive(source_fd: int, source: bytes, directory: int, entry: HistoryEntry) -> None:
    """Give a file a second name in the history. What has that name already is a duplicate that a crash left."""
    try:
        os.link(source, entry.name, src_dir_fd=source_fd, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        os.unlink(entry.name, dir_fd=directory)
        os.link(source, entry.name, src_dir_fd=source_fd, dst_dir_fd=directory, follow_symlinks=False)


def history_directory(bucket: BucketDirectory, where: Place, changed: list[int]) -> tree.Directory:
    """The open history directory of a key, made where it is missing; see tree.make_parent."""
    return tree.make_parent(bucket.fd, Place(where.history, b"", b""), changed)


def remove_entry(
    bucket: BucketDirectory, key: bytes, where: Place, entry: HistoryEntry, *, shared: bool = False
) -> None:
    """Unlink an entry and what only its record needs. `shared`: the file lives on under its other name."""
    garbage: list[bytes] = []
    with open_entry(bucket, where, entry) as opened:
        if opened is not None and not shared:
            garbage = bucket.metadata.garbage(opened[0], opened[1], key)
    directory = tree.open_parent(bucket.fd, Place(where.history, b"", b""))
    if directory is None:
        return
    with directory as fd, contextlib.suppress(FileNotFoundError):
        os.unlink(entry.name, dir_fd=fd)
    for path in garbage:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path, dir_fd=bucket.fd)


def scrub(bucket: BucketDirectory, key: bytes, where: Place, current: ObjectRecord | None) -> list[HistoryEntry]:
    """Remove what the rules say does not count, before a writer adds to it; gives what is left, the newest first.

    Without this an entry that was never committed would count as soon as the current version is newer than it.
    """
    entries = read_entries(bucket.fd, where)
    counted = committed(entries, current)
    for entry in entries:
        if entry not in counted:
            shared = current is not None and entry.name == entry_of(current).name
            remove_entry(bucket, key, where, entry, shared=shared)
    return counted
