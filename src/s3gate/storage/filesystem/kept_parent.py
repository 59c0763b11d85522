"""The directory of the last key, kept open for those that follow: of many keys most share it."""

from __future__ import annotations

import os

from s3gate.storage.filesystem import tree
from s3gate.storage.filesystem.paths import Place
from s3gate.storage.filesystem.tree import Directory

__all__ = ["KeptParent"]


class KeptParent:
    """For one bucket. What it gives out stays open until the next call of a method.

    A directory may be moved or removed meanwhile: who does not find a key in it `forget()`s it and looks again, and
    nobody keeps one for more than an instant.
    """

    def __init__(self) -> None:
        self._path = b""
        self._fd = -1
        self.is_fresh = True  # whether the last one given out was opened for that

    def look_parent(self, bucket_fd: int, where: Place) -> Directory | None:
        """As tree.look_parent()."""
        self.is_fresh = self._fd < 0 or self._path != where.parent
        if self.is_fresh:
            self.forget()
            opened = tree.look_parent(bucket_fd, where)
            if opened is None or not opened.owned:
                return opened
            self._path, self._fd = where.parent, opened.fd
        return Directory(self._fd, owned=False)

    def forget(self) -> None:
        """Close it."""
        self.is_fresh = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
