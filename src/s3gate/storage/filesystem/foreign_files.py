"""The MD5 of files that other programs put or changed, found out beside the requests and stored as their ETag.

A file is read without its lock, which a large one would hold for minutes. Then the key is locked, and the record is
stored only if the name still leads to the same file, in the same state as before the first byte was read: inode, size,
and times. What was changed a moment ago waits, because a second change may come within the same time stamp. A record
changes neither the contents nor the modification time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Iterator

from msgspec.structs import replace

from s3gate.core.errors import S3Error
from s3gate.storage.filesystem import reading, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.locks import Lease, LeaseExpired
from s3gate.storage.filesystem.objects import KEYS
from s3gate.storage.filesystem.paths import key_of, place
from s3gate.storage.filesystem.records import synthetic_etag
from s3gate.storage.filesystem.threads import run_to_end
from s3gate.storage.filesystem.walk import walk

__all__ = ["SETTLED_NS", "FileHasher"]

SETTLED_NS = 5_000_000_000  # a file that was changed a shorter time ago is left to a later round
_BYTES_PER_SECOND = 50 << 20
_CHUNK_BYTES = 4 << 20
_BATCH = 200  # entries that are looked at in one go
_PAUSE = 0.02  # seconds between two: at most 10,000 entries a second
_MOST_REFUSED = 100_000

_log = logging.getLogger(__name__)

_State = tuple[int, int, int, int, int]


def _state(stat: os.stat_result) -> _State:
    """What differs when another program has touched a file, be it with a time stamp put back."""
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class FileHasher:
    """Goes through buckets and gives the files without a true record one, for one process of all.

    What is done is in the records, so that the next round, of whichever process, goes on where this one ended.
    """

    def __init__(self) -> None:
        self._refused: set[_State] = set()

    async def round(self, bucket: BucketDirectory, now_ns: int) -> int:
        """Go once through a bucket; gives how many files have got a record. `now_ns` is by the filesystem's clock.

        A file that cannot be read, or that changes meanwhile, is passed over: the next round comes to it again. One
        that takes no record is not read again before it has changed.
        """
        executor = bucket.store.executor
        hashed = 0
        keys = _unknown(bucket, now_ns)
        while (found := await run_to_end(executor, _take, keys)) is not None:
            for key in found:
                hashed += await self._hash(bucket, key)
            await asyncio.sleep(_PAUSE)
        return hashed

    async def _hash(self, bucket: BucketDirectory, key: bytes) -> bool:
        try:
            found = tree.find(bucket.fd, place(key))
        except OSError:
            return False
        if found is None:
            return False
        state = _state(found.stat)
        try:
            if state in self._refused or not _is_writable(found.fd):
                return False
            etag = await _md5(bucket, found.fd, found.stat.st_size)
            async with bucket.locks.hold(KEYS, key) as lease:
                return await run_to_end(bucket.store.executor, _store, bucket, key, state, etag, lease)
        except (S3Error, LeaseExpired):
            return False  # the lock is busy, or was lost
        except OSError as error:
            _log.info("bucket %s: %r keeps its synthetic ETag: %s", bucket.name, key, error)
            self._remember(state)
            return False
        finally:
            os.close(found.fd)

    def _remember(self, state: _State) -> None:
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused.add(state)


def _take(keys: Iterator[bytes | None]) -> list[bytes] | None:
    """The keys among the next entries; None at the end."""
    found = []
    for number, key in enumerate(keys, 1):
        if key is not None:
            found.append(key)
        if number == _BATCH:
            return found
    return found or None


def _unknown(bucket: BucketDirectory, now_ns: int) -> Iterator[bytes | None]:
    """The keys of files that have no true record and are at rest; None for each other entry that was looked at."""
    for node in walk(bucket.fd, failed=lambda *_: None):
        yield _key_to_hash(bucket, node.path, now_ns) if node.kind == "file" else None


def _key_to_hash(bucket: BucketDirectory, path: bytes, now_ns: int) -> bytes | None:
    key = key_of(path)
    if key is None:
        return None
    try:
        opened = tree.open_regular(bucket.fd, path)
        if opened is None:
            return None
        try:
            # Every change sets the time of change, which no program can put back.
            if now_ns - opened[1].st_ctime_ns < SETTLED_NS:
                return None
            return key if bucket.metadata.read(*opened, key).etag == synthetic_etag(opened[1]) else None
        finally:
            os.close(opened[0])
    except OSError:
        return None  # closed to us, or gone


def _is_writable(fd: int) -> bool:
    """Whether the file belongs to those that this process may write."""
    return os.access(b"/proc/self/fd/%d" % fd, os.W_OK, effective_ids=True)


async def _md5(bucket: BucketDirectory, fd: int, size: int) -> str:
    """The MD5 of a file, read no faster than _BYTES_PER_SECOND."""
    digest = hashlib.md5(usedforsecurity=False)
    at = 0

    def step() -> int:
        data = os.pread(fd, _CHUNK_BYTES, at)
        digest.update(data)
        return len(data)

    while at < size:
        begun = time.monotonic()
        length = await run_to_end(bucket.store.executor, step)
        if not length:
            break  # it became shorter, which is found out under the lock
        at += length
        await asyncio.sleep(max(0.0, length / _BYTES_PER_SECOND - (time.monotonic() - begun)))
    return digest.hexdigest()


def _store(bucket: BucketDirectory, key: bytes, state: _State, etag: str, lease: Lease) -> bool:
    """Store the ETag if the file is the one that was read. Under the lock of the key."""
    opened = reading.open_live(bucket, key, place(key))
    if opened is None:
        return False
    found, record = opened
    try:
        if found.target or _state(found.stat) != state or record.etag != synthetic_etag(found.stat):
            return False
        if _state(os.fstat(found.fd)) != state:
            return False
        lease.check()
        bucket.metadata.rewrite(found.fd, found.stat, key, replace(record, etag=etag))
        return True
    finally:
        os.close(found.fd)
