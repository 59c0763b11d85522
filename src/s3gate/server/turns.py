"""Requests that came together are run one after the other, and their answers written together.

Where many connections are busy, one look of the event loop finds several requests. Run and answered each by itself,
they take a third more time: the network's part of the kernel and the application take turns in the processor's caches,
and each answer wakes a client of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from s3gate.core.checksums import Buffer

__all__ = ["Turns", "write"]

_log = logging.getLogger(__name__)

# A request that comes so soon after another was run has come with it: that is what reading and parsing one takes.
_TOGETHER_SECONDS = 20e-6
# So many are run before what they answer is written: the first of them waits for the last.
_AT_ONCE = 16

_T = TypeVar("_T")


def write(transport: asyncio.WriteTransport, pieces: Sequence[Buffer]) -> None:
    """Write an answer.

    Not by writelines(), which asyncio has had without flow control and without a look at whether the connection is lost
    (https://github.com/python/cpython/issues/127655 and /136234).
    """
    for piece in pieces:
        transport.write(piece)


class Turns:
    """What a process runs in the turns of its event loop.

    Who comes alone is run at once and never waits; who comes right behind another waits until all that came with it
    have been read.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[Any], None], Any]] = []
        self._answers: list[tuple[asyncio.WriteTransport, Sequence[Buffer]]] | None = None
        self._ended = 0.0

    def run(self, loop: asyncio.AbstractEventLoop, work: Callable[[_T], None], what: _T) -> None:
        """Do `work(what)`, which raises nothing: now, or later in this turn."""
        if self._waiting:
            self._waiting.append((work, what))
        elif perf_counter() - self._ended < _TOGETHER_SECONDS:
            self._waiting.append((work, what))
            loop.call_soon(self._run_all)
        else:
            work(what)
            self._ended = perf_counter()

    def write(self, transport: asyncio.WriteTransport, pieces: Sequence[Buffer]) -> None:
        """Write an answer, or have it written when those of the requests that came with it are there as well."""
        if self._answers is None:
            write(transport, pieces)
        else:
            self._answers.append((transport, pieces))

    def flush(self) -> None:
        """Write every answer that waits. For who has more to say to a connection than an answer."""
        if not self._answers:
            return
        answers, self._answers = self._answers, []
        for transport, pieces in answers:
            try:
                write(transport, pieces)
            except Exception:  # of one connection, and the others have no part in it
                if not transport.is_closing():
                    _log.exception("an answer could not be written")

    def _run_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            for begin in range(0, len(waiting), _AT_ONCE):
                self._answers = []
                for work, what in waiting[begin : begin + _AT_ONCE]:
                    try:
                        work(what)
                    except Exception:  # of one connection, and the others have no part in it
                        _log.exception("a request could not be run to its end")
                self.flush()
        finally:
            self._answers = None
            self._ended = perf_counter()
