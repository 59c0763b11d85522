"""The counters of one worker: what happens is added to its region of the board."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left

from s3gate.core.observation import LockWait, StageEnd, Synced, UploadEvent
from s3gate.telemetry.board import Board
from s3gate.telemetry.layout import LATENCY_BOUNDS, NO_OPERATION, STATUSES, WAIT_BOUNDS
from s3gate.telemetry.served import Served

__all__ = ["Counters"]

_STATUS_PLACES = {status: place for place, status in enumerate(STATUSES)}
_OTHER = len(STATUSES)
_STATUS_PLACES[0] = _OTHER + 1  # no answer
_SUM = len(LATENCY_BOUNDS) + 1
_WAIT_SUM = len(WAIT_BOUNDS) + 1


class Counters:
    """Implements StoreObserver and ServedSink over a region. Made in the worker's own process.

    Everything but `synced` is called on the event loop, and so never by two at once.
    """

    def __init__(self, board: Board, worker: int) -> None:
        self.board = board
        layout = board.layout
        self._layout = layout
        self._cells = board.region(worker)
        self._operations = layout.operations
        self._unclaimed = layout.operations[NO_OPERATION]
        self._in_flight = layout.requests_in_flight
        self._threads = threading.Lock()
        for gauge in layout.gauges:
            self._cells[gauge] = 0
        self._cells[layout.started] = time.time_ns()

    def begin(self) -> None:
        """A request has begun; `take` ends it."""
        self._cells[self._in_flight] += 1

    def take(self, served: Served) -> None:
        """A request has ended."""
        cells = self._cells
        cells[self._in_flight] -= 1
        status, latency, received, sent = self._operations.get(served.operation) or self._unclaimed
        cells[status + _STATUS_PLACES.get(served.status, _OTHER)] += 1
        taken = served.ended_ns - served.began_ns
        cells[latency + bisect_left(LATENCY_BOUNDS, taken)] += 1
        cells[latency + _SUM] += taken
        if served.received:
            cells[received] += served.received
        if served.sent:
            cells[sent] += served.sent
        if served.error_code:
            cells[self._layout.errors[served.error_code]] += 1

    def connection_made(self) -> None:
        """A client has connected."""
        self._cells[self._layout.connections] += 1
        self._cells[self._layout.connections_open] += 1

    def connection_lost(self) -> None:
        """A connection that was made is gone."""
        self._cells[self._layout.connections_open] -= 1

    def refused(self, code: str) -> None:
        """What came over a connection was no request that could be served; `code` is of the table of errors."""
        self._cells[self._layout.refusals] += 1
        self._cells[self._layout.errors[code]] += 1

    def lines_lost(self, log: str, count: int) -> None:
        """Lines of a log (`access`, `audit`) could not be written. Called in any thread."""
        with self._threads:
            self._cells[self._layout.lost_lines[log]] += count

    def lock_waited(self, whom: LockWait, ns: int) -> None:
        """See StoreObserver."""
        self._observe(self._layout.lock_waits[whom], ns)

    def synced(self, what: Synced, ns: int) -> None:
        """See StoreObserver."""
        with self._threads:  # an addition is a read and a write
            self._observe(self._layout.syncs[what], ns)

    def _observe(self, first: int, ns: int) -> None:
        self._cells[first + bisect_left(WAIT_BOUNDS, ns)] += 1
        self._cells[first + _WAIT_SUM] += ns

    def stage_begun(self) -> None:
        """See StoreObserver."""
        self._cells[self._layout.stages_open] += 1

    def stage_ended(self, how: StageEnd) -> None:
        """See StoreObserver."""
        self._cells[self._layout.stages_open] -= 1
        self._cells[self._layout.stages[how]] += 1

    def upload(self, event: UploadEvent) -> None:
        """See StoreObserver."""
        self._cells[self._layout.uploads[event]] += 1
