"""Blocking work off the event loop that is waited for to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

__all__ = ["run_to_end"]

_T = TypeVar("_T")


async def run_to_end(executor: Executor, work: Callable[..., _T], *arguments: object) -> _T:
    """Run `work` in a thread and wait for its end, also when this task is cancelled (which it then is).

    For work that uses descriptors of the caller: they must not be closed, and their numbers not be given to other
    files, before the thread is done with them.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # taken note of: nobody is left who could be told
        raise
