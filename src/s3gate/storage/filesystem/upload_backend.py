"""What the backend over a directory does for multipart uploads: joins the modules beside it, and holds no logic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from s3gate.core.conditions import WriteCondition
from s3gate.core.observation import StoreObserver
from s3gate.core.values import Bucket, ObjectRecord, Part, Upload
from s3gate.storage.backend import Stage
from s3gate.storage.filesystem import assembly, parts, uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.links import canonical
from s3gate.storage.filesystem.os_errors import blocking_seam, seam
from s3gate.storage.filesystem.staging import OpenStage

__all__ = ["UploadBackend"]

_T = TypeVar("_T")


class UploadBackend(ABC):
    """The part of FilesystemBackend that is about uploads; the duties of each method are those of Backend."""

    _observer: StoreObserver

    @abstractmethod
    def _handle(self, name: str) -> BucketDirectory:
        """The open directory of a bucket."""

    @abstractmethod
    async def _off_loop(self, work: Callable[..., _T], *arguments: object) -> _T:
        """What blocking work gives, done in a thread."""

    @seam
    async def create_upload(self, bucket: Bucket, upload: Upload) -> None:
        await uploads.create(self._handle(bucket.name), upload)
        self._observer.upload("created")

    @blocking_seam
    def find_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        return uploads.find(self._handle(bucket.name), key, upload_id)

    @asynccontextmanager
    async def stage_part(self, bucket: Bucket, upload: Upload, number: int, length: int | None) -> AsyncIterator[Stage]:
        """See Backend.stage_part."""
        stage = await self._new_part_stage(bucket, upload, number, length)
        self._observer.stage_begun()
        try:
            yield stage
        finally:
            self._observer.stage_ended("committed" if stage.committed else "discarded")
            stage.discard()

    @seam
    async def _new_part_stage(self, bucket: Bucket, upload: Upload, number: int, length: int | None) -> OpenStage:
        return await parts.new_stage(self._handle(bucket.name), upload, number, length)

    @seam
    async def commit_part(self, bucket: Bucket, upload: Upload, stage: Stage, part: Part) -> Part:
        return await parts.commit_part(self._handle(bucket.name), upload, stage, part)

    @seam
    async def list_parts(self, bucket: Bucket, upload: Upload) -> list[Part]:
        return await self._off_loop(parts.list_parts, self._handle(bucket.name), upload)

    @seam
    async def list_uploads(self, bucket: Bucket, prefix: str) -> list[Upload]:
        return await self._off_loop(uploads.list_uploads, self._handle(bucket.name), prefix)

    @seam
    async def complete_upload(
        self,
        bucket: Bucket,
        upload: Upload,
        parts: Sequence[Part],
        record: ObjectRecord,
        condition: WriteCondition,
    ) -> ObjectRecord:
        handle = self._handle(bucket.name)
        key = canonical(handle, upload.key)
        completed = await assembly.complete(handle, upload, parts, record, condition, key=key)
        self._observer.upload("completed")
        return completed

    @blocking_seam
    def find_completed(
        self, bucket: Bucket, key: str, upload_id: str, parts: Sequence[tuple[int, str]]
    ) -> ObjectRecord:
        return assembly.find_completed(self._handle(bucket.name), key, upload_id, parts)

    @seam
    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        await uploads.abort(self._handle(bucket.name), upload)
        self._observer.upload("aborted")
