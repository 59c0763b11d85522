"""Standard input, output and errors that are there, whatever the program was started with."""

from __future__ import annotations

import os
import sys

__all__ = ["fill_in"]

_DESCRIPTORS = (0, 1, 2)


def fill_in() -> None:
    """Lead those that the caller has closed nowhere.

    Else the next files and sockets get their numbers, what is printed goes into them, and libuv refuses to close them.
    To be called before anything is opened. A program that is run from here finds them closed as they were.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
