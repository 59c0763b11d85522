"""The counters of all workers in one piece of memory that they share: no files, no locks, nothing to flush."""

from __future__ import annotations

import mmap
from operator import add

from s3gate.telemetry.layout import Layout

__all__ = ["Board"]

_CELL = 8


class Board:
    """Made before workers are forked, with a region for each; the memory is theirs together from then on.

    A worker writes in its own region alone, and reads all of them. A worker that takes the place of another goes on in
    its region, so that what is counted never goes back.
    """

    def __init__(self, layout: Layout, workers: int) -> None:
        self.layout = layout
        self.workers = workers
        self._memory = mmap.mmap(-1, max(layout.size * workers * _CELL, 1))
        self._cells = memoryview(self._memory).cast("B")[: layout.size * workers * _CELL].cast("Q")

    def region(self, worker: int) -> memoryview:
        """The cells of a worker, for it alone to write."""
        if not 0 <= worker < self.workers:
            raise IndexError(f"there is no worker {worker}")
        size = self.layout.size
        return self._cells[worker * size : (worker + 1) * size]

    def total(self) -> list[int]:
        """Each cell, added up over all workers. Of what is counted meanwhile some cells may know and others not yet."""
        sums = [0] * self.layout.size
        for worker in range(self.workers):
            sums = list(map(add, sums, self.region(worker).tolist()))
        return sums
