"""What a directory is mounted from, and how: by /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Mount", "mount_at"]

_INFO = "/proc/self/mountinfo"


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted filesystem; `options` are those of the mount and of the filesystem, with commas."""

    kind: str
    source: str
    point: str
    options: str

    def __str__(self) -> str:
        return f"{self.kind} on {self.source}, mounted at {self.point} ({self.options})"

    @property
    def remembers_names(self) -> bool:
        """Whether this machine may go on with names and attributes that another machine has changed.

        nfs(5): `lookupcache=none` has every name looked up at the server, `noac` and `actimeo=0` (which is shown as
        its four parts) every attribute.
        """
        if not self.kind.startswith("nfs"):
            return False
        given = set(self.options.split(","))
        fresh = "noac" in given or {"acregmin=0", "acregmax=0", "acdirmin=0", "acdirmax=0"} <= given
        return not (fresh and "lookupcache=none" in given)


def mount_at(directory: str, info: str = _INFO) -> Mount | None:
    """The mount that a directory is on, None where it is not told. Raises OSError."""
    number = os.stat(directory).st_dev
    wanted = f"{os.major(number)}:{os.minor(number)}"
    with open(info, encoding="utf-8", errors="replace") as file:
        rows = [line.split() for line in file]
    real = os.path.realpath(directory)
    mounts = [row for row in rows if row[2] == wanted]
    mounts = [row for row in mounts if f"{real}/".startswith(row[4].rstrip("/") + "/")] or mounts
    if not mounts:
        return None
    row = max(mounts, key=lambda each: len(each[4]))
    kind, source, *more = row[row.index("-") + 1 :]
    return Mount(kind, source, row[4], ",".join([row[5], *more]))
