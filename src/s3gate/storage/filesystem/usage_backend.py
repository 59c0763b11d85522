"""What the backend over a directory does to measure its buckets: joins the modules beside it, and holds no logic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from functools import cached_property

from s3gate.core.errors import S3Error
from s3gate.core.observation import UsageReport
from s3gate.core.values import Bucket
from s3gate.storage.filesystem import buckets, counting
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.janitor import Election
from s3gate.storage.filesystem.os_errors import seam
from s3gate.storage.filesystem.usage import Reports

__all__ = ["UsageBackend"]


class UsageBackend(ABC):
    """The part of FilesystemBackend that is about what buckets hold; the duties of each method are those of Backend."""

    _root: str
    _election: Election | None

    @property
    @abstractmethod
    def _store(self) -> Store:
        """The open data directory."""

    @abstractmethod
    def _glance(self, name: str) -> BucketDirectory:
        """The open directory of a bucket that is only looked at."""

    @cached_property
    def _reports(self) -> Reports:
        return Reports(self._root)

    @seam
    async def scan_usage(self, every: float) -> bool:
        election = self._election
        if election is None or not election.is_won() or self._reports.is_younger(every / 2):
            return False
        await self._reports.renew(self._each_bucket(), self._store.executor)
        return True

    def usage(self) -> UsageReport | None:
        """See Backend.usage."""
        return self._reports.read()

    @seam
    async def recount(self, bucket: Bucket) -> None:
        await counting.count(self._glance(bucket.name), self._store.executor)

    async def _each_bucket(self) -> AsyncIterator[BucketDirectory]:
        for name in buckets.names(self._store.root_fd):
            try:
                yield self._glance(name)
            except (S3Error, OSError, ValueError):
                continue  # gone meanwhile, or not to be read
