"""The parent process: starts the workers, replaces one that dies, passes signals on, and ends them all."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s3gate.server.notify import ServiceManager
from s3gate.server.reloading import Reloader
from s3gate.server.sockets import remove_unix
from s3gate.server.workers import MakeApplication, serve
from s3gate.settings import Settings

__all__ = ["run"]

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
# A worker that dies sooner than this after its start, or before it was ready, died quickly.
_QUICK_SECS = 1.0
_QUICK_DEATHS = 5
_FIRST_PAUSE_SECS = 0.1
# How a worker says that it is ready, or has reloaded: its process id, so that a late word of one that died says nothing
# of the next.
_PID = struct.Struct("=q")
# What workers have beyond the grace time before they are killed.
_SPARE_SECS = 5


@dataclass(slots=True)
class _Slot:
    """The place of one worker: its sockets stay when the process changes. Times are of the monotonic clock."""

    index: int
    listeners: Sequence[socket.socket]
    pid: int = 0
    started: float = 0.0
    ready: bool = False
    reloading: bool = False
    quick_deaths: int = 0
    start_at: float = 0.0

    def close(self) -> None:
        """Stop listening."""
        for listener in self.listeners:
            listener.close()


def run(
    settings: Settings,
    listeners: Sequence[Sequence[socket.socket]],
    *,
    make_app: MakeApplication,
    protocol: type[asyncio.Protocol],
    announce: Callable[[], None],
    reloader: Reloader | None = None,
) -> int:
    """Keep one worker process on the sockets of each of `listeners` until SIGTERM or SIGINT; gives the exit status.

    `announce` is called once, when every worker is ready. The sockets stay open here, so that connections that wait
    for a worker which died are taken by the one that replaces it. On SIGHUP `reloader` says what has changed, and the
    workers take it over. The service manager that NOTIFY_SOCKET names is told of all this. The files of Unix sockets
    go when it stops. Must be called in the main thread, with no other thread running.
    """
    return _Supervisor(settings, listeners, make_app, protocol, reloader).run(announce)


class _Supervisor:
    """The state of `run`."""

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[Sequence[socket.socket]],
        make_app: MakeApplication,
        protocol: type[asyncio.Protocol],
        reloader: Reloader | None,
    ) -> None:
        self._manager = ServiceManager.of_environment()
        self._reloader = reloader
        self._reloading = False
        self._settings = settings
        self._make_app = make_app
        self._protocol = protocol
        self._slots = [_Slot(index, sockets) for index, sockets in enumerate(listeners)]
        self._stop_by: float | None = None
        self._status = 0
        # Signals and readiness both arrive in pipes, so that one select waits for them without a race.
        self._signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._readiness = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Nothing is ever written to this one: its end of file tells the workers that the parent is gone.
        self._lifeline = os.pipe2(os.O_CLOEXEC)

    def run(self, announce: Callable[[], None]) -> int:
        previous = {number: signal.signal(number, _take_note) for number in _SIGNALS}
        wakeup = signal.set_wakeup_fd(self._signals[1], warn_on_full_buffer=False)
        gc.freeze()  # what is loaded now stays shared with the workers: their collectors need not look at it
        try:
            announced = False
            while self._step():
                if not announced and all(slot.ready for slot in self._slots):
                    announced = True
                    _announce(announce)
                    self._manager.ready()
            return self._status
        finally:
            self._kill_all()
            if self._stop_by is None:
                remove_unix(self._settings.addresses)
            signal.set_wakeup_fd(wakeup)
            for number, handler in previous.items():
                signal.signal(number, handler)
            for descriptor in (*self._signals, *self._readiness, *self._lifeline):
                os.close(descriptor)

    def _step(self) -> bool:
        """Start what is due, wait for the next event and handle it; false when all is over."""
        now = time.monotonic()
        if self._stop_by is None:
            for slot in self._slots:
                if self._stop_by is None and not slot.pid and slot.start_at <= now:
                    self._start(slot)
        elif not any(slot.pid for slot in self._slots):
            return False
        elif now >= self._stop_by:
            _log.error("workers did not stop within %d seconds and are killed", self._settings.grace_secs + _SPARE_SECS)
            self._kill_all()
            return False
        select.select([self._signals[0], self._readiness[0]], [], [], self._pause())
        # Readiness first: a worker that said so and then died was ready.
        for (pid,) in _PID.iter_unpack(_drain(self._readiness[0])):
            for slot in self._slots:
                if slot.pid == pid:
                    slot.ready, slot.reloading = True, False
        if self._reloading and not any(slot.reloading for slot in self._slots):
            self._reloading = False
            self._manager.ready()
        for number in _drain(self._signals[0]):
            self._handle(number)
        return True

    def _pause(self) -> float | None:
        """Seconds until something is due by itself, or None."""
        waiting = [slot.start_at for slot in self._slots if not slot.pid]
        due = waiting if self._stop_by is None else [self._stop_by]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _handle(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif self._stop_by is None:
            if number == signal.SIGHUP:
                self._reload()
            else:
                self._stop(0)
        elif number == signal.SIGINT:
            _log.warning("interrupted again: requests under way are cut")
            self._status = 1
            self._kill_all()

    def _reload(self) -> None:
        """Have the workers take over what has changed, and those that will replace them."""
        _log.info("reloading")
        self._manager.reloading()
        if self._reloader is not None:
            self._settings = self._reloader.reload(self._settings, tells=True)
        self._reloading = True
        for slot in self._slots:
            slot.reloading = slot.pid != 0
        self._send(signal.SIGHUP)

    def _stop(self, status: int) -> None:
        """Have the workers finish; new connections are refused from now on."""
        self._manager.stopping()
        _log.info("stopping; requests under way have %d seconds to finish", self._settings.grace_secs)
        self._status = status
        self._stop_by = time.monotonic() + self._settings.grace_secs + _SPARE_SECS
        remove_unix(self._settings.addresses)  # before nobody listens: the next gateway may make them anew from then on
        for slot in self._slots:
            slot.close()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)

    def _kill_all(self) -> None:
        self._send(signal.SIGKILL)
        for slot in self._slots:
            if slot.pid:
                os.waitpid(slot.pid, 0)
                slot.pid = 0

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    self._buried(slot, status)

    def _buried(self, slot: _Slot, status: int) -> None:
        """A worker has ended: when that was not wanted, have it replaced, or give up if it keeps dying at once."""
        pid, slot.pid, slot.reloading = slot.pid, 0, False
        if self._stop_by is not None:
            return
        _log.error("worker %d (process %d) %s", slot.index, pid, _ending(status))
        if slot.ready and time.monotonic() - slot.started >= _QUICK_SECS:
            slot.quick_deaths = 0
            slot.start_at = time.monotonic()
        else:
            self._failed_start(slot)

    def _failed_start(self, slot: _Slot) -> None:
        """Wait a little longer each time before the next start, and give up after a few."""
        slot.quick_deaths += 1
        slot.start_at = time.monotonic() + _FIRST_PAUSE_SECS * 2 ** (slot.quick_deaths - 1)
        if slot.quick_deaths >= _QUICK_DEATHS:
            message = "worker %d failed %d times in a row to start: giving up; the messages above say why"
            _log.error(message, slot.index, slot.quick_deaths)
            self._stop(1)

    def _start(self, slot: _Slot) -> None:
        """Fork a worker. Signals are blocked across the fork: a child must not write into its parent's pipe."""
        sys.stdout.flush()
        sys.stderr.flush()
        slot.ready, slot.started = False, time.monotonic()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            slot.pid = os.fork()
            if not slot.pid:
                self._work(slot)
            _log.debug("worker %d is process %d", slot.index, slot.pid)
        except OSError as error:
            _log.error("worker %d cannot be started: %s", slot.index, error.strerror)
            self._failed_start(slot)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _work(self, slot: _Slot) -> None:
        """Be a worker; never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            self._let_go(slot)
            serve(
                self._settings,
                slot.listeners,
                self._make_app(self._settings, slot.index),
                protocol=self._protocol,
                lifeline=self._lifeline[0],
                on_ready=lambda: _report_ready(self._readiness[1]),
                reloader=self._reloader,
            )
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            _log.exception("worker %d failed", slot.index)
        finally:
            _leave(status)

    def _let_go(self, slot: _Slot) -> None:
        """Close what a worker has from its parent and does not need."""
        for descriptor in (*self._signals, self._readiness[0], self._lifeline[1]):
            os.close(descriptor)
        for other in self._slots:
            if other is not slot:
                other.close()


def _take_note(_number: int, _frame: object) -> None:
    """A handler that does nothing: with one installed, the signal's number is written to the wake-up descriptor."""


def _report_ready(descriptor: int) -> None:
    os.write(descriptor, _PID.pack(os.getpid()))


def _leave(status: int) -> None:
    """End this process at once: nothing of the parent's clean-up may run in a worker."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _drain(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return b""


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _announce(announce: Callable[[], None]) -> None:
    try:
        announce()
    except OSError as error:
        _log.warning("the start message could not be printed: %s", error)
