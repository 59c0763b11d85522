"""What a directory tree holds, to be compared with what it held before."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["snapshot", "unchanged"]



def snapshot(root: Path) -> dict[str, object]:
    """Every file beneath `root` with its content, its time and its attributes, and every directory of a user's.

    Of the gateway's own directories the files count alone: which of its processes has worked here says nothing. The
    names beside `root` count too.
    """
    found: dict[str, object] = {f"../{name}": "beside" for name in os.listdir(root.parent)}
    for directory, names, files in os.walk(root):
        for name in [*files, *names]:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                if "/.s3gate/locks/" not in f"/{relative}":
                    found[relative] = _file(path, status)
            elif not stat.S_ISDIR(status.st_mode):
                found[relative] = stat.S_IFMT(status.st_mode)
            elif ".s3gate" not in relative.split("/"):
                found[relative] = "directory"
    return found


def _file(path: str, status: os.stat_result) -> tuple[object, ...]:
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return status.st_size, status.st_mtime_ns, digest, attributes


@contextlib.contextmanager
def unchanged(root: Path, *, within: float = 0) -> Iterator[None]:
    """The block leaves the tree as it found it, at the latest `within` seconds after its end."""
    before = snapshot(root)
    yield
    deadline = time.monotonic() + within
    while (after := snapshot(root)) != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert after == before
