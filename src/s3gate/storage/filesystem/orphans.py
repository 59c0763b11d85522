"""Files of records, beside the objects, that belong to no version any more: a writer was killed between two steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from s3gate.storage.filesystem import history, records, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.leftovers import Leftover, Scene, Steps, exists, unguarded
from s3gate.storage.filesystem.objects import KEYS
from s3gate.storage.filesystem.paths import CONTROL, HISTORIES, place
from s3gate.storage.filesystem.records import BrokenRecord
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.filesystem.walk import walk

__all__ = ["key_of_record", "orphans", "record_files"]

SIDECARS, SPILLS = CONTROL + b"/meta", CONTROL + b"/x"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WALKS = 2  # through the whole bucket, before a file that nobody names counts as an orphan


def record_files(bucket: BucketDirectory) -> Iterator[bytes]:
    """The paths of all records that stand in files of their own."""
    for top in (SIDECARS, SPILLS):
        yield from (node.path for node in walk(bucket.fd, top) if node.kind == "file")


def key_of_record(bucket: BucketDirectory, path: bytes) -> bytes | None:
    """The key that a record in a file of its own was written for, None for one that does not say.

    Raises BrokenRecord where it cannot be read.
    """
    fd = open_beneath(bucket.fd, path, _READ)
    with open(fd, "rb") as file:
        return records.decode(file.read()).key.encode() or None


def _named(bucket: BucketDirectory, key: bytes) -> set[bytes]:
    """The record files that the versions of a key need. To be sure of it takes the lock of the key."""
    where = place(key)
    found: set[bytes] = set()
    for path in (where.path, where.shadow_path):
        opened = tree.open_regular(bucket.fd, path)
        if opened is not None:
            try:
                found.update(bucket.metadata.garbage(*opened, key))
            finally:
                os.close(opened[0])
    for entry in history.read_entries(bucket.fd, where):
        with history.open_entry(bucket, where, entry) as version:
            if version is not None:
                found.update(bucket.metadata.garbage(*version, key))
    return found


def _named_anywhere(bucket: BucketDirectory, found: set[bytes]) -> Steps:
    """Collect in `found` the spill files that any file of the bucket names: programs may have moved it elsewhere."""
    for top in (b"", HISTORIES, CONTROL + b"/tmp", CONTROL + b"/mpu"):
        for node in walk(bucket.fd, top, failed=_give_up):
            yield None
            opened = tree.open_regular(bucket.fd, node.path) if node.kind == "file" else None
            if opened is not None:
                try:
                    found.update(bucket.metadata.garbage(*opened, b""))
                finally:
                    os.close(opened[0])


def orphans(scene: Scene) -> Steps:
    """Sidecars and spilled records that no version refers to, and that are too old to be ahead of their version.

    A sidecar belongs to the key that stands in it, and to no other. A spilled record is found through an attribute,
    which goes where other programs move the file: it is an orphan when, besides, two walks through the bucket meet
    nothing that names it. What does not say its key, or cannot be read, is left alone.
    """
    bucket = scene.bucket
    moved: dict[bytes, bytes] = {}
    for path in record_files(bucket):
        yield None
        with contextlib.suppress(OSError, BrokenRecord):  # gone meanwhile, or closed to us: it is left alone
            if not scene.is_old(os.stat(path, dir_fd=bucket.fd, follow_symlinks=False)):
                continue
            if path.endswith(b".new"):
                yield _unfinished(bucket, path)
                continue
            key = key_of_record(bucket, path)
            if key is None or path in _named(bucket, key):
                continue
            if path.startswith(SPILLS):
                moved[path] = key
            else:
                yield _orphan(bucket, path, key)
    for _ in range(_WALKS if moved else 0):
        named: set[bytes] = set()
        yield from _named_anywhere(bucket, named)
        moved = {path: key for path, key in moved.items() if path not in named}
    for path, key in moved.items():
        yield _orphan(bucket, path, key)


def _give_up(_path: bytes, error: OSError) -> None:
    """What cannot be looked into may hold the file that names the record: then nothing is an orphan."""
    raise error


def _orphan(bucket: BucketDirectory, path: bytes, key: bytes) -> Leftover:
    def still() -> bool:
        return exists(bucket.fd, path) and path not in _named(bucket, key)

    def remove() -> bool:
        if not still():
            return False
        os.unlink(path, dir_fd=bucket.fd)
        return True

    def guard() -> AbstractAsyncContextManager[object]:
        return bucket.locks.hold(KEYS, key)

    return Leftover("orphan record", path, f"the record of no version of {key.decode()}", still, remove, guard)


def _unfinished(bucket: BucketDirectory, path: bytes) -> Leftover:
    def remove() -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path, dir_fd=bucket.fd)
        return True

    return Leftover(
        "temporary", path, "a record that never took its place", lambda: exists(bucket.fd, path), remove, unguarded
    )
