"""The output directory of a command: made beside its place, and put there whole when the command has succeeded."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable

from s3gate.core.errors import S3Error
from s3gate.durable import fsync_directory
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem.buckets import remove_tree
from s3gate.storage.filesystem.syscalls import sync_filesystem

__all__ = ["OUT", "Output", "OutputError"]

OUT = "out"  # the name of the bucket


class OutputError(Exception):
    """The output cannot be put where it is to be; the message says why and where it is."""


class Output:
    """A data directory beside `place`, whose bucket `out` becomes the directory `place`; gone when the `with` is left.

    Args:
        place: what is to be there in the end; there is nothing now, or an empty directory.

    Raises StartError, which tells the remedy.
    """

    def __init__(self, place: str) -> None:
        self.place = os.path.realpath(place)
        self._keeps = False
        parent, name = os.path.split(self.place)
        self._check(parent)
        try:
            self.data_dir = tempfile.mkdtemp(prefix=f".{name[:100]}.s3gate-", dir=parent)
            # Open from the start: the kernel tells by it of every error in writing from here on.
            self._descriptor = os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StartError(f"Cannot write to {parent}, where {place} is to appear: {error.strerror}.") from error

    def _check(self, parent: str) -> None:
        if not os.path.isdir(parent):
            raise StartError(f"There is no directory {parent} for {self.place} to appear in: make it first.")
        if os.path.ismount(self.place):
            raise StartError(
                f"{self.place} is a mount point, which nothing can take the place of: name a directory in it, "
                f"as {os.path.join(self.place, OUT)}."
            )
        try:
            names = os.listdir(self.place)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StartError(f"Cannot use {self.place} for the output: {error.strerror}.") from error
        if names:
            raise StartError(
                f"{self.place} is not empty, and the output is never mixed with what was there: "
                "empty it, or name another directory."
            )

    def publish(self, finish: Callable[[], None] = lambda: None) -> None:
        """Have `finish` do what is left to do, force what is in the bucket to the medium, and give it its place.

        That last is one step. Raises OutputError where something fails, `finish` by OSError, S3Error or StartError:
        then the place is as it was, and what is in the bucket is kept beside it.
        """
        bucket = os.path.join(self.data_dir, OUT)
        try:
            finish()
            if os.path.isdir(self.place):
                os.chmod(bucket, stat.S_IMODE(os.stat(self.place).st_mode))
            sync_filesystem(self._descriptor)
            os.rename(bucket, self.place)
            fsync_directory(os.path.dirname(self.place))
        except (OSError, S3Error, StartError) as error:
            self._keeps = os.path.isdir(bucket)
            if not self._keeps:
                raise OutputError(
                    f"The command has succeeded, but its output is gone: no {bucket} is there."
                ) from error
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OutputError(
                f"The command has succeeded, but its output cannot be put at {self.place}: {reason}. "
                f"It is kept as {bucket}: move it to where it is to be."
            ) from error

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the data directory with all that is still in it."""
        os.close(self._descriptor)
        if not self._keeps:
            parent, name = os.path.split(self.data_dir)
            try:
                descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                return  # the command has taken it away, with all that is in it
            try:
                remove_tree(descriptor, os.fsencode(name))
            finally:
                os.close(descriptor)
