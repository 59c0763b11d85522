"""Requests that came together are run one after the other, and their answers written together.

Where many connections are busy, one look of the event loop finds several requests. Run and answered each by itself,
they take a third more time: the network's part of the kernel and the application take turns in the processor's caches,
and each answer wakes a client of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, TypeVar

__all__ = ["Turns", "write_answer"]

_log = logging.getLogger(__name__)

# A request that comes so soon after another was run has come with it: that is what reading and parsing one takes.
_TOGETHER_SECONDS = 20e-6
# So many are run before what they answer is written: the first of them waits for the last.
_AT_ONCE = 16

# A body up to this size is copied behind its head; a longer one is a write of its own.
_JOINED = 16 << 10

_T = TypeVar("_T")


def write_answer(transport: asyncio.WriteTransport, head: bytes, body: bytes) -> None:
    """Write an answer that is all at hand."""
    if len(body) <= _JOINED:
        transport.write(head + body)
    else:
        transport.write(head)
        transport.write(body)


class Turns:
    """What a process runs in the turns of its event loop.

    Who comes alone is run at once and never waits; who comes right behind another waits until all that came with it
    have been read.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[Any], None], Any]] = []
        self._answers: list[tuple[asyncio.WriteTransport, bytes, bytes]] | None = None
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

    def write(self, transport: asyncio.WriteTransport, head: bytes, body: bytes) -> None:
        """Write an answer, or have it written when those of the requests that came with it are there as well."""
        if self._answers is None:
            write_answer(transport, head, body)
        else:
            self._answers.append((transport, head, body))

    def flush(self) -> None:
        """Write every answer that waits. For who has more to say to a connection than an answer."""
        if not self._answers:
            return
        answers, self._answers = self._answers, []
        for transport, head, body in answers:
            try:
                write_answer(transport, head, body)
            except RuntimeError as error:  # closed meanwhile
                _log.debug("an answer has nobody to go to: %s", error)

    def _run_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for begin in range(0, len(waiting), _AT_ONCE):
            self._answers = []
            for work, what in waiting[begin : begin + _AT_ONCE]:
                work(what)
            self.flush()
        self._answers = None
        self._ended = perf_counter()
