"""Completed uploads that are remembered: `.s3gate/done/<upload id>`, a small file for each.

It is written before the object is there, so that a disk that fills up fails the completion and not its memory, and gets
its contents and its name after that.
"""

from __future__ import annotations

import logging
import os

from s3gate.core.errors import S3Error
from s3gate.core.names import is_upload_id
from s3gate.storage.completions import Completion
from s3gate.storage.filesystem import records
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import CONTROL
from s3gate.storage.filesystem.records import Binding, BrokenRecord
from s3gate.storage.filesystem.staging import FileStage
from s3gate.storage.filesystem.tree import Directory

__all__ = ["ROOT", "find", "is_noted", "load", "look", "prepare", "remember"]

_log = logging.getLogger(__name__)

ROOT = CONTROL + b"/done"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_BYTES = 4096  # a key, a version id, digests


def load(bucket: BucketDirectory, upload_id: str) -> Completion | None:
    """The completion of an upload, None for one that was not completed. Any text may be asked for.

    Raises BrokenRecord where it cannot be read.
    """
    if not is_upload_id(upload_id):
        return None
    try:
        path = ROOT + b"/" + upload_id.encode()
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=bucket.fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(fd, "rb") as file:
        fields = records.unpack(file.read())
    try:
        record = records.decode(fields["record"]).record
        if record is not None:
            return Completion(fields["key"], fields["parts"], record)
    except KeyError as error:
        raise BrokenRecord(f"the completion of {upload_id} lacks {error}") from error
    raise BrokenRecord(f"the completion of {upload_id} has no record")


def is_noted(bucket: BucketDirectory, upload_id: str) -> bool:
    """Whether there is a completion of an upload, which may have any id that has their form."""
    try:
        os.stat(ROOT + b"/" + upload_id.encode(), dir_fd=bucket.fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def look(bucket: BucketDirectory, upload_id: str) -> Completion | None:
    """The completion of an upload, None for one that was not completed, or whose completion cannot be read."""
    try:
        return load(bucket, upload_id)
    except BrokenRecord as error:
        _log.warning("what became of the upload %s cannot be read: %s", upload_id, error)
        return None


def find(bucket: BucketDirectory, upload_id: str) -> Completion:
    """The completion of an upload, else NoSuchUpload."""
    found = look(bucket, upload_id)
    if found is None:
        raise S3Error("NoSuchUpload", UploadId=upload_id)
    return found


async def prepare(bucket: BucketDirectory) -> FileStage:
    """The file of a completion to be, with the space that it takes."""
    stage = bucket.stage()
    try:
        await stage.write([bytes(_MOST_BYTES)], lambda pieces: pieces)
    except BaseException:
        stage.discard()
        raise
    return stage


async def remember(bucket: BucketDirectory, upload_id: str, stage: FileStage, completion: Completion) -> None:
    """Write a completion to the file that was prepared, and give it its name. Under the lock of the upload."""
    data = records.pack(
        {
            "key": completion.key,
            "parts": completion.parts,
            "record": records.encode(completion.record, Binding(completion.record.size, 0)),
        }
    )

    def work() -> None:
        os.pwrite(stage.fd, data, 0)
        os.ftruncate(stage.fd, len(data))
        bucket.durability.sync_file(stage.fd)

    if bucket.durability.files:
        await stage.run(work)
    else:
        work()
    with Directory(os.open(ROOT, _DIRECTORY, dir_fd=bucket.fd), owned=True) as done:
        os.rename(stage.name, upload_id.encode(), src_dir_fd=stage.directory, dst_dir_fd=done)
        stage.committed = True
        await bucket.durability.sync_directories([done])
