"""The end of a worker, in one event loop, so that what the loop has not seen yet is certain."""

from __future__ import annotations

import asyncio
import os
import socket

import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from s3gate.server import workers
from s3gate.settings import Settings
from support.tiny_gateway import TinyApp

REQUEST = b"GET /reloads HTTP/1.1\r\nhost: x\r\n\r\n"


def read_until(client: socket.socket, end: bytes | None) -> bytes:
    """What the server sends: until it ends with `end`, or until the server closes the connection."""
    data = b""
    while end is None or not data.endswith(end):
        piece = client.recv(4096)
        if not piece:
            assert end is None
            break
        data += piece
    return data


def test_stopping_answers_what_was_sent_on_connections_not_accepted_and_on_idle_ones():
    lifeline = os.pipe()
    listener = socket.create_server(("127.0.0.1", 0))

    def connect() -> socket.socket:
        client = socket.create_connection(listener.getsockname(), timeout=30)
        client.sendall(REQUEST)
        return client

    async def scenario() -> list[bytes]:
        app = TinyApp()
        config = uvicorn.Config(app, http=HttpToolsProtocol, ws="none", lifespan="on", log_config=None)
        config.load()
        server = workers._Server(config, app, lifeline[0], lambda: None, Settings)
        server.lifespan = LifespanOn(config)
        await server.startup([listener])
        idle = connect()
        await asyncio.to_thread(read_until, idle, b"\r\n\r\n0")
        # From here to the shutdown nothing lets the event loop run.
        idle.sendall(REQUEST)
        clients = [idle, *(connect() for _ in range(3))]
        await server.shutdown([listener])
        answers = [read_until(client, None) for client in clients]
        for client in clients:
            client.close()
        return answers

    try:
        answers = asyncio.run(scenario())
    finally:
        listener.close()
        for descriptor in lifeline:
            os.close(descriptor)
    assert len(answers) == 4
    assert all(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n0") for answer in answers)
    assert all(b"connection: close\r\n" in answer for answer in answers)
