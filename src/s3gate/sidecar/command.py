"""The command beside a gateway: signals go to it, and its end is the end of both."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from s3gate.sidecar.gateway_process import GatewayProcess

__all__ = ["FAILED", "GatewayLostError", "run_beside", "signals_held", "stop"]

_log = logging.getLogger(__name__)

# Statuses of programs that run another (env, nohup, timeout): POSIX.1-2017, "env", EXIT STATUS, and GNU coreutils.
FAILED = 125
_NOT_EXECUTABLE, _NOT_FOUND, _SIGNALLED = 126, 127, 128
_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_WATCHED = (*_PASSED_ON, signal.SIGCHLD)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_PATIENCE_SECS = 10.0
_NEVER = time.monotonic() + 10**9


class GatewayLostError(Exception):
    """The gateway has ended before the command."""


@contextlib.contextmanager
def signals_held() -> Iterator[Iterable[int]]:
    """Signals that are for the command wait until it is there; those that come after its end are dropped.

    Gives the signals that were blocked before, as they are to be for the command.
    """
    # Where a parent had it ignored the ends of children would not be told.
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        yield before
    finally:
        while signal.sigtimedwait(_WATCHED, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGCHLD, handler)


def run_beside(
    gateway: GatewayProcess, command: Sequence[str], environ: Mapping[str, str], *, mask: Iterable[int]
) -> int:
    """Run `command` to its end; gives its status as a shell has it: 128 + n for signal n.

    The command has the caller's terminal, input and output; `mask` are the signals that it blocks. Signals that are
    sent to this process go to it; those of a terminal reach it without that. To be called while `signals_held`.
    A command that cannot be run has status 127 when there is none, and 126 else.

    Raises GatewayLostError when the gateway ends before the command; that is ended too.
    """
    early = [number for number in _PASSED_ON if number in signal.sigpending()]
    if early:
        return _SIGNALLED + early[0]
    try:
        pid = os.posix_spawnp(command[0], list(command), environ, setsigmask=mask, setsigdef=_IGNORED_BY_PYTHON)
    except OSError as error:
        _log.error("%s cannot be run: %s", command[0], error.strerror)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    ended = _wait_for_command(pid, gateway.pid)
    if gateway.pid in ended:
        raise GatewayLostError(f"The gateway ended before the command did ({_told(ended[gateway.pid])})")
    status = os.waitstatus_to_exitcode(ended[pid])
    return status if status >= 0 else _SIGNALLED - status


def _told(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else signal.Signals(-code).name


def _wait_for_command(pid: int, gateway: int) -> dict[int, int]:
    """Pass signals on until process `pid` has ended; gives how it ended, and how `gateway` did if it did so before."""
    ended: dict[int, int] = {}
    lost, kill_at = False, _NEVER
    while pid not in ended:
        event = signal.sigtimedwait(_WATCHED, max(kill_at - time.monotonic(), 0.0))
        if event is None:
            os.kill(pid, signal.SIGKILL)
            kill_at = _NEVER
        elif event.si_signo == signal.SIGCHLD:
            ended |= _reap()
            if gateway in ended and pid not in ended and not lost:
                _log.error("the gateway has ended: the command is ended too")
                os.kill(pid, signal.SIGTERM)
                lost, kill_at = True, time.monotonic() + _PATIENCE_SECS
        elif event.si_code <= 0:  # sent by a process: what the kernel sends for a terminal the command gets as well
            os.kill(pid, event.si_signo)
    return ended


def stop(gateway: GatewayProcess) -> None:
    """Have the gateway finish the requests under way and end; whoever sends a signal now has no patience for that."""
    gateway.stop()
    ended: dict[int, int] = {}
    while gateway.pid not in ended:
        if signal.sigwaitinfo(_WATCHED).si_signo != signal.SIGCHLD:
            gateway.hurry()
        ended |= _reap()


def _reap() -> dict[int, int]:
    """The processes that have ended: also others that were left to this one, when it is the first of a container."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found[pid] = status
