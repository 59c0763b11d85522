"""Asking a gateway whether it serves."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.parse

__all__ = ["probe_fault"]

_PATIENCE_SECONDS = 10.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE_SECONDS)
        self.sock.connect(self._path)


def probe_fault(url: str) -> str | None:
    """Why the gateway at `url` (http://, https:// or unix:/PATH) does not serve, or None when it does.

    It asks GET /healthz. Who it is that answers, over HTTPS, is not verified: nothing is told but that it is asked.
    """
    connection = _connection(url)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"it answers {status}"


def _connection(url: str) -> http.client.HTTPConnection:
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:"))  # a path, in which "?" and "#" mean nothing
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=_PATIENCE_SECONDS, context=context)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE_SECONDS)
