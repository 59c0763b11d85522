"""CompleteMultipartUpload on disk: the joint file becomes the object, or the parts are joined in a new one."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from msgspec.structs import replace

from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord, Part, Upload
from s3gate.storage.completions import Completion
from s3gate.storage.filesystem import completed, history, objects, reading, tree, uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.fence import try_lock
from s3gate.storage.filesystem.parts import PartFile, Scan, scan
from s3gate.storage.filesystem.paths import place
from s3gate.storage.filesystem.regions import DATA_FILE
from s3gate.storage.filesystem.staging import FileStage, copy_range
from s3gate.storage.filesystem.threads import close_file, run_to_end

__all__ = ["complete", "find_completed"]

_PATIENCE, _PAUSE = 0.25, 0.005  # seconds; a writer that is at work longer than that costs a copy
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class _JointStage(FileStage):
    """The joint file of an upload as a stage: it stays where it is when the commit fails.

    Under its name there must never be another file, for parts are written to that.
    """

    lends_name = False

    def __init__(self, directory: int, fd: int, executor: Executor, size: int, *, home: BucketDirectory) -> None:
        super().__init__(directory, executor, home, (DATA_FILE, fd))
        self.size = size

    def discard(self) -> None:
        """Close."""
        close_file(self._executor, self.fd, self.size)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The files of the parts that are named, in order, each with the offset that it has in the object."""

    parts: list[tuple[int, PartFile]]
    replaced: list[bytes]
    size: int
    in_place: bool

    @classmethod
    def of(cls, found: Scan, parts: Sequence[Part], upload_id: str) -> _Plan:
        """Raises InvalidPart where a part is no longer the one named.

        The joint file can become the object when all of its parts that are named have their final offset, and there is
        none that is not named: the upload has to stand as it was if the object is refused.
        """
        current = dict(found.current)
        files = []
        at = 0
        placed, right = 0, True
        for part in parts:
            stored = current.pop(part.number, None)
            if stored is None or stored.part.etag != part.etag:
                raise S3Error("InvalidPart", UploadId=upload_id, PartNumber=part.number, ETag=part.etag)
            files.append((at, stored))
            if stored.offset is not None:
                placed += 1
                right = right and stored.offset == at
            at += stored.part.size
        others = any(stored.offset is not None for stored in current.values())
        return cls(files, found.replaced, at, in_place=bool(placed) and right and not others)


