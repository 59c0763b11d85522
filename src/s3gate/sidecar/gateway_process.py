"""The gateway of a command as a process of its own, which ends with the one that has started it."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from s3gate import bootstrap
from s3gate.config import Settings
from s3gate.server import sockets, supervisor
from s3gate.server.own_user import for_own_user
from s3gate.server.protocol_choice import protocol_class
from s3gate.storage.backend import StartError

__all__ = ["GatewayProcess"]

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1  # prctl(2)
_READY = b"1"


class GatewayProcess:
    """A gateway that serves from the moment this is made.

    It is in a session of its own, so that what a terminal sends, to end the command above all, does not end it.

    Args:
        settings: those of the gateway; of the addresses only the first is used, which is one of the loopback.
        inputs: directories that are buckets, by name; they are only read.

    Raises StartError or ListenError, which tell the remedy.
    """

    def __init__(self, settings: Settings, inputs: Mapping[str, str]) -> None:
        listeners = sockets.bind_all(settings.addresses, settings.worker_count)
        host, port = listeners[0][0].getsockname()[:2]
        self.endpoint = f"http://{host}:{port}"
        ready, told = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            os.close(ready)
            _be_gateway(partial(_serve, settings, listeners, inputs, told=told), parent)
        os.close(told)
        for listener in (each for ours in listeners for each in ours):
            listener.close()
        try:
            if os.read(ready, 1) != _READY:
                os.waitpid(self.pid, 0)
                raise StartError("The gateway did not come to serve: the messages above say why.")
        finally:
            os.close(ready)

    def stop(self) -> None:
        """Have it finish the requests under way, within the grace time, and end."""
        os.kill(self.pid, signal.SIGTERM)

    def hurry(self) -> None:
        """Have it end now, after `stop`."""
        os.kill(self.pid, signal.SIGINT)  # the second one counts, see supervisor


def _serve(
    settings: Settings,
    listeners: Sequence[Sequence[socket.socket]],
    inputs: Mapping[str, str],
    *,
    told: int,
) -> int:
    def announce() -> None:
        os.write(told, _READY)

    protocol: type[asyncio.Protocol] = for_own_user(
        protocol_class(
            zero_copy=settings.zero_copy,
            pieces=settings.overlap_uploads,
            whole=settings.join_answers,
            step_bytes=settings.chunk_bytes,
        )
    )
    make_app = partial(bootstrap.make_app, inputs=inputs)
    return supervisor.run(settings, listeners, make_app=make_app, protocol=protocol, announce=announce)


def _be_gateway(serve: Callable[[], int], parent: int) -> None:
    """Be the process of the gateway, which leaves the command its terminal and its output; never returns."""
    status = 1
    try:
        os.setsid()
        _end_with(parent)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        status = serve()
    except BaseException:
        _log.exception("the gateway failed")
    finally:
        os._exit(status)  # nothing of the parent's clean-up may run here


def _end_with(parent: int) -> None:
    """Have the kernel send this process SIGTERM when `parent`, which has made it, ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    if os.getppid() != parent:
        os._exit(1)  # it has ended before
