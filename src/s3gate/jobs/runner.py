"""Jobs that come round again for as long as the application lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

__all__ = ["Job", "running"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """`work` is done `first` seconds after the start, and `every` seconds after each time it has ended."""

    name: str
    work: Callable[[], Awaitable[object]]
    every: float
    first: float


@contextlib.asynccontextmanager
async def running(jobs: Iterable[Job]) -> AsyncIterator[None]:
    """Do the jobs while the block runs. Leaving it cancels what is under way and waits for its end."""
    tasks = [asyncio.create_task(_repeat(job), name=job.name) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _repeat(job: Job) -> None:
    """One that fails is logged, and comes round again all the same."""
    await asyncio.sleep(job.first)
    while True:
        try:
            await job.work()
        except Exception:
            _log.exception("%s failed; the next try is in %g s", job.name, job.every)
        await asyncio.sleep(job.every)
