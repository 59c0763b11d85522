"""Parts that are written where they belong: into one file, `data`, that becomes the object without a copy.

`size` says how long parts are, by the first one: part n begins at (n - 1) times that. What is longer, or of unknown
length, is not written here. No region is ever written by two: its number is claimed by the making of `claim-<number>`,
which stays for as long as the upload does, so that a part that is sent again goes to a file of its own. Only a writer
that failed gives its region back, when it has written its last.

Whoever writes shares the fence of the upload, a lock on its file `upload`, from before the first byte until `data` is
closed. A completion that takes the fence alone knows that nobody writes, in no process, and that nobody will: a writer
looks for the upload once it has the fence, and never makes `data`, which is there as soon as `size` is.
"""

from __future__ import annotations

import contextlib
import os
import re
from concurrent.futures import Executor

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.core.names import is_upload_id
from s3gate.core.values import Part, Upload
from s3gate.durable import write_all
from s3gate.storage.filesystem import records, uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.fence import try_lock
from s3gate.storage.filesystem.records import BrokenRecord
from s3gate.storage.filesystem.staging import OpenStage
from s3gate.storage.filesystem.syscalls import filesystem_kind, free_range, reserve_range
from s3gate.storage.filesystem.threads import run_to_end

__all__ = ["DATA_FILE", "NAMES", "RegionStage", "is_claim", "open_region", "share_fence"]

DATA_FILE = b"data"
_SIZE_FILE, _NEW_SIZE_FILE = b"size", b"size.new"
NAMES = frozenset({DATA_FILE, _SIZE_FILE, _NEW_SIZE_FILE})
_CLAIM = re.compile(rb"claim-\d{5}")
_READ_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
# "Amazon S3 multipart upload limits": parts have 5 MiB but for the last one, objects at most 5 TiB.
_NOT_THE_LAST = 5 << 20
# ext4 keeps account of each page until it looks for blocks, which the rename of a file over another one makes it do at
# once: 0.1 s for 256 MiB. Where the blocks are there already both takes half as long or less. No more than these are
# taken ahead of what has come, for a client may never send the rest.
_EXT4 = 0xEF53
_AHEAD_BYTES = 16 << 20
_SMALL_BYTES = 256 << 10
_LONGEST = 5 << 40


def is_claim(name: bytes) -> bool:
    """Whether a file of this name claims the region of a part."""
    return _CLAIM.fullmatch(name) is not None


def share_fence(bucket: BucketDirectory, upload_id: str) -> int | None:
    """An open file that holds the fence of an upload, shared; None where it has ended, or just ends."""
    if not is_upload_id(upload_id):
        return None
    path = uploads.path_of(upload_id) + b"/" + uploads.UPLOAD_FILE
    try:
        fd = os.open(path, _READ_WRITE, dir_fd=bucket.fd)
    except FileNotFoundError:
        return None
    try:
        if try_lock(fd, shared=True) and os.path.samestat(
            os.fstat(fd), os.stat(path, dir_fd=bucket.fd, follow_symlinks=False)
        ):
            fence, fd = fd, -1
            return fence
    except FileNotFoundError:
        pass  # it has ended since it was opened
    finally:
        if fd >= 0:
            os.close(fd)
    return None


class RegionStage(OpenStage):
    """A part on its way into its region: `offset` is where that begins in the joint file. Holds the fence, shared."""

    def __init__(
        self, bucket: BucketDirectory, executor: Executor, fd: int, *, part: tuple[str, int], place: tuple[int, int],
        fence: int,
    ) -> None:  # fmt: skip
        """`part` is upload id and number, `place` offset and length."""
        self.home = bucket
        self.fd = fd
        self._executor = executor
        self._bucket_fd = bucket.fd
        self._upload_id, self._number = part
        self.offset, self._length = place
        self._fence = fence
        self._reserves = self._length > _SMALL_BYTES and filesystem_kind(fd) == _EXT4
        self._reserved = 0

    @property
    def _claim(self) -> bytes:
        return uploads.path_of(self._upload_id) + b"/claim-%05d" % self._number

    def _take(self, pieces: list[Buffer]) -> None:
        size = sum(map(len, pieces))
        self._check_room(size)
        if self._reserves and self.size + size > self._reserved:
            self._reserve(self.size + size)
        super()._take(pieces)

    def _reserve(self, least: int) -> None:
        """Have the blocks allocated of what comes next, and of some more."""
        start = max(self._reserved, self.size)
        self._reserved = min(max(least, start + _AHEAD_BYTES), self._length)
        reserve_range(self.fd, self.offset + start, self._reserved - start)

    async def append_file(self, source: int, start: int, length: int) -> None:
        """Append bytes of an open file."""
        self._check_room(length)
        await super().append_file(source, start, length)

    def _check_room(self, size: int) -> None:
        """Behind the region begins that of another part."""
        if self.size + size > self._length:
            raise S3Error("InternalError", "The part is longer than it was said to be")

    def _reach(self, fd: int) -> None:
        """Make the file as long as what was reserved: blocks behind its end cannot be given back.

        Where that fails they are given back with the upload: completing it cuts off what is behind its last part.
        """
        if self.size < self._reserved:
            with contextlib.suppress(OSError):
                os.pwrite(fd, b"\0", self.offset + self._reserved - 1)

    def check(self, upload_id: str, part: Part) -> None:
        """Raise ValueError unless this is the stage of that part, and holds all of it."""
        if (upload_id, part.number, part.size) != (self._upload_id, self._number, self.size):
            raise ValueError("a region is committed as the part it was opened for")

    def give_name(self, directory: int, name: bytes) -> int:
        """Commit: make the claim the file of the part as well, under `name`. Gives its time.

        From here on the region is not given back, for an error of link() may be wrong about what was done.
        """
        self.committed = True
        fd = os.open(self._claim, _READ_WRITE, dir_fd=self._bucket_fd)
        try:
            os.utime(fd)
            modified_ns = os.fstat(fd).st_mtime_ns
        finally:
            os.close(fd)
        os.link(self._claim, name, src_dir_fd=self._bucket_fd, dst_dir_fd=directory)
        return modified_ns

    def discard(self) -> None:
        """Close; where the part was not committed, free its bytes and let another writer claim the region."""
        fd, self.fd = self.fd, -1  # nothing of this writer reaches the file any more
        try:
            if not self.committed:
                self._reach(fd)
                free_range(fd, self.offset, self._length)
        finally:
            os.close(fd)
            try:
                if not self.committed:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._claim, dir_fd=self._bucket_fd)
            finally:
                os.close(self._fence)


