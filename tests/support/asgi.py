"""An application in this process: asked directly, or behind a real server on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from s3gate.auth.authenticate import AuthRules
from s3gate.core.values import Owner
from s3gate.identity.model import Credential
from s3gate.operations import unsupported
from s3gate.operations.registry import Routes
from s3gate.server.app import App, create_app
from s3gate.server.gateway import Gateway
from s3gate.server.protocol_choice import protocol_class
from s3gate.storage.memory import MemoryBackend
from support import sample_operations
from support.fast_paths import FAST

OWNER = Owner("0" * 64, "somebody")


class Credentials:
    """A fixed set of credentials that counts how often it is read again."""

    def __init__(self, credentials: Iterable[Credential] = ()) -> None:
        self.by_key = {item.access_key: item for item in credentials}
        self.refreshed = self.reloaded = 0

    def find(self, access_key: str) -> Credential | None:
        return self.by_key.get(access_key)

    async def refresh(self) -> bool:
        self.refreshed += 1
        return False

    def reload(self, extra: Sequence[Credential] | None = None) -> bool:
        self.reloaded += 1
        return True


def sample_gateway(**changes: Any) -> Gateway:
    """A gateway over a store in memory with the sample operations, open to everybody unless told otherwise."""
    values: dict[str, Any] = {
        "routes": Routes.of(sample_operations, unsupported),
        "storage": MemoryBackend(),
        "credentials": Credentials(),
        "auth_rules": AuthRules(region="us-east-1"),
        "open_access": True,
    }
    return Gateway(**(values | changes))


@dataclass
class Answer:
    """What an application answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def text(self) -> str:
        return self.body.decode()


def scope_of(method: str, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The ASGI scope of a request; `path` may have a query."""
    raw_path, _, query = path.partition("?")
    pairs = {"host": "127.0.0.1:9900", **(headers or {})}
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "http_version": "1.1",
        "path": raw_path,
        "raw_path": raw_path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs.items()],
        "client": ("192.0.2.1", 4711),
        "server": ("127.0.0.1", 9900),
    }


async def ask(
    app: Any,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: Iterable[bytes] = (),
    *,
    leaves_after: int | None = None,
) -> Answer:
    """Ask an ASGI application; with `leaves_after` the client is gone after so many pieces of the answer."""
    pieces = list(body)
    if pieces:
        headers = {"content-length": str(sum(map(len, pieces))), **(headers or {})}
    waiting = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)} for i, piece in enumerate(pieces)
    ]
    waiting = waiting or [{"type": "http.request", "body": b"", "more_body": False}]
    answer = Answer()
    gone = asyncio.Event()
    sent = 0

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal sent
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            return
        sent += 1
        if leaves_after is not None and sent > leaves_after:
            gone.set()
            await asyncio.sleep(0)
            return
        answer.body += message.get("body", b"")
        answer.complete = not message.get("more_body", False)
        await asyncio.sleep(0)

    await app(scope_of(method, path, headers), receive, send)
    return answer


def ask_once(gateway: Gateway, method: str, path: str, *args: Any, bucket: str = "bucket", **kwargs: Any) -> Answer:
    """Ask an application over `gateway`, in which the bucket `bucket` is there."""

    async def run() -> Answer:
        app = create_app(gateway)
        if bucket:
            await gateway.storage.create_bucket(bucket, OWNER, "us-east-1")
        return await ask(app, method, path, *args, **kwargs)

    return asyncio.run(run())


def served(
    app: App, *, fast: bool = FAST, protocol: type[asyncio.Protocol] | None = None
) -> contextlib.AbstractContextManager[tuple[str, int]]:
    """Serve an application on a socket of this machine while the block runs; gives host and port.

    `fast`: with the ways of the protocol for large bodies, unless another `protocol` is given.
    """
    chosen = protocol or protocol_class(zero_copy=fast, pieces=fast, whole=fast)
    return running(app, chosen, lifespan="on", server_header=False)


@contextlib.contextmanager
def running(app: Any, protocol: type[asyncio.Protocol], **options: Any) -> Iterator[tuple[str, int]]:
    """uvicorn in a thread with this protocol, and `options` of its configuration; gives host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    usual = {"loop": "uvloop", "ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, interface="asgi3", **(usual | options)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def talk(address: tuple[str, int], data: bytes, *, more: Iterable[bytes] = ()) -> bytes:
    """Send bytes over a new connection and give all that comes back until the server closes it."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in more:
                connection.sendall(piece)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer
