"""The ASGI application: S3 requests go straight to the pipeline, life cycle and probes to Starlette."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any

from starlette.applications import Starlette

from s3gate.jobs.runner import Job, running
from s3gate.server import health, metrics
from s3gate.server.body import Receive, joining
from s3gate.server.connections import CONNECTIONS
from s3gate.server.gateway import Gateway
from s3gate.server.metrics import MetricsPage
from s3gate.server.pipeline import Pipeline
from s3gate.server.render import Send
from s3gate.settings import Settings

__all__ = ["App", "create_app"]

_log = logging.getLogger(__name__)

_OWN_PATHS = health.PATHS | metrics.PATHS
_FIRST_HASHING = 5.0
_HASH_SECONDS = 60.0  # between two rounds that look for files of other programs
_FIRST_SCAN = 10.0
_FIRST_SWEEP = 30.0  # seconds after the start: a restart after a crash has something to clear away


class App:
    """The outermost ASGI callable. `shell` is the Starlette application around the S3 surface."""

    def __init__(self, gateway: Gateway, remake: Callable[[Gateway, Settings], Gateway]) -> None:
        self._gateway = gateway
        self._remake = remake
        self._pipeline = Pipeline(gateway)
        self._metrics = MetricsPage(gateway.telemetry.page, gateway.metrics_access)
        self.shell = Starlette(
            routes=[*health.routes(gateway.storage), *self._metrics.routes()], lifespan=self._lifespan
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (scope["raw_path"] in _OWN_PATHS and self._is_ours(scope)):
            await self._pipeline(scope, receive, send)
        else:
            # A task, because a probe sets itself a time limit, and a read may begin without one.
            await asyncio.create_task(self.shell(scope, joining(receive), send))

    def _is_ours(self, scope: MutableMapping[str, Any]) -> bool:
        """Whether a request asks for the gateway itself and not for S3."""
        addressing = self._gateway.addressing
        return health.is_probe(scope, addressing) or self._metrics.is_asked(scope, addressing)

    def reload(self, settings: Settings) -> None:
        """Go on with these settings, read the credentials and open the logs again.

        Requests that have begun keep what they began with. Safe to call from a signal handler of the event loop.
        """
        self._gateway = self._remake(self._gateway, settings)
        self._pipeline.go_on_with(self._gateway)
        self._gateway.credentials.reload(settings.fixed_credentials)
        self._gateway.telemetry.reopen()

    @contextlib.asynccontextmanager
    async def _lifespan(self, _shell: Starlette) -> AsyncIterator[dict[str, Any]]:
        storage, telemetry = self._gateway.storage, self._gateway.telemetry
        await telemetry.start()
        try:
            await storage.start()
            try:
                async with running(_jobs(self._gateway)):
                    yield {} if telemetry.counters is None else {CONNECTIONS: telemetry.counters}
            finally:
                await storage.stop()
        finally:
            await telemetry.stop()


def _jobs(gateway: Gateway) -> Iterator[Job]:
    """What is done beside the requests, for as long as the application lives."""

    async def sweep() -> None:
        swept = await gateway.storage.sweep()
        if swept.counts:
            _log.info("the janitor cleared away: %s", ", ".join(f"{n} x {kind}" for kind, n in swept.counts.items()))

    async def scan() -> None:
        if await gateway.storage.scan_usage(gateway.scan_seconds):
            _log.debug("the buckets have been looked through for what they hold")

    async def hash_files() -> None:
        hashed = await gateway.storage.hash_foreign_files()
        if hashed:
            _log.info("%d files of other programs have the MD5 of their contents as ETag now", hashed)

    yield Job(
        "looking at the credentials", gateway.credentials.refresh, gateway.refresh_seconds, gateway.refresh_seconds
    )
    if gateway.sweep_seconds:
        yield Job("the janitor", sweep, gateway.sweep_seconds, min(gateway.sweep_seconds, _FIRST_SWEEP))
    if gateway.scan_seconds:
        yield Job("measuring the buckets", scan, gateway.scan_seconds, min(gateway.scan_seconds, _FIRST_SCAN))
    if gateway.hashes_foreign_files:
        yield Job("hashing files of other programs", hash_files, _HASH_SECONDS, _FIRST_HASHING)


def create_app(gateway: Gateway, remake: Callable[[Gateway, Settings], Gateway] = lambda gateway, _: gateway) -> App:
    """The application that serves `gateway`, and what `remake` makes of it when the settings have changed."""
    return App(gateway, remake)
