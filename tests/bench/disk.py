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

__all__ = ["FILESYSTEMS", "Disk", "NoDisk", "disk_at", "loop_disk"]

_IMAGE_BYTES = 40 << 30
_SPARE_INODES = 500_000
# How each is made, and what it is.
FILESYSTEMS = {
    "ext4": (
        ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"],
        "ext4 with journal, on a loop device with direct I/O",
    ),
    "xfs": (["mkfs.xfs", "-q", "-f", "-m", "reflink=1"], "XFS with reflink, on a loop device with direct I/O"),
}


class NoDisk(Exception):
    """A filesystem that is wanted cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A directory, what is to be told of its filesystem, and the loop device of it where it has one."""

    root: Path
    description: str
    device: str = ""

    def bytes_written(self) -> int:
        """What the filesystem has written to its device so far (sectors of 512 bytes, Documentation/block/stat.rst)."""
        fields = Path(f"/sys/class/block/{Path(self.device).name}/stat").read_text().split()
        return int(fields[6]) * 512

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
    if _missing("mkfs.ext4"):
        return None
    _make_image(image, _IMAGE_BYTES)
    lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    _output("mkfs.ext4", "-q", "-F", "-N", str(inodes + _SPARE_INODES), "-E", lazy, str(image))
    try:
        return _attach(image)
    except subprocess.CalledProcessError as error:
        print(f"bench: no loop device ({error.stderr.strip()}): data go to a temporary directory", file=sys.stderr)
        image.unlink()
        return None


@contextmanager
def loop_disk(filesystem: str, size: int) -> Iterator[Disk]:
    """A new filesystem of one of FILESYSTEMS, `size` bytes large, on a loop device; NoDisk where it cannot be had."""
    command, description = FILESYSTEMS[filesystem]
    reason = _missing(command[0])
    if reason:
        raise NoDisk(reason)
    with tempfile.TemporaryDirectory(prefix="s3gate-bench-") as name:
        image, root = Path(name) / "image", Path(name) / "data"
        _make_image(image, size)
        root.mkdir()
        try:
            _output(*command, str(image))
            device = _attach(image)
        except subprocess.CalledProcessError as error:
            raise NoDisk(f"no loop device with {filesystem}: {error.stderr.strip()}") from error
        try:
            _output("mount", "-o", "noatime", device, str(root))
            try:
                yield Disk(root, description, device)
            finally:
                _output("umount", str(root))
        finally:
            _output("losetup", "--detach", device)


def _missing(program: str) -> str:
    """What keeps this process from making a filesystem on a loop device, "" for nothing."""
    if os.geteuid() != 0:
        return "filesystems on loop devices can be made by root alone"
    missing = [each for each in ("losetup", program) if not shutil.which(each)]
    return f"{missing[0]} is not installed" if missing else ""


def _make_image(image: Path, size: int) -> None:
    with image.open("wb") as file:
        file.truncate(size)


def _attach(image: Path) -> str:
    return _output("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
