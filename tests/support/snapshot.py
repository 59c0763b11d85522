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
            try:
                entry = _entry(path, relative)
            except FileNotFoundError:
                entry = "on its way out"
            if entry is not None:
                found[relative] = entry
    return found


def _entry(path: str, relative: str) -> object:
    """What there is to say of a path, None for what does not count."""
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return None if ".s3gate" in relative.split("/") else "directory"
    if not stat.S_ISREG(status.st_mode):
        return stat.S_IFMT(status.st_mode)
    is_lock = "/.s3gate/locks/" in f"/{relative}" or ("/.s3gate/tmp/" in f"/{relative}" and path.endswith("/alive"))
    return None if is_lock else _file(path, status)


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
