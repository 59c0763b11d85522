"""Multipart uploads on disk: `.s3gate/mpu/<upload id>/` with a file for the upload and one for each part.

The name of a part's file says everything about it but its size and time, so that 10,000 parts are listed by one scan:
`<number>-<sequence>-<etag>[-<algorithm>-<checksum>]`. A part that is sent again gets a greater sequence, and the
greatest counts; the rename is its commit in every metadata mode. The file `sent` has a byte for each number, which is
set before the number's first part: while it is not, nobody need look for an earlier one.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from s3gate.core import clock
from s3gate.core.checksums import Checksum
from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import is_upload_id
from s3gate.core.values import ObjectRecord, Owner, Part, Upload
from s3gate.storage.filesystem import history, objects, reading, records, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import CONTROL, place
from s3gate.storage.filesystem.records import Binding, BrokenRecord
from s3gate.storage.filesystem.staging import FileStage
from s3gate.storage.filesystem.threads import run_to_end
from s3gate.storage.filesystem.tree import Directory

__all__ = [
    "ROOT",
    "SENT_FILE",
    "UPLOADS",
    "abort",
    "commit_part",
    "complete",
    "create",
    "find",
    "list_parts",
    "list_uploads",
    "load",
    "part_of",
    "remove",
]

_log = logging.getLogger(__name__)

UPLOADS = b"upload"  # the lock space of uploads
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ROOT = CONTROL + b"/mpu"
_UPLOAD_FILE = b"upload"
SENT_FILE = b"sent"


@dataclass(frozen=True, slots=True)
class _PartFile:
    """A stored part and the name of its file."""

    name: bytes
    sequence: int
    part: Part


def _open(bucket: BucketDirectory, upload_id: str) -> int:
    """The open directory of an upload, else NoSuchUpload. Any text may be asked for."""
    if not is_upload_id(upload_id):
        raise S3Error("NoSuchUpload", UploadId=upload_id)
    try:
        return os.open(ROOT + b"/" + upload_id.encode(), _DIRECTORY, dir_fd=bucket.fd)
    except (FileNotFoundError, NotADirectoryError):
        raise S3Error("NoSuchUpload", UploadId=upload_id) from None


def _load(directory: int, upload_id: str) -> Upload | None:
    """The upload that a directory holds, or None for one that was never finished, has ended, or cannot be read."""
    try:
        return _read(directory, upload_id)
    except BrokenRecord as error:
        _log.warning("the upload %s cannot be read, and is not there for clients: %s", upload_id, error)
        return None


def _read(directory: int, upload_id: str) -> Upload | None:
    try:
        fd = os.open(_UPLOAD_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
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
        directory = _open(bucket, upload_id)
    except S3Error:
        return None
    try:
        return _read(directory, upload_id)
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
        directory = ROOT + b"/" + upload.id.encode()
        os.mkdir(directory, 0o700, dir_fd=bucket.fd)
        with (
            Directory(os.open(ROOT, _DIRECTORY, dir_fd=bucket.fd), owned=True) as uploads,
            Directory(os.open(directory, _DIRECTORY, dir_fd=bucket.fd), owned=True) as fd,
        ):
            os.rename(stage.name, _UPLOAD_FILE, src_dir_fd=stage.directory, dst_dir_fd=fd)
            stage.committed = True
            await durability.sync_directories([uploads, fd])
    finally:
        stage.discard()
    bucket.check_current()


def find(bucket: BucketDirectory, key: str, upload_id: str) -> Upload:
    """See Backend.find_upload."""
    directory = _open(bucket, upload_id)
    try:
        upload = _load(directory, upload_id)
    finally:
        os.close(directory)
    if upload is None or upload.key != key:
        raise S3Error("NoSuchUpload", UploadId=upload_id)
    return upload


def _part_name(part: Part, sequence: int) -> bytes:
    fields = [f"{part.number:05d}", f"{sequence:016x}", part.etag]
    if part.checksum is not None:
        digest = base64.b64decode(part.checksum.value).hex()
        fields += [part.checksum.algorithm, digest]
    return "-".join(fields).encode()


def _parse_part(name: bytes, stat: os.stat_result) -> _PartFile:
    number, sequence, etag, *checksum = name.decode().split("-")
    value = None
    if checksum:
        algorithm, digest = checksum
        value = Checksum(algorithm, base64.b64encode(bytes.fromhex(digest)).decode())
    part = Part(int(number), stat.st_size, etag, stat.st_mtime_ns, value)
    return _PartFile(name, int(sequence, 16), part)


def part_of(name: bytes, stat: os.stat_result) -> Part:
    """The part that a file of this name is. Raises ValueError where it is none."""
    return _parse_part(name, stat).part


def _scan_parts(directory: int) -> tuple[dict[int, _PartFile], list[bytes]]:
    """The parts that count, by number, and the names of those that were replaced."""
    current: dict[int, _PartFile] = {}
    replaced = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if name in (_UPLOAD_FILE, SENT_FILE):
                continue
            try:
                stat = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue  # replaced or removed meanwhile
            try:
                found = _parse_part(name, stat)
            except ValueError:
                continue  # no file of ours: NFS gives open files that are removed a name of its own
            rival = current.get(found.part.number)
            if rival is None or rival.sequence < found.sequence:
                current[found.part.number] = found
                if rival is not None:
                    replaced.append(rival.name)
            else:
                replaced.append(name)
    return current, replaced


def _earlier(directory: int, number: int) -> list[bytes]:
    """The files of the parts of this number, under the lock of the upload; notes that there will be one."""
    fd = os.open(SENT_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        if os.pread(fd, 1, number) != b"1":
            os.pwrite(fd, b"1", number)
            return []
    finally:
        os.close(fd)
    prefix = f"{number:05d}-"
    return [os.fsencode(name) for name in os.listdir(directory) if name.startswith(prefix)]


async def commit_part(bucket: BucketDirectory, upload: Upload, stage: FileStage, part: Part) -> Part:
    """See Backend.commit_part."""
    durability = bucket.durability
    if durability.files:
        await stage.run(durability.sync_file, stage.fd)
    directory = _open(bucket, upload.id)
    try:
        async with bucket.locks.hold(UPLOADS, upload.id.encode()):
            if _load(directory, upload.id) is None:
                raise S3Error("NoSuchUpload", UploadId=upload.id)
            older = _earlier(directory, part.number)
            last = max((int(name.split(b"-")[1], 16) for name in older), default=0)
            name = _part_name(part, max(clock.now_ns(), last + 1))
            os.rename(stage.name, name, src_dir_fd=stage.directory, dst_dir_fd=directory)
            stage.committed = True
            for old in older:
                os.unlink(old, dir_fd=directory)
        await durability.sync_directories([directory])
        stat = os.fstat(stage.fd)
    finally:
        os.close(directory)
    return replace(part, size=stat.st_size, modified_ns=stat.st_mtime_ns)


def list_parts(bucket: BucketDirectory, upload: Upload) -> list[Part]:
    """See Backend.list_parts."""
    directory = _open(bucket, upload.id)
    try:
        found, _ = _scan_parts(directory)
    finally:
        os.close(directory)
    return [found[number].part for number in sorted(found)]


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
            directory = _open(bucket, upload_id)
        except S3Error:
            continue
        try:
            upload = _load(directory, upload_id)
        finally:
            os.close(directory)
        if upload is not None and upload.key.startswith(prefix):
            uploads.append(upload)
    return sorted(uploads, key=lambda upload: (upload.key.encode(), upload.id))


async def complete(
    bucket: BucketDirectory,
    upload: Upload,
    parts: Sequence[Part],
    record: ObjectRecord,
    condition: WriteCondition,
) -> ObjectRecord:
    """See Backend.complete_upload. Holds the lock of the upload, so that no part changes under the assembly."""
    directory = _open(bucket, upload.id)
    try:
        async with bucket.locks.hold(UPLOADS, upload.id.encode()):
            if _load(directory, upload.id) is None:
                raise S3Error("NoSuchUpload", UploadId=upload.id)
            before = await run_to_end(bucket.store.executor, _committed_before, bucket, upload)
            if before is not None:
                return await _finish(bucket, upload, directory, before, record)
            found, _ = await run_to_end(bucket.store.executor, _scan_parts, directory)
            stage = bucket.stage()
            try:
                for part in parts:
                    stored = found.get(part.number)
                    if stored is None or stored.part.etag != part.etag:
                        raise S3Error("InvalidPart", UploadId=upload.id, PartNumber=part.number, ETag=part.etag)
                    await _append(stage, directory, stored)
                committed = await objects.commit(bucket, stage, upload.key, record, condition)
            finally:
                stage.discard()
            await _end(bucket, upload.id, directory)
    finally:
        os.close(directory)
    return committed


def _committed_before(bucket: BucketDirectory, upload: Upload) -> ObjectRecord | None:
    """The version that this upload has become already: its process ended between the commit and the end of the upload.

    Only versions since the upload began are looked at. Without this a client that asks again would make a second
    version of one upload, and its If-None-Match would fail for its own object.
    """
    current = reading.current_record(bucket, upload.key)
    if current is not None and current.upload_id == upload.id:
        return current
    name = upload.key.encode()
    where = place(name)
    for entry in history.read_entries(bucket.fd, where) if bucket.versioning else []:
        if entry.sequence < upload.initiated_ns:
            break
        with contextlib.suppress(FileNotFoundError), history.open_entry(bucket, where, entry) as opened:
            record = history.record_of(bucket, name, entry, opened) if opened is not None else None
            if record is not None and record.upload_id == upload.id:
                return record
    return None


async def _finish(
    bucket: BucketDirectory, upload: Upload, directory: int, before: ObjectRecord, record: ObjectRecord
) -> ObjectRecord:
    """End an upload that has become `before`, and answer as then: for other parts than then there is no such upload."""
    where = place(upload.key.encode())
    for holder in (where, replace(where, parent=where.history)):
        parent = tree.open_parent(bucket.fd, holder)
        if parent is not None:
            with parent as fd:
                await bucket.durability.sync_directories([fd])
    await _end(bucket, upload.id, directory)
    if before.etag != record.etag:
        raise S3Error("NoSuchUpload", UploadId=upload.id)
    return before


async def _append(stage: FileStage, directory: int, stored: _PartFile) -> None:
    fd = os.open(stored.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        await stage.append_file(fd, 0, stored.part.size)
    finally:
        os.close(fd)


async def _end(bucket: BucketDirectory, upload_id: str, directory: int) -> None:
    """Remove an upload, and force its end to the medium."""
    await run_to_end(bucket.store.executor, remove, bucket, upload_id)
    await bucket.durability.sync_directories([directory])


def remove(bucket: BucketDirectory, upload_id: str) -> None:
    """Remove an upload or what is left of one: its file first, which is what makes it one, then the parts. Blocks.

    Under the lock of the upload.
    """
    directory = _open(bucket, upload_id)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_UPLOAD_FILE, dir_fd=directory)
        for name in os.listdir(directory):
            os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)
    with contextlib.suppress(OSError):
        os.rmdir(ROOT + b"/" + upload_id.encode(), dir_fd=bucket.fd)


async def abort(bucket: BucketDirectory, upload: Upload) -> None:
    """See Backend.abort_upload."""
    directory = _open(bucket, upload.id)
    try:
        async with bucket.locks.hold(UPLOADS, upload.id.encode()):
            if _load(directory, upload.id) is None:
                raise S3Error("NoSuchUpload", UploadId=upload.id)
            await _end(bucket, upload.id, directory)
    finally:
        os.close(directory)
