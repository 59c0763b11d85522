"""A worker process: uvicorn over inherited sockets, until it is told to stop or its parent is gone."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import uvicorn

from s3gate.server.reloading import Reloader
from s3gate.server.sockets import BACKLOG, ListenError, renew_certificate
from s3gate.settings import Settings

__all__ = ["Application", "MakeApplication", "serve"]

_log = logging.getLogger(__name__)

# Objects after which the collector looks for cycles, by generation. A request that goes well makes none, and what those
# under way hold is looked at in vain: with Python's own 700 that took 3 us of each.
_COLLECT_AFTER = (20_000, 20, 20)
# What malloc keeps of freed memory, and from what size on it asks the system for each piece (mallopt(3)). Uploads come
# and go by the mebibyte: by its own rules glibc gives the memory back and takes it anew, page fault by page fault.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = (-1, 32 << 20), (-3, 4 << 20)
# How long a worker that stops still reads from idle connections: a request that was sent before the client could know
# is on its way for about this long.
_LINGER_SECS = 0.5


class Application(Protocol):
    """An ASGI application that can take changes over."""

    async def __call__(self, scope: Any, receive: Any, send: Any, /) -> None:
        """Serve one ASGI scope; the lifespan scope as well."""

    def reload(self, settings: Settings) -> None:
        """Go on with these settings, and read again what may have changed (SIGHUP). Called in the event loop."""


MakeApplication = Callable[[Settings, int], Application]


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is ready, reloads on SIGHUP and stops when its parent is gone."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: Application,
        lifeline: int,
        on_ready: Callable[[], None],
        reload: Callable[[], Settings],
    ) -> None:
        super().__init__(config)
        self._app = app
        self._lifeline = lifeline
        self._on_ready = on_ready
        self._reload_settings = reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; only from here on signals are taken, for now there is a handler for each."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lifeline, self._parent_gone)
        of_unix = [listener for listener in sockets or () if listener.family == socket.AF_UNIX]
        await super().startup([listener for listener in sockets or () if listener not in of_unix])
        for listener in of_unix:  # uvicorn takes every socket that it is given for one of TCP
            server = await loop.create_unix_server(self._new_protocol, sock=listener, backlog=self.config.backlog)
            self.servers.append(server)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP})
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without cutting a request: uvicorn alone resets the connections that it has not accepted or read yet."""
        accepted = [self._adopt(connection) for listener in sockets or () for connection in _drain(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        # Answers still to come, also to requests on their way, tell the client to send the next one elsewhere.
        for busy in [connection for connection in self.server_state.connections if _is_busy(connection)]:
            busy.shutdown()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        if accepted or self.server_state.connections:
            await asyncio.sleep(_LINGER_SECS)
        await super().shutdown(sockets)

    def _adopt(self, connection: socket.socket) -> asyncio.Task[Any]:
        """Serve a connection that was accepted outside of the event loop."""
        loop = asyncio.get_running_loop()
        context = None if connection.family == socket.AF_UNIX else self.config.ssl
        task = loop.create_task(_accepted(loop, self._new_protocol, connection, context))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)
        return task

    def _new_protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn.Server.startup calls it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _reload(self) -> None:
        """Take over what has changed. Connections and requests go on; those to come meet the new certificate."""
        settings = self._reload_settings()
        context = self.config.ssl
        if context is not None and settings.tls_cert is not None and settings.tls_key is not None:
            try:
                renew_certificate(context, settings.tls_cert, settings.tls_key)
            except ListenError as error:
                _log.error("the certificate stays as it is: %s", error)
        self.config.timeout_keep_alive = settings.keep_alive_secs
        self.config.timeout_graceful_shutdown = settings.grace_secs
        self._app.reload(settings)
        self._on_ready()

    def _parent_gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self._lifeline)
        _log.error("the parent process is gone: stopping")
        self.should_exit = True


def _is_busy(connection: object) -> bool:
    """Whether a request is being answered on a connection of uvicorn's HTTP/1.1 protocol."""
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete


def _drain(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept what waits at a listening socket."""
    listener.setblocking(False)
    while True:
        try:
            yield listener.accept()[0]
        except BlockingIOError:
            return
        except ConnectionAbortedError:
            continue  # the client has gone meanwhile
        except OSError as error:
            _log.warning("connections that wait cannot be accepted: %s", error.strerror)
            return


async def _accepted(
    loop: asyncio.AbstractEventLoop,
    new_protocol: Callable[[], asyncio.Protocol],
    connection: socket.socket,
    context: ssl.SSLContext | None,
) -> None:
    connection.setblocking(False)
    try:
        await loop.connect_accepted_socket(new_protocol, connection, ssl=context)
    except OSError as error:  # ssl.SSLError is one
        _log.debug("a connection failed as it began: %s", error)
        connection.close()


def _raise_descriptor_limit() -> None:
    """Take all the descriptors the system grants: the usual soft limit of 1,024 is meant for programs with select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _keep_freed_memory() -> None:
    """Let malloc keep what was freed for the next request, within bounds; other libraries than glibc do as they do."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(parameter, value)


def serve(
    settings: Settings,
    listeners: Sequence[socket.socket],
    app: Application,
    *,
    protocol: type[asyncio.Protocol],
    lifeline: int,
    on_ready: Callable[[], None],
    reloader: Reloader | None = None,
) -> None:
    """Serve `app` on `listeners` until SIGTERM; requests under way get settings.grace_secs to finish.

    Called with SIGTERM, SIGINT and SIGHUP blocked. SIGINT stays so: a Ctrl-C reaches every process of the terminal,
    and the parent alone decides what it means. `lifeline` is a descriptor that becomes readable when the parent ends.
    On SIGHUP `reloader` says how the settings are now; `on_ready` is called then as well. Raises SystemExit when the
    application cannot start.
    """
    _raise_descriptor_limit()
    _keep_freed_memory()
    gc.set_threshold(*_COLLECT_AFTER)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        workers=1,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_secs,
        timeout_graceful_shutdown=settings.grace_secs,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )

    def reload() -> Settings:
        nonlocal settings
        if reloader is not None:
            settings = reloader.reload(settings, tells=False)
        return settings

    _Server(config, app, lifeline, on_ready, reload).run(sockets=list(listeners))
