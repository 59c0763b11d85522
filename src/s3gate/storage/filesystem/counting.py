"""Counting anew what a bucket with a quota holds, while writes go on. See account."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from s3gate.core.bucket_properties import Held
from s3gate.core.errors import S3Error
from s3gate.storage.filesystem.account import (
    Count,
    Ledger,
    counted_just_now,
    held,
    read_ledger,
    remove_ledger,
    write_ledger,
)
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.name_cache import NameCache
from s3gate.storage.filesystem.nonempty import NonEmptyDirectories
from s3gate.storage.filesystem.paths import HISTORIES
from s3gate.storage.filesystem.threads import run_to_end
from s3gate.storage.filesystem.tree_cursor import TreeCursor, Union, Walk

__all__ = ["count", "count_all"]

_BATCH = 200  # keys that are counted while the lock of the account is held: some milliseconds
_PAUSE = 0.005  # seconds between two batches, for the writers that wait


_log = logging.getLogger(__name__)


async def count_all(buckets: AsyncIterator[BucketDirectory], executor: Executor) -> None:
    """Count every bucket that has a quota, but for those that somebody counts at this time."""
    async for bucket in buckets:
        try:
            bucket.documents()
            if bucket.has_quota and not counted_just_now(bucket.fd):
                await count(bucket, executor)
        except (OSError, S3Error) as error:
            _log.warning("bucket %s was not counted anew: %s", bucket.name, error)


async def count(bucket: BucketDirectory, executor: Executor) -> Held | None:
    """Count what a bucket holds, and enter it. None where another count has begun meanwhile, which takes its place.

    Of a bucket without a quota the account is removed: None as well.
    """
    identity = uuid.uuid4().hex
    names = NameCache()
    after = b""
    try:
        async with bucket.hold_account():
            bucket.documents()
            if not bucket.has_quota:
                remove_ledger(bucket.fd)
                return None
            ledger = read_ledger(bucket.fd) or Ledger()
            write_ledger(bucket.fd, Ledger(ledger.held, Count(identity, after, Held())))
        while True:
            async with bucket.hold_account():
                known = read_ledger(bucket.fd)
                if known is None or known.count is None or known.count.id != identity:
                    return None
                found = known.count.found
                keys, more = await run_to_end(executor, _batch, bucket, names, after)
                if not keys:
                    write_ledger(bucket.fd, Ledger(found))
                    return found
                after = keys[-1]
                write_ledger(bucket.fd, Ledger(known.held, Count(identity, after, found + more)))
            await asyncio.sleep(_PAUSE)
    finally:
        names.close()


def _batch(bucket: BucketDirectory, names: NameCache, after: bytes) -> tuple[list[bytes], Held]:
    """The next keys, and what they hold. Links are left out, as nothing."""
    walk = Walk(bucket.fd, names, NonEmptyDirectories(), time.monotonic())
    lower = after + b"\0" if after else b""
    cursor = Union(TreeCursor(walk, b"", lower), TreeCursor(walk, b"", lower, top=HISTORIES))
    keys: list[bytes] = []
    while len(keys) < _BATCH:
        taken = cursor.take(_BATCH - len(keys))
        if not taken:
            break
        keys += taken
    sizes = [size for key in keys for _, size in held(bucket, key)]
    return keys, Held(sum(sizes), len(sizes))
