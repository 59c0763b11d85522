"""What changed in watched directories since the last look, told by the kernel (inotify) without a look at them.

The kernel queues a change before the system call that made it returns, whichever process of this machine made it. So a
change that was acknowledged to anybody before take() is called is in what take() gives. Changes by other machines, on
filesystems that are shared, are not told: see is_local().
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading

from s3gate.storage.filesystem.syscalls import filesystem_kind

__all__ = ["DirectoryWatch", "is_local"]

_CHANGES = 0x40 | 0x80 | 0x100 | 0x200  # IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE
_ONLY_DIRECTORIES = 0x01000000
_OVERFLOW = 0x4000
_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 16
_MOST_WATCHED = 1024
_MOST_CHANGES = 50_000  # of one directory: to read it anew is no dearer

# Filesystems that only this machine changes, by the number of statfs(2).
_LOCAL = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # btrfs
        0x01021994,  # tmpfs
        0xF2F52010,  # F2FS
        0x2FC12FC1,  # ZFS
        0xCA451A4E,  # bcachefs
    }
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def is_local(fd: int) -> bool:
    """Whether the filesystem of an open file is one that no other machine can change."""
    return filesystem_kind(fd) in _LOCAL


class DirectoryWatch:
    """Watches directories, as many as the kernel allows. Thread-safe. Without inotify it watches none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fd = -1
        self._changes: dict[int, set[bytes]] = {}

    def add(self, directory: int) -> int | None:
        """Watch an open directory; gives the number for take() and remove(), None where it cannot be watched."""
        with self._lock:
            if self._fd == -1:
                self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
                self._fd = self._fd if self._fd >= 0 else -2
            if self._fd < 0 or len(self._changes) >= _MOST_WATCHED:
                return None
            path = b"/proc/self/fd/%d" % directory
            number: int = _libc.inotify_add_watch(self._fd, path, _CHANGES | _ONLY_DIRECTORIES)
            if number < 0:
                return None
            # One that is watched already gives its changes to whoever watches it now, who has not read it yet.
            self._changes[number] = set()
            return number

    def take(self, number: int) -> set[bytes] | None:
        """The names that were added, removed or replaced since the last call; None when that is not known any more."""
        with self._lock:
            self._read()
            names = self._changes.get(number)
            if names:
                self._changes[number] = set()
            return names

    def remove(self, number: int) -> None:
        """Watch a directory no longer."""
        with self._lock:
            if self._changes.pop(number, None) is not None:
                _libc.inotify_rm_watch(self._fd, number)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1
            self._changes.clear()

    def _read(self) -> None:
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return
            start = 0
            while start < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, start)
                start += _EVENT.size + length
                if mask & _OVERFLOW:
                    for lost in self._changes:
                        _libc.inotify_rm_watch(self._fd, lost)
                    self._changes.clear()
                elif mask & _IGNORED:
                    self._changes.pop(number, None)
                elif number in self._changes:
                    self._note(number, data[start - length : start].rstrip(b"\0"))

    def _note(self, number: int, name: bytes) -> None:
        names = self._changes[number]
        names.add(name)
        if len(names) > _MOST_CHANGES:
            del self._changes[number]
            _libc.inotify_rm_watch(self._fd, number)
