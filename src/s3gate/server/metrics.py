"""Who may read /metrics, and its route."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from s3gate.server.addressing import Addressing
from s3gate.telemetry.exposition import Exposition

__all__ = ["PATHS", "MetricsAccess", "MetricsPage"]

MetricsAccess = Literal["off", "loopback", "on"]

_PATH = "/metrics"
PATHS = frozenset({_PATH.encode()})
# Headers by which a proxy says whom it asks for: what comes from there is not of this machine, whatever the address.
_FORWARDED = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"})
_SIGNED = b"aws"


class MetricsPage:
    """The page of metrics, for everybody or for programs of this machine. To all others it is not there."""

    def __init__(self, page: Exposition | None, access: MetricsAccess) -> None:
        self._page = page
        self._access = access

    def is_asked(self, scope: Mapping[str, Any], addressing: Addressing) -> bool:
        """Whether an http scope asks for the page and may: GET of exactly its path, and not at a bucket's own host.

        `metrics` may name a bucket: such a bucket is served but for this request without a signature. With a trailing
        slash, any parameter or a signature the request reaches the bucket.
        """
        if scope["raw_path"] not in PATHS or scope["method"] != "GET" or scope["query_string"] or self._page is None:
            return False
        if self._access == "off":
            return False
        headers = dict(scope["headers"])
        if headers.get(b"authorization", b"").lower().startswith(_SIGNED):
            return False
        if addressing.host_bucket(headers.get(b"host", b"").decode("latin-1")):
            return False
        return self._access == "on" or (_is_loopback(scope) and _FORWARDED.isdisjoint(headers))

    def routes(self) -> list[Route]:
        """The route of the page; none where there is no page."""
        page = self._page
        if page is None or self._access == "off":
            return []

        async def metrics(request: Request) -> Response:
            # In a thread: with many series it takes milliseconds, and requests are served meanwhile.
            body, content_type = await asyncio.to_thread(page.render, request.headers.get("accept", ""))
            return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

        return [Route(_PATH, metrics, methods=["GET"])]


def _is_loopback(scope: Mapping[str, Any]) -> bool:
    client = scope.get("client")
    if not client:
        return False
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
