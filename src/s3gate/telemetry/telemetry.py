"""Everything that one worker tells of the requests it serves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from s3gate.telemetry.counters import Counters
from s3gate.telemetry.exposition import Exposition
from s3gate.telemetry.served import Served, ServedSink

__all__ = ["Telemetry", "TelemetrySink"]

_log = logging.getLogger(__name__)


class TelemetrySink(ServedSink, Protocol):
    """A sink that has something open while the worker serves."""

    async def start(self) -> None:
        """Called once, in the event loop that serves, before the first request."""

    async def stop(self) -> None:
        """Write what is not written yet, and close."""

    def reopen(self) -> None:
        """Open again what may have been moved away (SIGHUP)."""


def _nothing() -> None:
    """Nobody counts."""


class Telemetry:
    """What becomes of a `Served`: it is counted, and given to logs and traces. By default nothing does.

    `begin` is called when a request has begun, before it is known what becomes of it.
    `page` is what /metrics shows, None where nothing is counted.
    """

    def __init__(
        self,
        *,
        counters: Counters | None = None,
        page: Exposition | None = None,
        sinks: Sequence[TelemetrySink] = (),
    ) -> None:
        self.counters = counters
        self.begin: Callable[[], None] = _nothing if counters is None else counters.begin
        self.page = page
        self._sinks = tuple(sinks)
        takers: list[ServedSink] = [*sinks] if counters is None else [counters, *sinks]
        self._take = tuple(sink.take for sink in takers)

    def end(self, served: Served) -> None:
        """A request has ended; never raises."""
        served.ended_ns = time.perf_counter_ns()
        for take in self._take:
            try:
                take(served)
            except Exception:
                _log.exception("request %s is missing in a log or the metrics", served.request_id)

    async def start(self) -> None:
        """Open the logs."""
        for sink in self._sinks:
            await sink.start()

    async def stop(self) -> None:
        """Write out and close the logs."""
        for sink in self._sinks:
            await sink.stop()

    def reopen(self) -> None:
        """Open the logs again."""
        for sink in self._sinks:
            sink.reopen()
