"""Running a coroutine up to its first wait without a task: one that never waits needs none."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

__all__ = ["Waiting", "go_on", "start"]

_T = TypeVar("_T")


class Waiting(Exception):
    """The coroutine has not ended: `future` is what it waits for."""

    def __init__(self, future: Any) -> None:
        self.future = future


def start(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run it here and now; gives its result, or raises Waiting at its first wait.

    What runs so has no current task: asyncio.timeout and the like can only be used behind a wait.
    """
    try:
        future = coroutine.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    raise Waiting(future)


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, _T], future: Any) -> Generator[Any, Any, _T]:
    while True:
        try:
            sent = yield future
        except BaseException as error:
            again: Callable[[Any], Any] = coroutine.throw
            value: Any = error
        else:
            again, value = coroutine.send, sent
        try:
            future = again(value)
        except StopIteration as end:
            result: _T = end.value
            return result


async def go_on(coroutine: Coroutine[Any, Any, _T], future: Any) -> _T:
    """The rest of a coroutine that waits for `future`: to be awaited, or to be a task."""
    return await _rest(coroutine, future)