def find_completed(bucket: BucketDirectory, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> ObjectRecord:
    """See Backend.find_completed."""
    return completed.find(bucket, upload_id).again(key, parts)


async def complete(
    bucket: BucketDirectory,
    upload: Upload,
    parts: Sequence[Part],
    record: ObjectRecord,
    condition: WriteCondition,
    *,
    key: str,
) -> ObjectRecord:
    """See Backend.complete_upload. `key` is the one that the upload's stands for.

    Holds the lock of the upload, so that no part changes under the assembly.
    """
    named = [(part.number, part.etag) for part in parts]
    try:
        directory = uploads.open_upload(bucket, upload.id)
    except S3Error:
        return find_completed(bucket, upload.key, upload.id, named)
    try:
        async with _fenced(bucket, directory) as alone, bucket.locks.hold(uploads.UPLOADS, upload.id.encode()):
            known = completed.look(bucket, upload.id)
            if known is not None:
                await uploads.end(bucket, upload.id, directory)  # a process was killed before it could
                return known.again(upload.key, named)
            if uploads.read(bucket, directory, upload.id) is None:
                raise S3Error("NoSuchUpload", UploadId=upload.id)
            note = await completed.prepare(bucket)
            try:
                committed = await run_to_end(bucket.store.executor, _committed_before, bucket, upload, key)
                if committed is None:
                    found = await run_to_end(bucket.store.executor, scan, directory)
                    stage = await _stage(bucket, directory, _Plan.of(found, parts, upload.id), alone=alone)
                    try:
                        committed = await objects.commit(bucket, stage, key, record, condition)
                    finally:
                        stage.discard()
                else:
                    await _sync_key(bucket, key)
                    if committed.etag != record.etag:
                        raise S3Error("NoSuchUpload", UploadId=upload.id)
                await completed.remember(bucket, upload.id, note, Completion.of(upload.key, named, committed))
            finally:
                note.discard()
            await uploads.end(bucket, upload.id, directory)
    finally:
        os.close(directory)
    return committed


@contextlib.asynccontextmanager
async def _fenced(bucket: BucketDirectory, directory: int) -> AsyncIterator[bool]:
    """Whether nobody writes to the joint file of an upload, nor will before the end of the block."""
    try:
        fd = os.open(uploads.UPLOAD_FILE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        yield False
        return
    try:
        yield bucket.fences_parts and await _take_fence(fd)
    finally:
        os.close(fd)


async def _take_fence(fd: int) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE
    while not try_lock(fd, shared=False):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_PAUSE)
    return True


def _committed_before(bucket: BucketDirectory, upload: Upload, key: str) -> ObjectRecord | None:
    """The version that this upload has become already: its process ended between the commit and its being noted.

    Only versions since the upload began are looked at. Without this a client that asks again would make a second
    version of one upload, and its If-None-Match would fail for its own object.
    """
    current = reading.current_record(bucket, key)
    if current is not None and current.upload_id == upload.id:
        return current
    name = key.encode()
    where = place(name)
    for entry in history.read_entries(bucket.fd, where) if bucket.versioning else []:
        if entry.sequence < upload.initiated_ns:
            break
        with contextlib.suppress(FileNotFoundError), history.open_entry(bucket, where, entry) as opened:
            record = history.record_of(bucket, name, entry, opened) if opened is not None else None
            if record is not None and record.upload_id == upload.id:
                return record
    return None


async def _sync_key(bucket: BucketDirectory, key: str) -> None:
    """Force what an ended process may have left to the kernel: the names of all versions of a key."""
    where = place(key.encode())
    for holder in (where, replace(where, parent=where.history)):
        parent = tree.open_parent(bucket.fd, holder)
        if parent is not None:
            with parent as fd:
                await bucket.durability.sync_directories([fd])


async def _stage(bucket: BucketDirectory, directory: int, plan: _Plan, *, alone: bool) -> FileStage:
    """The bytes of the object, ready to be committed."""
    executor = bucket.store.executor
    stage: FileStage
    if alone and plan.in_place:
        stage = _JointStage(directory, _open_data(directory, os.O_RDWR), executor, plan.size, home=bucket)
    else:
        stage = bucket.stage()
    try:
        if isinstance(stage, _JointStage):
            await stage.run(_finish_in_place, bucket, directory, stage.fd, plan)
        else:
            for _, stored in plan.parts:
                await _append(stage, directory, stored)
    except BaseException:
        stage.discard()
        raise
    return stage


def _open_data(directory: int, access: int) -> int:
    """The joint file; NoSuchUpload where it is gone, which means that it has become an object."""
    try:
        return os.open(DATA_FILE, access | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise S3Error("NoSuchUpload") from None


def _finish_in_place(bucket: BucketDirectory, directory: int, fd: int, plan: _Plan) -> None:
    """Give the joint file the parts that went elsewhere, and its length. Blocks. Nobody else may have it."""
    bucket.metadata.detach(fd)  # what a completion that was cut short has left
    for name in plan.replaced:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
    apart = [(at, stored) for at, stored in plan.parts if stored.offset is None]
    if apart and bucket.durability.files:
        os.fsync(directory)  # no loss of power may bring back the record of a part that is overwritten now
    written = max(at + stored.part.size for at, stored in plan.parts if stored.offset is not None)
    if os.fstat(fd).st_size < written:
        raise S3Error("InternalError", "The joint file of the upload is shorter than its parts")
    for at, stored in apart:
        os.lseek(fd, at, os.SEEK_SET)
        source = os.open(stored.name, _READ, dir_fd=directory)
        try:
            copy_range(source, fd, 0, stored.part.size)
        finally:
            os.close(source)
    os.ftruncate(fd, plan.size)
    os.utime(fd)


async def _append(stage: FileStage, directory: int, stored: PartFile) -> None:
    if stored.offset is None:
        fd, start = os.open(stored.name, _READ, dir_fd=directory), 0
    else:
        fd, start = _open_data(directory, os.O_RDONLY), stored.offset
    try:
        await stage.append_file(fd, start, stored.part.size)
    finally:
        os.close(fd)
