"""Parts of an upload on disk: a file for each, whose name says everything but what its status does.

`<number>-<sequence>-<etag>[-<algorithm>-<checksum>]` holds the bytes of the part. With `@<offset>+<size>` behind it
the file is empty, and the bytes are there in the upload's joint file (see regions). So 10,000 parts are listed by one
scan. A part that is sent again gets a greater sequence, and the greatest counts; the naming of the file is its commit
in every metadata mode. The file `sent` has a byte for each number, which is set before the number's first part: while
it is not, nobody need look for an earlier one.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass

from msgspec.structs import replace

from s3gate.core import clock
from s3gate.core.checksums import Checksum
from s3gate.core.errors import S3Error
from s3gate.core.values import Part, Upload
from s3gate.storage.backend import Stage
from s3gate.storage.filesystem import regions, uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.receiving import ReceivedStage
from s3gate.storage.filesystem.regions import RegionStage
from s3gate.storage.filesystem.staging import FileStage, OpenStage

__all__ = ["PartFile", "Scan", "commit_part", "is_known", "is_part", "list_parts", "new_stage", "part_of", "scan"]

_SENT_FILE = b"sent"
_PART = re.compile(rb"\d{5}-[0-9a-f]{16}-.+")
_OTHERS = frozenset({uploads.UPLOAD_FILE, _SENT_FILE, *regions.NAMES})


@dataclass(frozen=True, slots=True)
class PartFile:
    """A stored part and the name of its file. `offset` is where it begins in the joint file, None outside of it."""

    name: bytes
    sequence: int
    part: Part
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What an upload has: the parts that count, by number, and the names of the files that were replaced."""

    current: dict[int, PartFile]
    replaced: list[bytes]


def _part_name(part: Part, sequence: int, offset: int | None) -> bytes:
    fields = [f"{part.number:05d}", f"{sequence:016x}", part.etag.replace("-", "~")]
    if part.checksum is not None:
        digest = base64.b64decode(part.checksum.value).hex()
        fields += [part.checksum.algorithm, digest]
    place = "" if offset is None else f"@{offset:x}+{part.size:x}"
    return ("-".join(fields) + place).encode()


def part_of(name: bytes, stat: os.stat_result) -> PartFile:
    """The part that a file of this name is. Raises ValueError where it is none."""
    fields, at, place = name.decode().partition("@")
    offset, size = None, stat.st_size
    if at:
        offset, size = (int(number, 16) for number in place.split("+"))
    number, sequence, etag, *checksum = fields.split("-")
    value = None
    if checksum:
        algorithm, digest = checksum
        value = Checksum(algorithm, base64.b64encode(bytes.fromhex(digest)).decode())
    part = Part(int(number), size, etag.replace("~", "-"), stat.st_mtime_ns, value)
    return PartFile(name, int(sequence, 16), part, offset)


def is_known(name: bytes) -> bool:
    """Whether the gateway gives this name to a file of an upload, but that which makes it one."""
    return name != uploads.UPLOAD_FILE and (name in _OTHERS or regions.is_claim(name) or is_part(name))


def is_part(name: bytes) -> bool:
    """Whether a file of this name stands for a part."""
    return _PART.fullmatch(name) is not None


def scan(directory: int) -> Scan:
    """The parts in the open directory of an upload."""
    current: dict[int, PartFile] = {}
    replaced = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if name in _OTHERS or regions.is_claim(name):
                continue
            try:
                stat = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue  # replaced or removed meanwhile
            try:
                found = part_of(name, stat)
            except ValueError:
                continue  # no file of ours: NFS gives open files that are removed a name of its own
            rival = current.get(found.part.number)
            if rival is None or rival.sequence < found.sequence:
                current[found.part.number] = found
                if rival is not None:
                    replaced.append(rival.name)
            else:
                replaced.append(name)
    return Scan(current, replaced)


def _earlier(directory: int, number: int) -> list[bytes]:
    """The files of the parts of this number, under the lock of the upload; notes that there will be one."""
    fd = os.open(_SENT_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        if os.pread(fd, 1, number) != b"1":
            os.pwrite(fd, b"1", number)
            return []
    finally:
        os.close(fd)
    prefix = f"{number:05d}-"
    return [os.fsencode(name) for name in os.listdir(directory) if name.startswith(prefix)]


async def new_stage(bucket: BucketDirectory, upload: Upload, number: int, length: int | None) -> OpenStage:
    """A stage for a part: at its place where there is one, else in a file of its own."""
    receiver = bucket.store.receivers.parts
    if receiver is not None:
        return bucket.upload_stage(receiver)
    return await regions.open_region(bucket, upload, number, length) or bucket.stage()


async def commit_part(bucket: BucketDirectory, upload: Upload, stage: Stage, part: Part) -> Part:
    """See Backend.commit_part. The bytes are on the medium before the part has its name."""
    offset = None
    if isinstance(stage, RegionStage):
        stage.check(upload.id, part)
        offset = stage.offset
    elif not isinstance(stage, FileStage):
        raise TypeError("a stage is committed to the backend that made it")
    if isinstance(stage, ReceivedStage):
        await stage.arrive()
    durability = bucket.durability
    if durability.files:
        await stage.run(durability.sync_file, stage.fd)
    directory = uploads.open_upload(bucket, upload.id)
    try:
        async with bucket.locks.hold(uploads.UPLOADS, upload.id.encode()):
            if uploads.read(bucket, directory, upload.id) is None:
                raise S3Error("NoSuchUpload", UploadId=upload.id)
            older = _earlier(directory, part.number)
            last = max((int(name.split(b"-")[1], 16) for name in older), default=0)
            name = _part_name(part, max(clock.now_ns(), last + 1), offset)
            if isinstance(stage, RegionStage):
                modified_ns = stage.give_name(directory, name)
            else:
                os.rename(stage.name, name, src_dir_fd=stage.directory, dst_dir_fd=directory)
                stage.committed = True
                modified_ns = os.fstat(stage.fd).st_mtime_ns
            for old in older:
                os.unlink(old, dir_fd=directory)
        await durability.sync_directories([directory])
    finally:
        os.close(directory)
    return replace(part, size=stage.size, modified_ns=modified_ns)


def list_parts(bucket: BucketDirectory, upload: Upload) -> list[Part]:
    """See Backend.list_parts."""
    directory = uploads.open_upload(bucket, upload.id)
    try:
        found = scan(directory).current
    finally:
        os.close(directory)
    return [found[number].part for number in sorted(found)]
