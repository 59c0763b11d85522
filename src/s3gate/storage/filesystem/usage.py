"""What buckets hold, by looking through all their files: slowly, and noted in a file for every process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from itertools import islice

import msgspec

from s3gate.core.clock import SECOND
from s3gate.core.names import RESERVED, is_upload_id
from s3gate.core.observation import BucketUsage, UsageReport
from s3gate.durable import write_file
from s3gate.storage.filesystem import uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import key_of
from s3gate.storage.filesystem.threads import run_to_end
from s3gate.storage.filesystem.walk import walk

__all__ = ["Reports", "measure", "sizes"]

_FILE = "usage.json"
_BATCH = 200  # files that are looked at at a time
_PAUSE = 0.02  # seconds between two batches: at most 10,000 files a second are looked at


def sizes(bucket_fd: int) -> Iterator[int]:
    """The size of each object in a bucket, in any order: current versions, as a listing shows them, links left out."""
    for node in walk(bucket_fd):
        if node.kind == "file" and key_of(node.path) is not None:
            try:
                yield os.stat(node.path, dir_fd=bucket_fd, follow_symlinks=False).st_size
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone meanwhile


def _uploads(bucket_fd: int) -> int:
    """How many multipart uploads are under way."""
    try:
        fd = os.open(uploads.ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=bucket_fd)
    except FileNotFoundError:
        return 0
    try:
        return sum(is_upload_id(name) and _has_begun(fd, name) for name in os.listdir(fd))
    finally:
        os.close(fd)


def _has_begun(uploads_fd: int, upload_id: str) -> bool:
    try:
        os.stat(os.path.join(os.fsencode(upload_id), uploads.UPLOAD_FILE), dir_fd=uploads_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _take(found: Iterator[int]) -> tuple[int, int]:
    """How many more there are, at most a batch, and their sum."""
    batch = list(islice(found, _BATCH))
    return len(batch), sum(batch)


async def measure(bucket: BucketDirectory, executor: Executor) -> BucketUsage:
    """What a bucket holds, a batch at a time, with pauses between. Raises OSError."""
    found = sizes(bucket.fd)
    objects = size = 0
    while True:
        count, total = await run_to_end(executor, _take, found)
        objects += count
        size += total
        if count < _BATCH:
            return BucketUsage(bucket.name, objects, size, await run_to_end(executor, _uploads, bucket.fd))
        await asyncio.sleep(_PAUSE)


class Reports:
    """The file in which the last scan of any process on a data directory is noted."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, RESERVED, _FILE)
        self._known: tuple[tuple[int, int], UsageReport] | None = None

    def read(self) -> UsageReport | None:
        """The report, None where there is none that can be read. Blocks."""
        try:
            with open(self._path, "rb") as file:
                stat = os.fstat(file.fileno())
                identity = stat.st_ino, stat.st_mtime_ns
                if self._known is None or self._known[0] != identity:
                    self._known = identity, msgspec.json.decode(file.read(), type=UsageReport)
        except (OSError, msgspec.DecodeError):
            return None  # the next scan writes it anew
        return self._known[1]

    def is_younger(self, seconds: float) -> bool:
        """Whether there is a report of less than so many seconds ago. Blocks."""
        report = self.read()
        return report is not None and 0 <= time.time_ns() - report.at_ns < seconds * SECOND

    async def renew(self, buckets: AsyncIterator[BucketDirectory], executor: Executor) -> None:
        """Measure all buckets and note it. Raises OSError when it cannot be noted."""
        begun, measured = time.monotonic(), []
        async for bucket in buckets:
            try:
                measured.append(await measure(bucket, executor))
            except OSError:
                continue  # removed meanwhile, or not to be read: it is not in the report
        report = UsageReport(time.time_ns(), round(time.monotonic() - begun, 3), measured)
        await run_to_end(executor, self._write, msgspec.json.encode(report))

    def _write(self, data: bytes) -> None:
        write_file(self._path, data, mode=0o600, durable=False)
