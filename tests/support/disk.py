"""Gateways whose disk is small or not writable, and what a data directory holds beside the objects."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from support.gateway import Gateway

__all__ = ["SmallDiskGateway", "control_files", "fill", "staged"]

_MOUNT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


class SmallDiskGateway(Gateway):
    """A gateway over a tmpfs of its own that holds `size` bytes and, when not 0, `inodes` files and directories.

    The filesystem is mounted in a user and mount namespace of the process, for which no privilege is needed, and is
    gone with it. `served` is the data directory as the gateway sees it; `root` is empty outside.
    """

    def __init__(self, root: Path, *arguments: str, size: int, inodes: int = 0, **options: Any) -> None:
        super().__init__(root, *arguments, **options)
        self._mount_options = f"size={size},mode=0755" + (f",nr_inodes={inodes}" if inodes else "")

    def command(self) -> list[str]:
        self.root.mkdir(exist_ok=True)
        namespace = ["unshare", "--map-root-user", "--mount"]
        return [*namespace, "sh", "-c", _MOUNT, "sh", self._mount_options, str(self.root), *super().command()]

    @property
    def served(self) -> Path:
        """The data directory, reached through the process."""
        return Path(f"/proc/{self.pid}/root{self.root.resolve()}")


def fill(path: Path) -> None:
    """Write a file until the disk has not one byte left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    block = bytes(1 << 20)
    try:
        while block:
            try:
                os.write(descriptor, block)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                block = block[: len(block) // 2]
    finally:
        os.close(descriptor)


def staged(data: Path) -> list[str]:
    """What is staged in all buckets of a data directory: uploads under way, or their remains."""
    found = (path for path in data.glob("*/.s3gate/tmp/*/*") if path.name != "alive")
    return sorted(str(path.relative_to(data)) for path in found)


def control_files(data: Path) -> list[str]:
    """Every file that the gateway keeps beside the objects of all buckets: records, parts, stages."""
    found = (path for path in data.glob("*/.s3gate/*/**/*") if path.is_file() and path.name != "alive")
    return sorted(str(path.relative_to(data)) for path in found)
