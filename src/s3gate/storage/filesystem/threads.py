"""Blocking work off the event loop, and when its end is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

__all__ = ["close_file", "close_read_file", "run_to_end"]

_T = TypeVar("_T")

# The kernel frees some gigabytes in a second: a file as long as this takes a few milliseconds.
_LONG_CLOSE_BYTES = 16 << 20


async def run_to_end(executor: Executor, work: Callable[..., _T], *arguments: object) -> _T:
    """Run `work` in a thread and wait for its end, also when this task is cancelled (which it then is).

    For work that uses descriptors of the caller: they must not be closed, and their numbers not be given to other
    files, before the thread is done with them. With one future of the loop; run_in_executor and shield make three.
    """
    job = executor.submit(work, *arguments)
    try:
        await _end_of(job)
        if job.cancelled():  # the executor ends without it
            raise asyncio.CancelledError
        return job.result()
    except asyncio.CancelledError:
        while not job.done():
            with contextlib.suppress(asyncio.CancelledError):
                await _end_of(job)
        raise
    finally:
        del job  # an error of the work would hold itself by this frame


def _end_of(job: Future[_T]) -> asyncio.Future[None]:
    """A future of the loop that ends when the job does, whose result or error stays its own."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    job.add_done_callback(lambda _: _tell(loop, ended))
    return ended


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_end, ended)


def _end(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def close_file(executor: Executor, fd: int, size: int) -> None:
    """Close a file of `size` bytes that may have lost its name: with its last descriptor its blocks are freed.

    Where that may take long a thread does it, and nobody waits.
    """
    if size >= _LONG_CLOSE_BYTES:
        try:
            executor.submit(os.close, fd)
        except RuntimeError:
            pass  # the executor has ended, and with it whoever could be held up
        else:
            return
    os.close(fd)


def close_read_file(executor: Executor, fd: int, size: int) -> None:
    """Close a file of `size` bytes that was only read.

    While it has a name nothing of it is freed: two threads in turns would cost many times what the kernel takes.
    """
    if size >= _LONG_CLOSE_BYTES and _has_name(fd):
        os.close(fd)
    else:
        close_file(executor, fd, size)


def _has_name(fd: int) -> bool:
    """Whether an open file surely has a name; of one that a file server has forgotten nothing is sure."""
    try:
        return os.fstat(fd).st_nlink > 0
    except OSError:
        return False
