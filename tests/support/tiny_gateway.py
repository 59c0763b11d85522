"""A program that runs the supervisor over a tiny application: what the tests of processes start and signal.

Arguments: NAME=VALUE settings. Environment: TINY_FAULT=start makes the application fail at its start.
Paths: /pid gives the process id, /reloads the number of reloads, /wait?FILE touches FILE.seen and answers when FILE
is there.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from s3gate.cli.log import configure_logging
from s3gate.config import load_settings
from s3gate.server import sockets, supervisor
from s3gate.settings import Settings


class TinyApp:
    """Just enough of an application."""

    def __init__(self) -> None:
        self.reloads = 0

    def reload(self, settings: Settings) -> None:
        self.reloads += 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = await self._answer(scope["path"], scope["query_string"].decode())
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        if os.environ.get("TINY_FAULT") == "start":
            await send({"type": "lifespan.startup.failed", "message": "the application cannot start"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, path: str, query: str) -> bytes:
        if path == "/reloads":
            return str(self.reloads).encode()
        if path == "/wait":
            seen, gate = pathlib.Path(f"{query}.seen"), pathlib.Path(query)
            _touch(seen)
            while not _is_there(gate):  # noqa: ASYNC110  # the test that opens the gate is another process
                await asyncio.sleep(0.02)
        return str(os.getpid()).encode()


def _touch(path: pathlib.Path) -> None:
    path.touch()


def _is_there(path: pathlib.Path) -> bool:
    return path.exists()


def make_app(_settings: Settings, _worker: int) -> TinyApp:
    return TinyApp()


def main() -> int:
    settings = load_settings(dict(argument.split("=", 1) for argument in sys.argv[1:]), {}, None)
    configure_logging(settings.log_level)
    listeners = sockets.bind_all(settings.addresses, settings.worker_count)
    port = listeners[0][0].getsockname()[1]
    return supervisor.run(
        settings,
        listeners,
        make_app=make_app,
        protocol=HttpToolsProtocol,
        announce=lambda: print(f"ready {port}", flush=True),
    )


if __name__ == "__main__":
    sys.exit(main())
