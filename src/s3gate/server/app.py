"""The ASGI application: S3 requests go straight to the pipeline, life cycle and probes to Starlette."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

from starlette.applications import Starlette

from s3gate.jobs.runner import Job, running
from s3gate.server import health
from s3gate.server.body import Receive, joining
from s3gate.server.gateway import Gateway
from s3gate.server.pipeline import Pipeline
from s3gate.server.render import Send

__all__ = ["App", "create_app"]

_log = logging.getLogger(__name__)

_FIRST_HASHING = 5.0
_HASH_SECONDS = 60.0  # between two rounds that look for files of other programs
_FIRST_SWEEP = 30.0  # seconds after the start: a restart after a crash has something to clear away


class App:
    """The outermost ASGI callable. `shell` is the Starlette application around the S3 surface."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pipeline = Pipeline(gateway)
        self.shell = Starlette(routes=health.routes(gateway.storage), lifespan=self._lifespan)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not health.is_probe(scope, self._gateway.addressing):
            await self._pipeline(scope, receive, send)
        else:
            # A task, because a probe sets itself a time limit, and a read may begin without one.
            await asyncio.create_task(self.shell(scope, joining(receive), send))

    def reload(self) -> None:
        """Read the credentials again at once. Safe to call from a signal handler of the event loop."""
        self._gateway.credentials.reload()

    @contextlib.asynccontextmanager
    async def _lifespan(self, _shell: Starlette) -> AsyncIterator[None]:
        storage = self._gateway.storage
        await storage.start()
        try:
            async with running(_jobs(self._gateway)):
                yield
        finally:
            await storage.stop()


def _jobs(gateway: Gateway) -> Iterator[Job]:
    """What is done beside the requests, for as long as the application lives."""

    async def sweep() -> None:
        swept = await gateway.storage.sweep()
        if swept.counts:
            _log.info("the janitor cleared away: %s", ", ".join(f"{n} x {kind}" for kind, n in swept.counts.items()))

    async def hash_files() -> None:
        hashed = await gateway.storage.hash_foreign_files()
        if hashed:
            _log.info("%d files of other programs have the MD5 of their contents as ETag now", hashed)

    yield Job(
        "looking at the credentials", gateway.credentials.refresh, gateway.refresh_seconds, gateway.refresh_seconds
    )
    if gateway.sweep_seconds:
        yield Job("the janitor", sweep, gateway.sweep_seconds, min(gateway.sweep_seconds, _FIRST_SWEEP))
    if gateway.hashes_foreign_files:
        yield Job("hashing files of other programs", hash_files, _HASH_SECONDS, _FIRST_HASHING)


def create_app(gateway: Gateway) -> App:
    """The application that serves `gateway`."""
    return App(gateway)
