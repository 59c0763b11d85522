"""Where the parts of an upload are written: at their places in one file, or each to a file of its own.

In place, the object is there when the last part is; but a part must not be written twice, and nothing may write behind
the completion, which takes locks that hold. Separate files are joined in the end, which costs nothing where a
filesystem lets files share blocks, and otherwise as much as writing them once more.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, get_args

from s3gate.storage.filesystem.fence import fences_work

__all__ = ["PLACEMENTS", "Placement", "PlacementName", "Trial", "shares_blocks"]

PlacementName = Literal["auto", "in-place", "separate"]
PLACEMENTS: tuple[str, ...] = get_args(PlacementName)
Trial = Callable[[], AbstractContextManager[int]]
_FICLONE = 0x40049409
_PROBE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PROBE_BYTES = 65536
# Where a lock ends with its process and never before. A server that hears nothing of a client for a while gives its
# locks to others, and the client may write once more when it wakes up.
_LOCAL = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "tmpfs", "xfs", "zfs"}
)

_log = logging.getLogger(__name__)


def shares_blocks(directory: int) -> bool:
    """Whether files of the filesystem of an open directory can share blocks (FICLONE). Raises OSError."""
    names = [f"probe-{uuid.uuid4().hex}" for _ in range(2)]
    files: list[int] = []
    try:
        files.extend(os.open(name, _PROBE, 0o600, dir_fd=directory) for name in names)
        source, target = files
        os.write(source, b"x" * _PROBE_BYTES)
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False
        return True
    finally:
        for fd in files:
            os.close(fd)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)


def _is_local(device: int) -> bool:
    """Whether no other host can reach the filesystem with this device number, by /proc/self/mountinfo."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        rows = [line.split() for line in file]
    return any(row[row.index("-") + 1] in _LOCAL for row in rows if row[2] == wanted)


class Placement:
    """What is set, and what was found out about each filesystem: it is tried once."""

    def __init__(self, setting: str) -> None:
        """`setting`: one of PLACEMENTS."""
        self.setting = setting
        self._found: dict[tuple[str, int], bool] = {}

    def in_place(self, device: int, directory: Trial) -> bool:
        """Whether new parts go to their places on a filesystem. `directory` opens one there to try it out."""
        if self.setting == "separate" or not self.can(device, directory):
            return False
        return self.setting == "in-place" or self._try("auto", device, directory, _is_better)

    def can(self, device: int, directory: Trial) -> bool:
        """Whether locks keep writers away from a file that is completed."""
        return self._try("fence", device, directory, fences_work)

    def _try(self, what: str, device: int, directory: Trial, probe: Callable[[int], bool]) -> bool:
        """What a probe says; False, until it is asked again, where it could not be made."""
        found = self._found.get((what, device))
        if found is None:
            try:
                with directory() as fd:
                    found = self._found[what, device] = probe(fd)
            except OSError as error:
                _log.warning("the parts of an upload go to separate files: %s", error)
                return False
        return found


def _is_better(directory: int) -> bool:
    return _is_local(os.fstat(directory).st_dev) and not shares_blocks(directory)