async def open_region(bucket: BucketDirectory, upload: Upload, number: int, length: int | None) -> RegionStage | None:
    """A stage at the place of a part of `length` bytes, or None where the part has to go to a file of its own."""
    if not length or not bucket.places_parts:
        return None
    fence = share_fence(bucket, upload.id)
    if fence is None:
        return None
    stage = None
    try:
        size = await _size_of_parts(bucket, upload, number, length)
        offset = (number - 1) * size
        if length <= size and offset + length <= _LONGEST:
            stage = _open_claimed(bucket, upload.id, number, offset, length, fence)
    finally:
        if stage is None:
            os.close(fence)
    return stage


def _open_claimed(
    bucket: BucketDirectory, upload_id: str, number: int, offset: int, length: int, fence: int
) -> RegionStage | None:
    directory = uploads.path_of(upload_id)
    claim = directory + b"/claim-%05d" % number
    try:
        made = os.open(claim, _READ_WRITE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=bucket.fd)
    except (FileExistsError, FileNotFoundError):
        return None
    try:
        os.close(made)
        fd = os.open(directory + b"/" + DATA_FILE, _READ_WRITE, dir_fd=bucket.fd)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(claim, dir_fd=bucket.fd)
        if isinstance(error, FileNotFoundError):
            return None  # it has become the object
        raise
    os.lseek(fd, offset, os.SEEK_SET)
    return RegionStage(bucket, bucket.store.executor, fd, part=(upload_id, number), place=(offset, length), fence=fence)


async def _size_of_parts(bucket: BucketDirectory, upload: Upload, number: int, length: int) -> int:
    """How long parts are; 0 where it is not known, or cannot be read.

    A part that may be the last and shorter than the others does not decide it.
    """
    known = _read_size(bucket, upload.id)
    if known is not None or not (number == 1 or length >= _NOT_THE_LAST):
        return known or 0
    async with bucket.locks.hold(uploads.UPLOADS, upload.id.encode()):
        known = _read_size(bucket, upload.id)
        if known is None:
            await run_to_end(bucket.store.executor, _set_size, bucket, upload.id, length)
            known = _read_size(bucket, upload.id)
    return known or 0


def _read_size(bucket: BucketDirectory, upload_id: str) -> int | None:
    """What `size` says, None where it is not there. One that cannot be read is not written anew: regions follow it."""
    try:
        fd = os.open(
            uploads.path_of(upload_id) + b"/" + _SIZE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=bucket.fd
        )
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        try:
            return int(records.unpack(file.read())["size"])
        except (BrokenRecord, KeyError):
            return 0


def _set_size(bucket: BucketDirectory, upload_id: str, length: int) -> None:
    """Under the lock of the upload: make the joint file, then say where parts begin in it."""
    directory = uploads.path_of(upload_id) + b"/"
    if not _exists(bucket, directory + uploads.UPLOAD_FILE):
        return  # it has ended
    os.close(os.open(directory + DATA_FILE, _READ_WRITE | os.O_CREAT, 0o666, dir_fd=bucket.fd))
    fd = os.open(directory + _NEW_SIZE_FILE, _READ_WRITE | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=bucket.fd)
    try:
        write_all(fd, records.pack({"size": length}))
        bucket.durability.sync_file(fd)
    finally:
        os.close(fd)
    os.rename(directory + _NEW_SIZE_FILE, directory + _SIZE_FILE, src_dir_fd=bucket.fd, dst_dir_fd=bucket.fd)


def _exists(bucket: BucketDirectory, path: bytes) -> bool:
    try:
        os.stat(path, dir_fd=bucket.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
