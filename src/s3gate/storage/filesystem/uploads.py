"""Multipart uploads on disk: `.s3gate/mpu/<upload id>/`, which is one as long as the file `upload` is in it.

It has ended, whatever is left of it, once its completion is noted (see completed).

What else is in it: the files of parts (see parts), and what belongs to those that are written in place (see regions).
"""

from __future__ import annotations

import contextlib
import logging
import os

from s3gate.core.errors import S3Error
from s3gate.core.names import is_upload_id
from s3gate.core.values import Owner, Upload
from s3gate.storage.filesystem import completed, records
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import CONTROL
from s3gate.storage.filesystem.records import Binding, BrokenRecord
from s3gate.storage.filesystem.threads import run_to_end
from s3gate.storage.filesystem.tree import Directory

__all__ = [
    "ROOT",
    "UPLOADS",
    "UPLOAD_FILE",
    "abort",
    "create",
    "end",
    "find",
    "list_uploads",
    "load",
    "open_upload",
    "path_of",
    "read",
    "remove",
]

_log = logging.getLogger(__name__)

UPLOADS = b"upload"  # the lock space of uploads
ROOT = CONTROL + b"/mpu"
UPLOAD_FILE = b"upload"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def path_of(upload_id: str) -> bytes:
    """The path of an upload's directory below its bucket."""
    return ROOT + b"/" + upload_id.encode()


def open_upload(bucket: BucketDirectory, upload_id: str) -> int:
    """The open directory of an upload, else NoSuchUpload. Any text may be asked for."""
    if not is_upload_id(upload_id):
        raise S3Error("NoSuchUpload", UploadId=upload_id)
    try:
        return os.open(path_of(upload_id), _DIRECTORY, dir_fd=bucket.fd)
    except (FileNotFoundError, NotADirectoryError):
        raise S3Error("NoSuchUpload", UploadId=upload_id) from None


def read(bucket: BucketDirectory, directory: int, upload_id: str) -> Upload | None:
    """The upload that a directory holds, or None for one that was never finished, has ended, or cannot be read."""
    try:
        return _read(bucket, directory, upload_id)
    except BrokenRecord as error:
        _log.warning("the upload %s cannot be read, and is not there for clients: %s", upload_id, error)
        return None


def _read(bucket: BucketDirectory, directory: int, upload_id: str) -> Upload | None:
    if completed.is_noted(bucket, upload_id):
        return None
    try:
        fd = os.open(UPLOAD_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        fields = records.unpack(file.read())
    template = records.decode(fields["template"]).record
    if template is None:
        raise BrokenRecord(f"upload {upload_id} has no template")
    return Upload(
        id=upload_id,
        key=fields["key"],
        initiated_ns=fields["initiated"],
        initiator=Owner(*fields["initiator"]),
        template=template,
        checksum_algorithm=fields["algorithm"],
        checksum_type=fields["type"],
        client_chose_checksum=fields["chosen"],
    )


def load(bucket: BucketDirectory, upload_id: str) -> Upload | None:
    """The upload under way with this id, None where there is none. Raises BrokenRecord where it cannot be read."""
    try:
        directory = open_upload(bucket, upload_id)
    except S3Error:
        return None
    try:
        return _read(bucket, directory, upload_id)
    finally:
        os.close(directory)


def _pack(upload: Upload) -> bytes:
    return records.pack(
        {
            "key": upload.key,
            "initiated": upload.initiated_ns,
            "initiator": [upload.initiator.id, upload.initiator.display_name],
            "template": records.encode(upload.template, Binding(0, 0)),
            "algorithm": upload.checksum_algorithm,
            "type": upload.checksum_type,
            "chosen": upload.client_chose_checksum,
        }
    )


async def create(bucket: BucketDirectory, upload: Upload) -> None:
    """See Backend.create_upload. The upload exists from the rename of its file on."""
    durability = bucket.durability
    stage = bucket.stage()
    try:
        await stage.write([_pack(upload)], lambda pieces: pieces)
        if durability.files:
            await stage.run(durability.sync_file, stage.fd)
        directory = path_of(upload.id)
        os.mkdir(directory, 0o700, dir_fd=bucket.fd)
        with (
            Directory(os.open(ROOT, _DIRECTORY, dir_fd=bucket.fd), owned=True) as uploads,
            Directory(os.open(directory, _DIRECTORY, dir_fd=bucket.fd), owned=True) as fd,
        ):
            os.rename(stage.name, UPLOAD_FILE, src_dir_fd=stage.directory, dst_dir_fd=fd)
            stage.committed = True
            await durability.sync_directories([uploads, fd])
    finally:
        stage.discard()
    bucket.check_current()


def find(bucket: BucketDirectory, key: str, upload_id: str) -> Upload:
    """See Backend.find_upload."""
    directory = open_upload(bucket, upload_id)
    try:
        upload = read(bucket, directory, upload_id)
    finally:
        os.close(directory)
    if upload is None or upload.key != key:
        raise S3Error("NoSuchUpload", UploadId=upload_id)
    return upload


def list_uploads(bucket: BucketDirectory, prefix: str) -> list[Upload]:
    """See Backend.list_uploads. An upload that ends meanwhile is left out."""
    try:
        names = os.open(ROOT, _DIRECTORY, dir_fd=bucket.fd)
    except FileNotFoundError:
        return []
    try:
        ids = [name for name in os.listdir(names) if is_upload_id(name)]
    finally:
        os.close(names)
    uploads = []
    for upload_id in ids:
        try:
            directory = open_upload(bucket, upload_id)
        except S3Error:
            continue
        try:
            upload = read(bucket, directory, upload_id)
        finally:
            os.close(directory)
        if upload is not None and upload.key.startswith(prefix):
            uploads.append(upload)
    return sorted(uploads, key=lambda upload: (upload.key.encode(), upload.id))


async def end(bucket: BucketDirectory, upload_id: str, directory: int) -> None:
    """Remove an upload, and force its end to the medium. Under the lock of the upload."""
    await run_to_end(bucket.store.executor, remove, bucket, upload_id)
    await bucket.durability.sync_directories([directory])


def remove(bucket: BucketDirectory, upload_id: str) -> None:
    """Remove an upload or what is left of one: its file first, which is what makes it one, then the parts. Blocks.

    Under the lock of the upload. A part that is still on its way is written to a file without a name, and refused then.
    """
    try:
        directory = open_upload(bucket, upload_id)
    except S3Error:
        return  # another process has done it
    try:
        for name in (UPLOAD_FILE, *map(os.fsencode, os.listdir(directory))):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)
    with contextlib.suppress(OSError):
        os.rmdir(path_of(upload_id), dir_fd=bucket.fd)


async def abort(bucket: BucketDirectory, upload: Upload) -> None:
    """See Backend.abort_upload."""
    directory = open_upload(bucket, upload.id)
    try:
        async with bucket.locks.hold(UPLOADS, upload.id.encode()):
            if read(bucket, directory, upload.id) is None:
                raise S3Error("NoSuchUpload", UploadId=upload.id)
            await end(bucket, upload.id, directory)
    finally:
        os.close(directory)
