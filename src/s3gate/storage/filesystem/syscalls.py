"""System calls that Python's os module lacks, and resolution of a path that cannot leave its directory."""

from __future__ import annotations

import ctypes
import errno
import os

__all__ = ["open_beneath"]

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_OPENAT2 = 437  # the same number on every architecture (Linux 5.6)
_RESOLVE = 0x02 | 0x04 | 0x08  # RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
_MAX_PATH = 4000  # a longer path is walked in pieces: PATH_MAX is 4096


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))
_hows: dict[int, _OpenHow] = {}
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _openat2(directory: int, path: bytes, flags: int) -> int:
    how = _hows.get(flags)
    if how is None:
        how = _hows[flags] = _OpenHow(flags, 0, _RESOLVE)
    fd: int = _syscall(
        ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(directory), ctypes.c_char_p(path), ctypes.byref(how), _HOW_SIZE
    )
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


def _has_openat2() -> bool:
    root = os.open("/", os.O_PATH)
    try:
        os.close(_openat2(root, b".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


_resolve = _openat2 if _has_openat2() else _walk


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Open `path` relative to `directory` without ever leaving it: no link is followed, `..` does not climb out.

    Raises OSError; ELOOP where the path leads through or to a symbolic link.
    """
    if b"/" not in path:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    if len(path) <= _MAX_PATH:
        return _resolve(directory, path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    cut = path.rindex(b"/", 0, _MAX_PATH)
    step = _resolve(directory, path[:cut], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_beneath(step, path[cut + 1 :], flags)
    finally:
        os.close(step)
