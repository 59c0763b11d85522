"""The memory of a gateway's workers, looked at again and again while they work."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from support.files import MIB
from support.processes import workers

__all__ = ["MemoryWatch", "memory_of"]

_PERIOD_SECONDS = 0.05


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes resident now (VmRSS), and at most so far (VmHWM); 0 for a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    now, most = (int(fields.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


class MemoryWatch:
    """Samples the workers of the gateway `pid` for as long as the `with` block lasts.

    `most` is the greatest resident size that any worker ever had, in bytes, by what was sampled and by the kernel's
    own high-water mark.
    """

    def __init__(self, pid: int) -> None:
        self.most = 0
        self.samples = 0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._look()

    def __str__(self) -> str:
        return f"{self.most / MIB:.0f} MiB at most in a worker ({self.samples} samples)"

    def _run(self) -> None:
        while not self._end.wait(_PERIOD_SECONDS):
            self._look()

    def _look(self) -> None:
        for pid in workers(self._pid):
            self.most = max(self.most, *memory_of(pid))
            self.samples += 1
