"""System calls that Python's os module lacks, and resolution of a path that cannot leave its directory."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

__all__ = [
    "begin_writeback",
    "exchange",
    "filesystem_kind",
    "free_range",
    "has_openat2",
    "open_beneath",
    "open_through_links",
    "reserve_range",
    "sync_filesystem",
]

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_OPENAT2 = ctypes.c_long(437)  # the same number on every architecture (Linux 5.6)
_THROUGH_LINKS = 0x02 | 0x08  # RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH
_RESOLVE = _THROUGH_LINKS | 0x04  # RESOLVE_NO_SYMLINKS
_HERE_ALONE = os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_PATH = 4000  # a longer path is walked in pieces: PATH_MAX is 4096


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))
_hows: dict[tuple[int, int], Any] = {}  # references to an _OpenHow, as they are passed
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_PUNCH_HOLE = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_KEEP_SIZE = 0x01  # FALLOC_FL_KEEP_SIZE
_fallocate = getattr(_libc, "fallocate64", _libc.fallocate)
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.fstatfs.argtypes = (ctypes.c_int, ctypes.c_void_p)

_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

_RENAME_EXCHANGE = 2
_renameat2 = getattr(_libc, "renameat2", None)  # glibc 2.28


def begin_writeback(fd: int, start: int, length: int) -> None:
    """Have the kernel begin to write bytes of a file to the medium.

    It promises nothing, and tells no error: fsync does both afterwards.
    """
    if _sync_file_range is not None:
        _sync_file_range(fd, start, length, _SYNC_FILE_RANGE_WRITE)


def exchange(source_dir: int, source: bytes, target_dir: int, target: bytes) -> None:
    """Let two names change places in one step. Raises OSError: ENOENT where one is missing, EINVAL or ENOSYS where the
    filesystem or the C library cannot do it."""
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    if _renameat2(source_dir, source, target_dir, target, _RENAME_EXCHANGE) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _openat2(directory: int, path: bytes, flags: int, resolve: int = _RESOLVE) -> int:
    how = _hows.get((flags, resolve))
    if how is None:
        how = _hows[flags, resolve] = ctypes.byref(_OpenHow(flags, 0, resolve))
    # What ctypes passes of itself, an int and bytes, needs no object of it; the number takes the place of a long.
    fd: int = _syscall(_SYS_OPENAT2, directory, path, how, _HOW_SIZE)
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return fd


def _walk(directory: int, path: bytes, flags: int) -> int:
    """The same without openat2: one component after the other, no link followed."""
    *parents, name = path.split(b"/")
    if name in (b"", b".", b"..") or any(part in (b"", b".", b"..") for part in parents):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    current = directory
    try:
        for part in parents:
            step = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            if current != directory:
                os.close(current)
            current = step
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=current)
    finally:
        if current != directory:
            os.close(current)


def has_openat2() -> bool:
    """Whether the kernel has openat2 (Linux 5.6) and lets this process call it."""
    root = os.open("/", os.O_PATH)
    try:
        os.close(_openat2(root, b".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


_resolve = _openat2 if has_openat2() else _walk


def open_through_links(directory: int, path: bytes, flags: int) -> int:
    """Open `path` relative to `directory`, following links as long as none leaves it, at no instant.

    Raises OSError; EXDEV where a link leads out or is absolute, ELOOP where links go round, ENOSYS without openat2.
    """
    return _openat2(directory, path, flags | os.O_CLOEXEC, _THROUGH_LINKS)


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Open `path` relative to `directory` without ever leaving it: no link is followed, `..` does not climb out.

    Raises OSError; ELOOP where the path leads through or to a symbolic link.
    """
    flags |= _HERE_ALONE
    if b"/" not in path:
        return os.open(path, flags, dir_fd=directory)
    if len(path) <= _MAX_PATH:
        return _resolve(directory, path, flags)
    cut = path.rindex(b"/", 0, _MAX_PATH)
    step = _resolve(directory, path[:cut], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_beneath(step, path[cut + 1 :], flags)
    finally:
        os.close(step)


def free_range(fd: int, offset: int, length: int) -> bool:
    """Give the blocks of a range back, which reads as zeros then (fallocate); False where that is not to be had."""
    done: int = _fallocate(fd, _PUNCH_HOLE, offset, length)
    return done == 0


def reserve_range(fd: int, offset: int, length: int) -> None:
    """Have the blocks of a range allocated before it is written; the file does not become longer.

    It promises nothing, and tells no error: writing does both afterwards.
    """
    _fallocate(fd, _KEEP_SIZE, offset, length)


def filesystem_kind(fd: int) -> int:
    """The number that statfs(2) has for the kind of the filesystem of an open file; 0 where it cannot be told."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.fstatfs(fd, buffer) != 0:
        return 0
    kind: int = ctypes.c_long.from_buffer(buffer).value
    return kind & 0xFFFFFFFF


def sync_filesystem(fd: int) -> None:
    """Force all of the filesystem that `fd` is in to the medium (syncfs).

    Raises OSError; from Linux 5.8 on also for what could not be written at any time since `fd` was opened.
    """
    if _libc.syncfs(ctypes.c_int(fd)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
