"""What the tests see of a running gateway from outside: its workers, their descriptors, and waiting for a change."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["PATIENCE", "descriptors", "is_gone", "wait_for", "workers"]

# Seconds that a slow machine may take; what is waited for comes at once on an ordinary one.
PATIENCE = 30.0

_T = TypeVar("_T")


def wait_for(condition: Callable[[], _T], what: str) -> _T:
    """The first result of `condition` that is true; AssertionError with `what` when there is none in time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.02)


def workers(pid: int) -> list[int]:
    """The worker processes of the gateway whose parent process is `pid`."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def descriptors(pid: int) -> dict[str, str]:
    """The open file descriptors of a process: number to what it leads to."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[number] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def own_descriptors(top: Path) -> list[str]:
    """What this process holds open at or below `top`: a path each.

    Descriptors elsewhere are not counted: the collector closes other tests' sockets and pipes at any moment.
    """
    inside = f"{top}/"
    return [path for path in descriptors(os.getpid()).values() if f"{path}/".startswith(inside)]
