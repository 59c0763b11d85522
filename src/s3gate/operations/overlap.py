"""Steps that run while their owner goes on, a few at a time, and fail it at once when one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

__all__ = ["Overlap"]


class Overlap:
    """An async context whose steps are tasks, begun in order; none of them outlives it.

    When a step fails, the body of the `async with` is interrupted wherever it waits, and the block raises what the step
    raised. At the end of the body the steps under way are waited for; when it ends in another way they are cancelled.

    Args:
        ahead: how many steps may be under way while the body goes on.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._steps: set[asyncio.Task[None]] = set()
        self._owner: asyncio.Task[Any] | None = None
        self._failure: BaseException | None = None
        self._interrupted = False

    async def __aenter__(self) -> Overlap:
        self._owner = asyncio.current_task()
        return self

    @property
    def is_idle(self) -> bool:
        """Whether no step is under way."""
        return not self._steps

    async def begin(self, step: Coroutine[Any, Any, None]) -> None:
        """Begin a step, and come back when no more than `ahead` are under way."""
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(self._ended)
        while len(self._steps) > self._ahead:
            await asyncio.wait(self._steps, return_when=asyncio.FIRST_COMPLETED)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._steps.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is None or self._failure is not None:
            return
        self._failure = failure
        if self._owner is not None:
            self._interrupted = self._owner.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        owner, self._owner = self._owner, None  # from here on there is no body to be interrupted
        if kind is not None:
            self._cancel()
        cancelled = False
        while self._steps:
            try:
                await asyncio.wait(self._steps)
            except asyncio.CancelledError:
                cancelled = True
                self._cancel()
        # As asyncio.timeout does it: a cancellation that somebody else asked for besides is not swallowed.
        if owner is not None and self._interrupted and owner.uncancel() > 0:
            cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        if self._failure is not None and (self._interrupted or kind is None):
            raise self._failure

    def _cancel(self) -> None:
        for step in self._steps:
            step.cancel()
