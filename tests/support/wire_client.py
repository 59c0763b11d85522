"""Requests to a live gateway that can be left half-way: what no S3 client does on purpose.

The gateway must be open to everybody (`--no-auth`): nothing is signed here.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass

from support.gateway import Gateway

__all__ = ["Answer", "answer_of", "ask", "begin_get", "begin_put", "connect"]

_SECONDS = 30.0
_CODE = re.compile(rb"<Code>(\w+)</Code>")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of S3's error document, or "" where the answer is none."""
        found = _CODE.search(self.body) if self.status >= 400 else None
        return found[1].decode() if found else ""

    @property
    def etag(self) -> str:
        """The ETag, quoted as it came."""
        return self.headers.get("etag", "")


def connect(gateway: Gateway) -> http.client.HTTPConnection:
    """A connection of its own; nothing waits longer than half a minute on it."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=_SECONDS)
    connection.connect()
    return connection


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    """The answer to the request that was sent last."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def ask(
    where: Gateway | http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request and its answer, on a connection that is there or on one of its own."""
    if isinstance(where, http.client.HTTPConnection):
        where.request(method, path, body, dict(headers or {}))
        return answer_of(where)
    connection = connect(where)
    try:
        return ask(connection, method, path, body, headers)
    finally:
        connection.close()


def begin_put(gateway: Gateway, path: str, size: int, sent: bytes) -> http.client.HTTPConnection:
    """A PUT of `size` bytes of which only `sent` are on their way yet; the rest goes by `send` of the connection."""
    connection = connect(gateway)
    connection.putrequest("PUT", path)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    connection.send(sent)
    return connection


def begin_get(gateway: Gateway, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A GET of which the head of the answer is read: most of a large body waits in the gateway and in the sockets."""
    connection = connect(gateway)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200
    return connection, response
