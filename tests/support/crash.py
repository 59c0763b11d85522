"""Ends this process, really, before or after the n-th of its file system calls: a crash at a place of one's choice."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s3gate.storage.filesystem import syscalls

__all__ = ["CALLS", "CRASHED", "Crash", "Point", "count_calls", "points"]

CRASHED = 77  # the status of a process that ended at its point

# Every function of os that changes a file system; open() is one where it may make a file.
CALLS = (
    "open", "write", "writev", "pwrite", "pwritev", "rename", "replace", "renames", "link", "symlink", "unlink",
    "remove", "mkdir", "rmdir", "mkfifo", "mknod", "setxattr", "removexattr", "utime", "fsync", "fdatasync",
    "copy_file_range", "sendfile", "splice", "chmod", "fchmod", "chown", "fchown", "truncate", "ftruncate",
    "posix_fallocate", "sync",
)  # fmt: skip
_SYNCS = {"fsync", "fdatasync", "sync"}


@dataclass(frozen=True)
class Point:
    """Where to end: before or after the call of this number, counted from 0."""

    number: int
    after: bool
    name: str

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} call {self.number}, {self.name}"


class Crash:
    """Counts the calls of this process from install() on; at `point` the process ends.

    A crash of a process loses nothing that the kernel has, so that forcing to the medium is counted, but not done.
    """

    def __init__(self, point: Point | None = None) -> None:
        self.names: list[str] = []
        self.failed: set[int] = set()
        self._point = point
        self._numbers = itertools.count()
        self._pid = -1

    def install(self) -> None:
        """Put counting functions in the place of those of os, in this process for good; its children do not count."""
        self._pid = os.getpid()
        for name in CALLS:
            setattr(os, name, self._counting(name, getattr(os, name)))
        syscalls.exchange = self._counting("exchange", syscalls.exchange)

    def _counting(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            if os.getpid() != self._pid or (name == "open" and not args[1] & os.O_CREAT):
                return call(*args, **kwargs)
            number = next(self._numbers)
            self.names.append(name)
            self._end_at(number, after=False)
            try:
                result = None if name in _SYNCS else call(*args, **kwargs)
            except OSError:
                self.failed.add(number)
                raise
            self._end_at(number, after=True)
            return result

        return counting

    def _end_at(self, number: int, *, after: bool) -> None:
        if self._point is not None and (self._point.number, self._point.after) == (number, after):
            os._exit(CRASHED)


def count_calls() -> Crash:
    """Count from here on, in this process, and end nowhere."""
    crash = Crash()
    crash.install()
    return crash


def points(crash: Crash) -> list[Point]:
    """Every point of a run that was counted: before each call, and after each that did not fail."""
    return [
        Point(number, after, name)
        for number, name in enumerate(crash.names)
        for after in (False, True)
        if not (after and number in crash.failed)
    ]


def distinct(every: list[Point]) -> list[Point]:
    """Those that leave different files: what is after one call is before the next, and a sync changes nothing."""
    return every[:1] + [point for point in every if point.after and point.name not in _SYNCS]
