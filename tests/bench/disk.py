"""Where the servers keep their data: an ext4 with a journal of its own, or a directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Disk", "disk_at"]

_IMAGE_BYTES = 40 << 30
_SPARE_INODES = 500_000


@dataclass(frozen=True, slots=True)
class Disk:
    """A directory, and what is to be told of its filesystem."""

    root: Path
    description: str

    def settle(self) -> None:
        """Write all that waits to be written, so that one round does not pay for the one before."""
        subprocess.run(["sync", "--file-system", str(self.root)], check=True)


@contextmanager
def disk_at(directory: Path | None, inodes: int) -> Iterator[Disk]:
    """A place for the data of one run, gone with it.

    With a directory: in that one. Without: on a loop-mounted ext4 made for the run where that is allowed (root), for
    ext4 without a journal makes creating files many times dearer, which hides the program; else among temporary files.
    `inodes` is how many files there will be.
    """
    with tempfile.TemporaryDirectory(prefix="s3gate-bench-", dir=directory) as name:
        place = Path(name)
        device = None if directory else _loop_device(place / "image", inodes)
        if device is None:
            kind = _output("df", "--output=fstype", name).split()[-1]
            yield Disk(place, f"{kind}, {directory or 'temporary directory'}")
            return
        root = place / "data"
        root.mkdir()
        try:
            subprocess.run(["mount", "-o", "noatime,noinit_itable", device, str(root)], check=True)
            try:
                yield Disk(root, "ext4 with journal, on a loop device with direct I/O")
            finally:
                subprocess.run(["umount", str(root)], check=True)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)


def _loop_device(image: Path, inodes: int) -> str | None:
    """A loop device with an empty ext4 in a sparse file; None where it cannot be had."""
    if os.geteuid() != 0 or not (shutil.which("losetup") and shutil.which("mkfs.ext4")):
        return None
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    _output("mkfs.ext4", "-q", "-F", "-N", str(inodes + _SPARE_INODES), "-E", lazy, str(image))
    try:
        return _output("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()
    except subprocess.CalledProcessError as error:
        print(f"bench: no loop device ({error.stderr.strip()}): data go to a temporary directory", file=sys.stderr)
        image.unlink()
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
