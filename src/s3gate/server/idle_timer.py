"""Closing a connection that stays idle, without a timer for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["IdleTimer"]


class IdleTimer:
    """Calls `close` when `seconds` have passed since `begin` and there was no `end`.

    One timer of the loop is at work at most, and is left to run when the connection is busy: to make and to cancel one
    for each request costs more than the look at the clock does.
    """

    __slots__ = ("_close", "_handle", "_loop", "_seconds", "_since")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self._since: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The connection is idle from now on."""
        self._since = self._loop.time()
        if self._handle is None:
            self._handle = self._loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Something has come."""
        self._since = None

    def stop(self) -> None:
        """The connection is gone."""
        self._since = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._since is None:
            return  # busy: the next idleness brings its own timer
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._close()
