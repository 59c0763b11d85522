"""Work in a process of its own, without the start of an interpreter: what it gives, or the status it ended with."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["FAILED", "fork", "in_child", "status_of"]

FAILED = 70  # the status of a child whose work raised

_T = TypeVar("_T")


def fork(work: Callable[[], object]) -> int:
    """Start `work` in a child; gives its process id. The child ends with 0, or with FAILED when the work raised."""
    with warnings.catch_warnings():
        # The parent may have threads; none of them holds a lock that the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    end = os._exit  # the work may put something else in its place
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)  # the time limit of the test is the parent's
        work()
    except BaseException:
        traceback.print_exc()
        end(FAILED)
    end(0)
    raise AssertionError("unreachable")


def status_of(pid: int) -> int:
    """Wait for a child; its exit status, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work: Callable[[], _T]) -> tuple[int, _T | None]:
    """Run `work` in a child to its end: the child's status and, where it came that far, what the work gave.

    Raises AssertionError with the child's traceback when the work raised.
    """
    source, target = os.pipe()

    def send() -> None:
        try:
            message: Any = (True, work())
        except BaseException:
            message = (False, traceback.format_exc(limit=-2))
        with open(target, "wb", closefd=False) as pipe:
            pickle.dump(message, pipe)

    pid = fork(send)
    os.close(target)
    with open(source, "rb") as pipe:
        data = pipe.read()
    status = status_of(pid)
    if not data:
        return status, None
    succeeded, value = pickle.loads(data)  # noqa: S301 - from our own child
    assert succeeded, f"in the child:\n{value}"
    return status, value
