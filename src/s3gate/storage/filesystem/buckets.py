"""Buckets as directories of the data directory: list, create or adopt, delete."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat as modes
import uuid

from s3gate.core import clock
from s3gate.core.errors import S3Error
from s3gate.core.names import RESERVED, bucket_name_fault
from s3gate.core.values import Owner
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.layout import BucketRecord
from s3gate.storage.filesystem.locks import KeyLocks
from s3gate.storage.filesystem.paths import CONTROL, HISTORIES
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.filesystem.threads import run_to_end
from s3gate.storage.filesystem.tree import Directory

__all__ = [
    "BUCKETS",
    "DECIDED",
    "LOCKS",
    "NEW",
    "TRASH",
    "create",
    "delete",
    "holds_versions",
    "names",
    "remove_tree",
    "served",
]

_log = logging.getLogger(__name__)

BUCKETS = b"bucket"  # the lock space of bucket names
LOCKS = f"{RESERVED}/locks/buckets".encode()  # the locks of bucket names
NEW = f"{RESERVED}/new"  # buckets before they have their name
TRASH = f"{RESERVED}/trash"  # and after they had it: each in a directory of its own
DECIDED = "-gone"  # ends the name of what is thrown away for good
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# An open that fails so says that the name is taken by what is no bucket of ours: a file, a link, a closed directory.
_NO_BUCKET = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})


def names(root_fd: int) -> list[str]:
    """The names of all buckets: every directory that may be one, a name of the relaxed form included."""
    with os.scandir(root_fd) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and bucket_name_fault(entry.name, relaxed=True) is None
        )


def served(store: Store) -> list[str]:
    """The names of all buckets that are served: those of the data directory, and those that are elsewhere."""
    return sorted({*names(store.root_fd), *store.elsewhere})


async def create(store: Store, locks: KeyLocks, name: str, owner: Owner, region: str) -> BucketDirectory:
    """See Backend.create_bucket. A directory that is there without a record of ours is adopted by the root account."""
    async with locks.hold(BUCKETS, name.encode()):
        try:
            existing = BucketDirectory(store, name)
        except FileNotFoundError:
            bucket = _build(store, name, owner, region)
        except OSError as error:
            if error.errno not in _NO_BUCKET:
                raise
            raise S3Error("BucketAlreadyExists", BucketName=name) from error
        else:
            bucket = _adopt(existing, owner, region)
    await store.durability.sync_directories([store.root_fd])
    return bucket


def _build(store: Store, name: str, owner: Owner, region: str) -> BucketDirectory:
    """Make a bucket whole under a name of ours, then give it its own: nobody sees it without its record."""
    temporary = f"{NEW}/{uuid.uuid4().hex}"
    os.mkdir(temporary, dir_fd=store.root_fd)
    try:
        bucket = BucketDirectory(store, temporary)
        bucket.prepare(BucketRecord(owner, region, clock.now_ns(), ""))
        os.rename(temporary, name, src_dir_fd=store.root_fd, dst_dir_fd=store.root_fd)
    except BaseException:
        remove_tree(store.root_fd, os.fsencode(temporary))
        raise
    return BucketDirectory(store, name)


def _adopt(bucket: BucketDirectory, owner: Owner, region: str) -> BucketDirectory:
    if bucket.is_adopted and owner.id == ROOT.id and not bucket.is_elsewhere:
        bucket.prepare(BucketRecord(owner, region, bucket.record.created_ns, ""))
        return bucket
    code = "BucketAlreadyOwnedByYou" if bucket.record.owner.id == owner.id else "BucketAlreadyExists"
    raise S3Error(code, BucketName=bucket.name)


async def delete(store: Store, locks: KeyLocks, bucket: BucketDirectory) -> None:
    """See Backend.delete_bucket.

    The directory is renamed away and looked at once more: a write that was acknowledged before the rename is found
    then, and the bucket comes back; one that commits after it finds its bucket gone and is not acknowledged.
    """
    bucket.check_writable()
    not_empty = S3Error("BucketNotEmpty", BucketName=bucket.name)
    if await run_to_end(store.executor, holds_versions, bucket.fd):
        raise not_empty
    waste = f"{TRASH}/{uuid.uuid4().hex}"
    trash = f"{waste}/{bucket.name}"  # the name is kept: after a crash right here the bucket can still come back
    os.mkdir(waste, 0o700, dir_fd=store.root_fd)
    try:
        async with locks.hold(BUCKETS, bucket.name.encode()):
            bucket.check_current()
            os.rename(bucket.name, trash, src_dir_fd=store.root_fd, dst_dir_fd=store.root_fd)
            try:
                if await run_to_end(store.executor, holds_versions, bucket.fd):
                    raise not_empty
            except BaseException:  # also a cancelled request: what was not found empty comes back
                os.rename(trash, bucket.name, src_dir_fd=store.root_fd, dst_dir_fd=store.root_fd)
                raise
            # Decided: what a late writer puts into it from here on was not acknowledged, and never brings it back.
            os.rename(waste, waste + DECIDED, src_dir_fd=store.root_fd, dst_dir_fd=store.root_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(waste, dir_fd=store.root_fd)
        raise
    await store.durability.sync_directories([store.root_fd])
    try:
        await run_to_end(store.executor, remove_tree, store.root_fd, os.fsencode(waste + DECIDED))
    except OSError as error:
        _log.warning("what is left of bucket %s waits for the janitor: %s", bucket.name, error)


def holds_versions(bucket_fd: int) -> bool:
    """Whether the bucket has an object, an older version or a delete marker, or a file that no listing shows."""
    return _holds_files(bucket_fd, b"") or _holds_files(bucket_fd, HISTORIES)


def _holds_files(directory: int, top: bytes) -> bool:
    """Whether anything but directories lies below: also what no listing shows is somebody's, and is not deleted."""
    pending = [top]
    while pending:
        path = pending.pop()
        for name, is_directory in _entries(directory, path):
            if not path and name == CONTROL:
                continue
            if not is_directory:
                return True
            pending.append(path + b"/" + name if path else name)
    return False


def _entries(directory: int, path: bytes) -> list[tuple[bytes, bool]]:
    """The names in a directory and whether each is one itself; none for a directory that was removed meanwhile."""
    try:
        with _open_directory(directory, path) as fd, os.scandir(fd) as entries:
            return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    except FileNotFoundError:
        return []


def _open_directory(directory: int, path: bytes) -> Directory:
    if not path:
        return Directory(directory, owned=False)
    return Directory(open_beneath(directory, path, _DIRECTORY), owned=True)


def remove_tree(directory: int, path: bytes) -> None:
    """Remove a directory of the gateway's own with all that is in it; what is gone already does not matter.

    By paths from the top, not by recursion: a key of 1,024 slashes is a tree as deep.
    """
    directories = [path]
    for current in directories:  # grows while it is walked: parents come before what is in them
        with contextlib.suppress(FileNotFoundError), _open_directory(directory, current) as fd:
            for name in map(os.fsencode, os.listdir(fd)):
                if modes.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                    directories.append(current + b"/" + name)
                else:
                    os.unlink(name, dir_fd=fd)
    for current in reversed(directories):
        parent, _, name = current.rpartition(b"/")
        with contextlib.suppress(FileNotFoundError), _open_directory(directory, parent) as fd:
            os.rmdir(name, dir_fd=fd)
