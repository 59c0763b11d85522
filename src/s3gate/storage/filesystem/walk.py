"""Every entry below a directory of a bucket, as it is on the disk: for those who look after it, not for listings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from s3gate.storage.filesystem.paths import CONTROL
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = ["Node", "walk"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Node:
    """An entry. `path` is below the bucket; `kind` is "file", "directory" or "other" (links, sockets, devices, FIFOs).

    A directory comes after everything in it; `bare` tells that it held nothing but directories.
    """

    path: bytes
    kind: str
    bare: bool = False

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]


def walk(bucket_fd: int, top: bytes = b"", *, failed: Callable[[bytes, OSError], None] | None = None) -> Iterator[Node]:
    """Walk the tree below `top`, without it; the control directory of the bucket is left out of a walk from the top.

    No link is followed. A directory that is gone by the time it is looked into is left out; one that cannot be read is
    given to `failed`. Holds one descriptor at a time, however deep the tree is.
    """
    pending: list[tuple[bytes, bool, bool]] = [(top, False, False)]
    while pending:
        path, seen, bare = pending.pop()
        if seen:
            yield Node(path, "directory", bare)
            continue
        below: list[bytes] = []
        bare = True
        try:
            for node in _entries(bucket_fd, path):
                if node.kind == "directory":
                    below.append(node.path)
                else:
                    bare = False
                    yield node
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if failed is not None:
                failed(path, error)
            bare = False
        if path != top:
            pending.append((path, True, bare))
        pending.extend((each, False, False) for each in sorted(below, reverse=True) if each != CONTROL)


def _entries(bucket_fd: int, path: bytes) -> Iterator[Node]:
    fd = open_beneath(bucket_fd, path, _DIRECTORY) if path else os.dup(bucket_fd)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    kind = "directory"
                else:
                    kind = "file" if entry.is_file(follow_symlinks=False) else "other"
                yield Node(path + b"/" + name if path else name, kind)
    finally:
        os.close(fd)
