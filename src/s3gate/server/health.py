"""Whether the gateway serves and whether its store answers, for whatever keeps it running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from s3gate.core.errors import S3Error
from s3gate.server.addressing import Addressing
from s3gate.storage.backend import Backend

__all__ = ["PATHS", "is_probe", "routes"]

_log = logging.getLogger(__name__)
_LIVE = ("/healthz", "/minio/health/live")
_READY = ("/readyz", "/minio/health/ready")
PATHS = frozenset(path.encode() for path in _LIVE + _READY)
_PATIENCE_SECONDS = 5.0


def is_probe(scope: Mapping[str, Any], addressing: Addressing) -> bool:
    """Whether an http scope is a probe: GET or HEAD of exactly one of the paths, and not at a bucket's own host.

    `healthz` and `readyz` may name buckets: such a bucket is served but for these two requests, which would list it or
    ask for it; with a trailing slash they reach the bucket.
    """
    if scope["raw_path"] not in PATHS or scope["method"] not in ("GET", "HEAD") or scope["query_string"]:
        return False
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return not addressing.host_bucket(host.decode("latin-1"))


def routes(storage: Backend) -> list[Route]:
    """The routes of the probes: live answers 200 while the process serves, ready 200 when the store answers, or 503."""

    async def live(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        fault = await _store_fault(storage)
        return PlainTextResponse("ok\n") if fault is None else PlainTextResponse(f"{fault}\n", status_code=503)

    handlers: list[tuple[tuple[str, ...], Callable[[Request], Awaitable[Response]]]] = [(_LIVE, live), (_READY, ready)]
    return [Route(path, handler) for paths, handler in handlers for path in paths]


async def _store_fault(storage: Backend) -> str | None:
    """Why the store does not answer, in words that tell nothing internal, or None when it does."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await storage.list_buckets()
    except S3Error as error:
        return error.code
    except TimeoutError:
        return "the store does not answer in time"
    except Exception:
        _log.exception("the store cannot be asked")
        return "the store cannot be asked"
    return None
