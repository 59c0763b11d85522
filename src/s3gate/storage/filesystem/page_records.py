"""The records of a page of keys at a time: with two system calls each where nothing is out of the ordinary."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat as modes
from collections.abc import Callable, Iterator

from s3gate.core.values import ObjectRecord
from s3gate.storage.filesystem import records
from s3gate.storage.filesystem.directory_watch import is_local
from s3gate.storage.filesystem.metadata import ATTRIBUTE
from s3gate.storage.filesystem.paths import directory_of, is_ordinary
from s3gate.storage.filesystem.recent_records import RecentRecords
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = ["AttributeReader", "PageRecords"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_SYS_GETXATTRAT = 464  # the same number on every architecture (Linux 6.13)
_AT_SYMLINK_NOFOLLOW = 0x100
_SHORT = 250  # characters of a key that is certainly not too long
_BUFFER_BYTES = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_getxattrat = _libc.syscall
_getxattrat.restype = ctypes.c_long
_getxattrat.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_uint,
    ctypes.c_char_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
)
_fgetxattr = _libc.fgetxattr
_fgetxattr.restype = ctypes.c_ssize_t
_fgetxattr.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


class _XattrArgs(ctypes.Structure):
    _fields_ = (("value", ctypes.c_uint64), ("size", ctypes.c_uint32), ("flags", ctypes.c_uint32))


_ARGS_BYTES = ctypes.sizeof(_XattrArgs)


class AttributeReader:
    """Reads the attribute that holds a record, by the name of the file in its directory. For one thread."""

    by_name = True  # until the kernel is found not to know how

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
        self._address = ctypes.addressof(self._buffer)
        self._view = memoryview(self._buffer).cast("B")
        self._arguments = _XattrArgs(self._address, _BUFFER_BYTES, 0)
        self._arguments_address = ctypes.addressof(self._arguments)

    def read(self, directory: int, name: bytes) -> bytes | None:
        """The value, or None for a file that has none; OSError for anything else."""
        size = self._size(directory, name)
        if size >= 0:
            return bytes(self._view[:size])
        number = ctypes.get_errno()
        if number in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise OSError(number, os.strerror(number), name)

    def _size(self, directory: int, name: bytes) -> int:
        """The length of the value in the buffer, or -1 and errno."""
        if AttributeReader.by_name:
            size: int = _getxattrat(
                _SYS_GETXATTRAT, directory, name, _AT_SYMLINK_NOFOLLOW, ATTRIBUTE, self._arguments_address, _ARGS_BYTES
            )
            # EPERM: so some containers refuse the calls that they do not know.
            if size >= 0 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
                return size
            AttributeReader.by_name = False
        fd = os.open(name, _FILE, dir_fd=directory)
        try:
            opened: int = _fgetxattr(fd, ATTRIBUTE, self._address, _BUFFER_BYTES)
            return opened
        finally:
            os.close(fd)


class PageRecords:
    """Loads records of keys in the order of a listing. For one page, in one thread; closed with the block.

    Args:
        bucket_fd: the bucket, whose records are in attributes.
        recent: records that are in memory.
        look: gives the record of a key in the general way, None where there is none.
    """

    def __init__(self, bucket_fd: int, recent: RecentRecords, look: Callable[[str], ObjectRecord | None]) -> None:
        self._bucket_fd = bucket_fd
        self._recent = recent
        self._look = look
        self._attributes = AttributeReader()
        self._base: str | None = None
        self._fd: int | None = None
        self._is_local = False

    def __enter__(self) -> PageRecords:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def load(self, keys: list[str]) -> list[ObjectRecord | None]:
        """The record of each key, or None for one that is gone or cannot be read. The keys are in order."""
        found: list[ObjectRecord | None] = []
        recent = self._recent.find
        for base, some in _by_directory(keys):
            directory = self._open(base)
            start = len(base)
            for key in some:
                name = key[start:]
                record = None
                if name and directory is not None and is_ordinary(name) and len(key) <= _SHORT:
                    try:
                        stat = os.stat(name, dir_fd=directory, follow_symlinks=False)
                        record = recent(stat) or self._read(directory, name, stat)
                    except OSError:
                        pass  # the general way tells what is the matter
                found.append(record if record is not None else self._look(key))
        return found

    def _open(self, base: str) -> int | None:
        """The open directory that holds the keys that begin with `base` and have no further slash; None without one."""
        if base != self._base:
            self._close()
            self._base = base
            path = directory_of(base.encode())
            try:
                self._fd = open_beneath(self._bucket_fd, path, _DIRECTORY) if path else os.dup(self._bucket_fd)
            except OSError:
                return None  # the general way tells what is the matter
            self._is_local = is_local(self._fd)
        return self._fd

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._base = None

    def _read(self, directory: int, name: str, stat: os.stat_result) -> ObjectRecord | None:
        """The record of a file of another or of this gateway, when a look at its name is enough to be sure.

        Status and attribute may be of two files when one replaces the other meanwhile. A record is taken only with the
        size and time it was written for, and then all that is given of it is in the record; a file without one is
        looked at again.
        """
        if not modes.S_ISREG(stat.st_mode):
            return None
        record = None
        data = self._attributes.read(directory, name.encode())
        if data is not None:
            record = records.held(data, stat)
        elif _is_same(stat, os.stat(name, dir_fd=directory, follow_symlinks=False)):
            record = records.foreign(stat, name)
        if record is not None and self._is_local:
            self._recent.keep(stat, record, len(data or b""))
        return record


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_ctime_ns, one.st_size) == (other.st_ino, other.st_ctime_ns, other.st_size)


def _by_directory(keys: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Runs of keys that have the same directory, each with what its keys begin with."""
    if not keys:
        return
    base = _base(keys[0])
    # What stands between two keys in order begins with what both begin with.
    if _base(keys[-1]) == base and "\n".join(keys).count("/") == base.count("/") * len(keys):
        yield base, keys
        return
    for each, run in itertools.groupby(keys, _base):
        yield each, list(run)


def _base(key: str) -> str:
    return key[: key.rfind("/") + 1]
