"""Where each counter stands in the memory of a worker: a table that is fixed before the first request.

Every series that can ever exist has its cell. So labels are bounded: nothing that a client sends can make a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, get_args

from s3gate.core.errors import CODES
from s3gate.core.observation import LockWait, StageEnd, Synced, UploadEvent

__all__ = [
    "LATENCY_BOUNDS",
    "NO_ANSWER",
    "NO_OPERATION",
    "OTHER_STATUS",
    "STATUSES",
    "WAIT_BOUNDS",
    "Cells",
    "Layout",
]

# The operation of a request that none claims.
NO_OPERATION = "none"
# Statuses that have a cell: those that operations answer with, and those of the table of errors.
STATUSES: tuple[int, ...] = tuple(sorted({200, 204, 206} | {status for status, _ in CODES.values()}))
OTHER_STATUS = "other"
# The client was gone before an answer had begun.
NO_ANSWER = "none"

_MS = 1_000_000
# Upper bounds of the buckets of histograms in nanoseconds; a last one holds what is above.
LATENCY_BOUNDS: tuple[int, ...] = tuple(
    int(ms * _MS) for ms in (0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000, 60000)
)
WAIT_BOUNDS: tuple[int, ...] = tuple(
    int(ms * _MS) for ms in (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000, 5000, 30000)
)


class Cells(NamedTuple):
    """The places of one operation: `status` is the first of its statuses, `latency` the first bucket; a sum follows."""

    status: int
    latency: int
    received: int
    sent: int


class Layout:
    """The places of all counters, by name. `size` is how many cells of 8 bytes a worker has.

    Cells hold counters that only grow, but for the `gauges`, which are zero when a worker begins.
    """

    def __init__(self, operations: Iterable[str]) -> None:
        self._next = 0
        self.operations: dict[str, Cells] = {}
        for name in [*sorted(set(operations)), NO_OPERATION]:
            self.operations[name] = Cells(
                self._several(len(STATUSES) + 2),
                self._several(len(LATENCY_BOUNDS) + 2),
                self._several(1),
                self._several(1),
            )
        self.errors = self._names(sorted(CODES))
        self.lock_waits = self._histograms(get_args(LockWait), WAIT_BOUNDS)
        self.syncs = self._histograms(get_args(Synced), WAIT_BOUNDS)
        self.stages = self._names(get_args(StageEnd))
        self.uploads = self._names(get_args(UploadEvent))
        self.connections = self._several(1)
        self.refusals = self._several(1)
        self.lost_lines = self._names(("access", "audit"))
        self.requests_in_flight = self._several(1)
        self.connections_open = self._several(1)
        self.stages_open = self._several(1)
        self.started = self._several(1)
        self.gauges = (self.requests_in_flight, self.connections_open, self.stages_open, self.started)
        self.size = self._next

    def _several(self, count: int) -> int:
        """The first of so many places."""
        self._next += count
        return self._next - count

    def _names(self, names: Sequence[str]) -> dict[str, int]:
        return {name: self._several(1) for name in names}

    def _histograms(self, names: Sequence[str], bounds: Sequence[int]) -> dict[str, int]:
        """The first bucket of each; the sum of nanoseconds stands behind the last."""
        return {name: self._several(len(bounds) + 2) for name in names}
