"""Where the record of a file is kept: in one extended attribute of it, or beside it where the filesystem has none."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from s3gate.core.names import new_upload_id
from s3gate.core.values import ObjectRecord
from s3gate.durable import write_all
from s3gate.storage.filesystem import records
from s3gate.storage.filesystem.durability import Durability
from s3gate.storage.filesystem.records import Binding, BrokenRecord, Stored

__all__ = ["ATTRIBUTE", "INLINE_BYTES", "MetadataStore", "SidecarMetadata", "XattrMetadata"]

ATTRIBUTE = b"user.s3gate"
# ext4 with 4 KiB blocks holds 4,040 bytes for all attributes of a file together, ACLs and labels among them.
INLINE_BYTES = 3000

_log = logging.getLogger(__name__)


def _always() -> None:
    """Nothing stands against it."""


class MetadataStore(Protocol):
    """Keeps the records of a bucket's files. `fd` is the open file; `key` its key as bytes. All methods block."""

    def read(self, fd: int, stat: os.stat_result, key: bytes) -> ObjectRecord:
        """The record that holds for this file now; a made-up one for a file of another program.

        Raises FileNotFoundError where the file has lost its name and its record meanwhile.
        """

    def read_with_garbage(self, fd: int, stat: os.stat_result, key: bytes) -> tuple[ObjectRecord, list[bytes]]:
        """The same, and `garbage`, by one look; for a holder of the key's lock."""

    def examine(self, fd: int, stat: os.stat_result, key: bytes) -> Stored | None:
        """What is kept for this file as it was written, whether or not it still holds; None where there is nothing.

        Raises BrokenRecord where it cannot be read, FileNotFoundError where the file that holds it is missing.
        """

    def attach(self, fd: int, key: bytes, record: ObjectRecord) -> None:
        """Keep the record with a staged file, before it is synced and before the key is locked."""

    def detach(self, fd: int) -> None:
        """Take back what `attach` did: the staged file is given up, or gets another record."""

    def settle(self, fd: int, key: bytes, record: ObjectRecord) -> None:
        """Under the lock of the key, last before the commit: make the record findable for the staged file."""

    def unsettle(self, fd: int, key: bytes) -> None:
        """Take back what `settle` did, under the same hold of the lock: there was no rename."""

    def rewrite(
        self, fd: int, stat: os.stat_result, key: bytes, record: ObjectRecord, ready: Callable[[], None] = _always
    ) -> None:
        """Replace the record of a file that stays, atomically. `ready` is called right before that, and may raise."""

    def garbage(self, fd: int, stat: os.stat_result, key: bytes) -> list[bytes]:
        """Paths below the bucket that hold nothing once this file is gone or has another record."""


def _write_new(directory: int, path: bytes, data: bytes, durability: Durability) -> None:
    """Create a file below the control directory whole and synced; its directory is made when missing."""
    parent = path.rpartition(b"/")[0]
    is_new = False
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(parent, 0o700, dir_fd=directory)
        is_new = True
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        write_all(fd, data)
        durability.sync_file(fd)
    except BaseException:
        _remove(directory, path)
        raise
    finally:
        os.close(fd)
    if durability.files:
        _sync_directory(directory, parent)
        if is_new:
            _sync_directory(directory, parent.rpartition(b"/")[0])


def _sync_directory(directory: int, path: bytes) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(directory: int, path: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=directory)


def _move_time(fd: int, stat: os.stat_result) -> os.stat_result:
    """Give a file the next modification time its filesystem can tell from the one it has."""
    for step in (1, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000):
        os.utime(fd, ns=(stat.st_atime_ns, stat.st_mtime_ns + step))
        moved = os.fstat(fd)
        if moved.st_mtime_ns != stat.st_mtime_ns:
            return moved
    raise OSError(errno.EIO, "the filesystem does not keep modification times")


