"""What the backend over a directory does to read objects: joins the modules beside it, and holds no logic."""

from __future__ import annotations

from abc import ABC, abstractmethod

from s3gate.core.values import Bucket, ObjectRecord
from s3gate.storage.backend import ObjectReader
from s3gate.storage.filesystem import reading
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.links import canonical
from s3gate.storage.filesystem.os_errors import raise_translated

__all__ = ["ReadBackend"]


class ReadBackend(ABC):
    """The part of FilesystemBackend that reads objects; the duties of each method are those of Backend.

    What it does is over in microseconds and waits for nothing, so that each seam is in the method itself.
    """

    _handles: dict[str, BucketDirectory]

    @abstractmethod
    def _handle(self, name: str) -> BucketDirectory:
        """The open directory of a bucket."""

    async def open_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectReader:
        """See Backend.open_object."""
        try:
            handle, key = self._source(bucket, key)
            return reading.open_reader(handle, key, version_id)
        except OSError as error:
            raise_translated(error)

    async def stat_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectRecord:
        """See Backend.stat_object."""
        try:
            handle, key = self._source(bucket, key)
            return reading.read_record(handle, key, version_id)
        except OSError as error:
            raise_translated(error)

    def _source(self, bucket: Bucket, key: str) -> tuple[BucketDirectory, str]:
        """The open directory of a bucket that this request has found, without another look, and the key to read there.

        A write looks again: what it put into a bucket that was removed meanwhile could come back with it.
        """
        handle = self._handles.get(bucket.name)
        if handle is None or handle.shown is not bucket:
            handle = self._handle(bucket.name)
        return handle, canonical(handle, key) if handle.follows_links else key
