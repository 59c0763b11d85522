"""The account of a bucket that has a quota: what the bucket holds, kept by every commit, and counted anew now and then.

It is a file of the bucket with a lock of its own, which is taken after that of a key and held over the commit: what the
file says and what is there change together. A write is entered before its commit and a deletion after it, so that a
process that is killed in between leaves the account too high, never too low. Nothing waits for the medium: after a loss
of power, and whenever another program has put or removed files, the next count puts it right.

A count goes through the keys in their order while writes go on. As far as it has come is in the account as well: a
writer adds what it changes before that place to the count, and leaves what is behind it to be found there.
"""

from __future__ import annotations

import logging
import os
import stat as modes
import time

import msgspec

from s3gate.core.bucket_properties import Held, check_quota, quota_of
from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.filesystem import reading, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import CONTROL, place
from s3gate.storage.filesystem.records import BrokenRecord, pack, unpack

__all__ = ["Account", "Count", "Ledger", "counted_just_now", "held", "read_ledger", "remove_ledger", "write_ledger"]

_FILE = CONTROL + b"/account"
_LENGTH = 4  # bytes that say how long what follows is: the file never shrinks, so that one system call writes it

_AT_WORK = 30.0  # seconds after which a count that has not come further is taken for one that was given up

_log = logging.getLogger(__name__)


class Count(msgspec.Struct, frozen=True, array_like=True):
    """A count under way: whose it is, the greatest key that it has come to, and what it has found so far."""

    id: str
    after: bytes
    found: Held


class Ledger(msgspec.Struct, frozen=True):
    """What the account says. `held` is None until the first count has ended."""

    held: Held | None = None
    count: Count | None = None

    def changed(self, key: bytes, change: Held) -> Ledger:
        """The ledger once a key holds so much more."""
        count = self.count
        if count is not None and key <= count.after:
            count = Count(count.id, count.after, count.found + change)
        return Ledger(None if self.held is None else self.held + change, count)


def read_ledger(bucket_fd: int) -> Ledger | None:
    """What the account says; None where there is none, or one that is damaged: then nothing is known."""
    try:
        fd = os.open(_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=bucket_fd)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        data = file.read()
    try:
        return msgspec.convert(unpack(data[_LENGTH : _LENGTH + int.from_bytes(data[:_LENGTH], "big")]), Ledger)
    except (BrokenRecord, msgspec.MsgspecError) as error:
        _log.warning("the account of a bucket is damaged, and counted anew by the janitor: %s", error)
        return None


def write_ledger(bucket_fd: int, ledger: Ledger) -> None:
    """Enter it. Only for who holds the lock of the account."""
    data = pack(msgspec.to_builtins(ledger, builtin_types=(bytes,)))
    fd = os.open(_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=bucket_fd)
    try:
        os.pwrite(fd, len(data).to_bytes(_LENGTH, "big") + data, 0)
    finally:
        os.close(fd)


def held(bucket: BucketDirectory, key: bytes) -> list[tuple[str, int]]:
    """The versions of a key, each with its size. A link is none: what it leads to counts where it is."""
    if bucket.last_versioning:
        return [
            (each.version_id, each.size)
            for each in reading.all_versions(bucket, key.decode())
            if not each.delete_marker
        ]
    where = place(key)
    parent = tree.look_parent(bucket.fd, where)
    if parent is None:
        return []
    with parent as fd:
        for name in (where.name, where.shadow):
            try:
                stat = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if modes.S_ISREG(stat.st_mode):
                return [(NULL_VERSION, stat.st_size)]
    return []


def _sum(versions: list[tuple[str, int]]) -> Held:
    return Held(sum(size for _, size in versions), len(versions))


class Account:
    """What a key holds as its writer finds it. Only for who holds the locks of the key and of the account."""

    __slots__ = ("_before", "_bucket", "_key", "_ledger")

    def __init__(self, bucket: BucketDirectory, key: bytes) -> None:
        self._bucket = bucket
        self._key = key
        self._ledger = read_ledger(bucket.fd)
        self._before = held(bucket, key)

    def admit(self, record: ObjectRecord, versioning: str) -> None:
        """Enter a new version of the key, before it is committed. Raises QuotaExceeded where there is no room for it.

        What the new version replaces makes room for it; a change that makes the bucket smaller is always admitted.
        """
        if self._ledger is None:
            return
        if not versioning:
            kept = []
        elif record.version_id == NULL_VERSION:
            kept = [each for each in self._before if each[0] != NULL_VERSION]
        else:
            kept = self._before
        growth = _sum(kept) + Held(record.size, 1) - _sum(self._before)
        if self._ledger.held is not None:
            check_quota(quota_of(self._bucket.documents()), self._ledger.held, growth)
        write_ledger(self._bucket.fd, self._ledger.changed(self._key, growth))

    def settle(self) -> None:
        """Enter what has become of the key, committed or not. Whatever was done is done: nothing is raised."""
        if self._ledger is None:
            return
        try:
            change = _sum(held(self._bucket, self._key)) - _sum(self._before)
            write_ledger(self._bucket.fd, self._ledger.changed(self._key, change))
        except OSError as error:
            _log.warning("bucket %s: its account is wrong until it is counted anew: %s", self._bucket.name, error)


def counted_just_now(bucket_fd: int) -> bool:
    """Whether a count is under way that has come further in the last seconds."""
    ledger = read_ledger(bucket_fd)
    if ledger is None or ledger.count is None:
        return False
    return abs(time.time() - os.stat(_FILE, dir_fd=bucket_fd, follow_symlinks=False).st_mtime) < _AT_WORK


def remove_ledger(bucket_fd: int) -> None:
    """Forget what is known: the bucket has no quota any more. Only for who holds the lock of the account."""
    try:
        os.unlink(_FILE, dir_fd=bucket_fd)
    except FileNotFoundError:
        return