def _read_whole(directory: int, path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with open(fd, "rb") as file:
        return file.read()


class XattrMetadata:
    """One attribute `user.s3gate`; a record too large for it goes to a file of its own that the attribute names."""

    def __init__(
        self, bucket_fd: int, control: bytes, durability: Durability, *, inline_bytes: int = INLINE_BYTES
    ) -> None:
        self._bucket_fd = bucket_fd
        self._spills = control + b"/x"
        self._durability = durability
        self._inline_bytes = inline_bytes

    def _stored(self, fd: int) -> Stored | None:
        try:
            return records.decode(os.getxattr(fd, ATTRIBUTE))
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return None
            raise
        except BrokenRecord as error:
            _log.warning("unreadable record, the file is served as one of another program: %s", error)
            return None

    def read(self, fd: int, stat: os.stat_result, key: bytes) -> ObjectRecord:
        try:
            data = os.getxattr(fd, ATTRIBUTE)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return records.foreign(stat, key.decode())
            raise
        return records.held(data, stat) or self.read_with_garbage(fd, stat, key)[0]

    def read_with_garbage(self, fd: int, stat: os.stat_result, key: bytes) -> tuple[ObjectRecord, list[bytes]]:
        try:
            record = records.held(os.getxattr(fd, ATTRIBUTE), stat)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return records.foreign(stat, key.decode()), []
            raise
        return self._look_closer(fd, stat, key) if record is None else (record, [])

    def _look_closer(self, fd: int, stat: os.stat_result, key: bytes) -> tuple[ObjectRecord, list[bytes]]:
        """The same for a record that does not stand whole in the attribute, no longer holds, or cannot be read."""
        stored = self._stored(fd)
        while stored is not None:
            try:
                record = stored.record or self._spilled(stored.spill)
                return records.resolve(record, stored.binding, stat), self._garbage_of(stored)
            except BrokenRecord as error:
                _log.warning("unreadable large record, the file is served as one of another program: %s", error)
                break
            except FileNotFoundError:
                named, stored = stored, self._stored(fd)
                if stored != named:
                    continue  # the record was replaced meanwhile
                if os.fstat(fd).st_nlink == 0:
                    raise
                _log.warning("large record %s is missing, the file is served as one of another program", named.spill)
                break
        return records.foreign(stat, key.decode()), self._garbage_of(stored)

    def _spilled(self, spill: str) -> ObjectRecord:
        record = records.decode(_read_whole(self._bucket_fd, self._spill_path(spill))).record
        if record is None:
            raise BrokenRecord(f"the record {spill} names another")
        return record

    def examine(self, fd: int, stat: os.stat_result, key: bytes) -> Stored | None:
        try:
            stored = records.decode(os.getxattr(fd, ATTRIBUTE))
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return None
            raise
        return replace(stored, record=stored.record or self._spilled(stored.spill))

    def attach(self, fd: int, key: bytes, record: ObjectRecord) -> None:
        stat = os.fstat(fd)
        self._set(fd, key, Binding(stat.st_size, stat.st_mtime_ns), record)

    def detach(self, fd: int) -> None:
        """The attribute goes with the staged file, the file of a large record does not."""
        stored = self._stored(fd)
        if stored is not None and stored.spill:
            _remove(self._bucket_fd, self._spill_path(stored.spill))

    def settle(self, fd: int, key: bytes, record: ObjectRecord) -> None:
        """The attribute is on the staged file already."""

    def unsettle(self, fd: int, key: bytes) -> None:
        """The attribute stays on the staged file."""

    def rewrite(
        self, fd: int, stat: os.stat_result, key: bytes, record: ObjectRecord, ready: Callable[[], None] = _always
    ) -> None:
        old = self.garbage(fd, stat, key)
        self._set(fd, key, Binding.of(stat), record, ready)
        self._durability.sync_file(fd)
        for path in old:
            _remove(self._bucket_fd, path)

    def garbage(self, fd: int, stat: os.stat_result, key: bytes) -> list[bytes]:
        return self._garbage_of(self._stored(fd))

    def _garbage_of(self, stored: Stored | None) -> list[bytes]:
        return [self._spill_path(stored.spill)] if stored is not None and stored.spill else []

    def _set(
        self, fd: int, key: bytes, binding: Binding, record: ObjectRecord, ready: Callable[[], None] | None = None
    ) -> None:
        data = records.encode(record, binding)
        if len(data) <= self._inline_bytes:
            if ready is not None:
                ready()
            os.setxattr(fd, ATTRIBUTE, data)
            return
        spill = new_upload_id()
        path = self._spill_path(spill)
        _write_new(self._bucket_fd, path, records.encode(record, binding, key=key), self._durability)
        try:
            if ready is not None:
                ready()
            os.setxattr(fd, ATTRIBUTE, records.encode_spilled(spill, binding))
        except BaseException:
            _remove(self._bucket_fd, path)
            raise

    def _spill_path(self, spill: str) -> bytes:
        name = spill.encode()
        return self._spills + b"/" + name[-2:] + b"/" + name


class SidecarMetadata:
    """A file for each record whose name holds the binding, so that contents and record need no common rename.

    A reader opens the contents, looks at their size and time, and opens the sidecar of exactly those: it finds the
    record that belongs to what it has open, or none. The name is a hash of the key, because a key's own name and the
    binding do not fit into 255 bytes together; the key stands in the record.
    """

    def __init__(self, bucket_fd: int, control: bytes, durability: Durability) -> None:
        self._bucket_fd = bucket_fd
        self._directory = control + b"/meta"
        self._durability = durability

    def read(self, fd: int, stat: os.stat_result, key: bytes) -> ObjectRecord:
        try:
            stored = records.decode(_read_whole(self._bucket_fd, self._path(key, Binding.of(stat))))
        except FileNotFoundError:
            if os.fstat(fd).st_nlink == 0:
                raise  # replaced since it was opened, and its record is gone
            return records.foreign(stat, key.decode())
        except BrokenRecord as error:
            _log.warning("unreadable sidecar, the file is served as one of another program: %s", error)
            return records.foreign(stat, key.decode())
        if stored.record is None:
            return records.foreign(stat, key.decode())
        return records.resolve(stored.record, stored.binding, stat)

    def read_with_garbage(self, fd: int, stat: os.stat_result, key: bytes) -> tuple[ObjectRecord, list[bytes]]:
        return self.read(fd, stat, key), self.garbage(fd, stat, key)

    def examine(self, fd: int, stat: os.stat_result, key: bytes) -> Stored | None:
        try:
            return records.decode(_read_whole(self._bucket_fd, self._path(key, Binding.of(stat))))
        except FileNotFoundError:
            return None

    def attach(self, fd: int, key: bytes, record: ObjectRecord) -> None:
        """The sidecar is written under the lock: only there is it known which times are taken."""

    def detach(self, fd: int) -> None:
        """Nothing was written yet."""

    def settle(self, fd: int, key: bytes, record: ObjectRecord) -> None:
        """No two versions of a key share a binding: the file's time moves on until its sidecar is the only one."""
        stat = os.fstat(fd)
        while True:
            binding = Binding.of(stat)
            try:
                data = records.encode(record, binding, key=key)
                _write_new(self._bucket_fd, self._path(key, binding), data, self._durability)
                break
            except FileExistsError:
                stat = _move_time(fd, stat)
        self._durability.sync_file(fd)

    def unsettle(self, fd: int, key: bytes) -> None:
        _remove(self._bucket_fd, self._path(key, Binding.of(os.fstat(fd))))

    def rewrite(
        self, fd: int, stat: os.stat_result, key: bytes, record: ObjectRecord, ready: Callable[[], None] = _always
    ) -> None:
        binding = Binding.of(stat)
        path = self._path(key, binding)
        temporary = path + b".new"
        _remove(self._bucket_fd, temporary)
        _write_new(self._bucket_fd, temporary, records.encode(record, binding, key=key), self._durability)
        try:
            ready()
            os.rename(temporary, path, src_dir_fd=self._bucket_fd, dst_dir_fd=self._bucket_fd)
        except BaseException:
            _remove(self._bucket_fd, temporary)
            raise
        if self._durability.directories:
            _sync_directory(self._bucket_fd, path.rpartition(b"/")[0])

    def garbage(self, fd: int, stat: os.stat_result, key: bytes) -> list[bytes]:
        return [self._path(key, Binding.of(stat))]

    def _path(self, key: bytes, binding: Binding) -> bytes:
        name = hashlib.blake2b(key, digest_size=20).hexdigest()
        return b"%s/%s/%s~%x-%x" % (
            self._directory,
            name[:2].encode(),
            name.encode(),
            binding.mtime_ns,
            binding.size,
        )
