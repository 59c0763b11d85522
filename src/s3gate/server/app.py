"""The ASGI application: S3 requests go straight to the pipeline, life cycle and probes to Starlette."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from starlette.applications import Starlette

from s3gate.server import health
from s3gate.server.body import Receive
from s3gate.server.gateway import Gateway, ReloadableCredentials
from s3gate.server.pipeline import Pipeline
from s3gate.server.render import Send

__all__ = ["App", "create_app"]

_log = logging.getLogger(__name__)


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
            await self.shell(scope, receive, send)

    def reload(self) -> None:
        """Read the credentials again at once. Safe to call from a signal handler of the event loop."""
        self._gateway.credentials.reload()

    @contextlib.asynccontextmanager
    async def _lifespan(self, _shell: Starlette) -> AsyncIterator[None]:
        storage = self._gateway.storage
        await storage.start()
        follow = asyncio.create_task(_follow(self._gateway.credentials, self._gateway.refresh_seconds))
        try:
            yield
        finally:
            follow.cancel()
            await storage.stop()


async def _follow(credentials: ReloadableCredentials, seconds: float) -> None:
    """Look at the credentials for changes, for as long as the application lives."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(credentials.refresh)
        except Exception:
            _log.exception("the credentials could not be refreshed; those in force stay so")


def create_app(gateway: Gateway) -> App:
    """The application that serves `gateway`."""
    return App(gateway)
