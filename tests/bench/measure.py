"""What a load costs: CPU time of a server's processes, of the client, and of everything else on the machine."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.replay import Outcome

__all__ = [
    "QUIET_CORES",
    "Quiet",
    "Sample",
    "measured",
    "process_cpu",
    "proportional_bytes",
    "session_cpu",
    "session_processes",
]

# Cores that other processes keep busy, up to which a round is quiet.
QUIET_CORES = 0.15

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_SESSION, _FLAGS, _CPU = 3, 6, slice(11, 15)  # fields of /proc/PID/stat behind the command's name
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD among the flags
_MOMENT = 0.4  # seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """One round: what was done, and the CPU seconds of server and client.

    `foreign` is the number of cores that other processes kept busy meanwhile. The kernel's own threads, which write
    what the server wrote, are nobody's.
    """

    outcome: Outcome
    server_cpu: float
    client_cpu: float
    foreign: float


def measured(work: Callable[[], Outcome], session: int) -> Sample:
    """Do the work and tell what it cost the processes of a session (see session_processes), and this process."""
    start = time.monotonic()
    server, client, machine = session_cpu(session), _own_cpu(), _processes_cpu()
    outcome = work()
    machine, client, server = _processes_cpu() - machine, _own_cpu() - client, session_cpu(session) - server
    foreign = (machine - client - server) / (time.monotonic() - start)
    return Sample(outcome, server, client, max(0.0, foreign))


class Quiet:
    """Waits before rounds until other processes let the machine alone, for so many seconds in the whole run."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def wait(self) -> None:
        """Return when the machine was quiet for a moment, or the time is up."""
        begin = time.monotonic()
        while self._left > time.monotonic() - begin:
            busy = _processes_cpu()
            time.sleep(_MOMENT)
            if _processes_cpu() - busy <= QUIET_CORES * _MOMENT:
                break
        self._left -= time.monotonic() - begin


def session_processes(session: int) -> list[int]:
    """The processes of a session: those of the server that leads it."""
    return [process for process in _processes() if _stat(process)[_SESSION] == str(session)]


def session_cpu(session: int) -> float:
    """CPU seconds that the processes of a session have used so far, with children that have ended."""
    return sum(map(process_cpu, session_processes(session)))


def process_cpu(process: int) -> float:
    """CPU seconds that a process has used so far, with its children that have ended."""
    return sum(map(int, _stat(process)[_CPU])) * _TICK


def proportional_bytes(session: int) -> int:
    """Memory of a session's processes, shared pages divided among those who share them (PSS)."""
    total = 0
    for process in session_processes(session):
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def _stat(process: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on (proc(5)); those of nobody where the process has gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50
    return text.rpartition(")")[2].split()


def _own_cpu() -> float:
    """CPU seconds of this process and of its children that have ended, the client among them."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _processes_cpu() -> float:
    """CPU seconds of the machine so far that are spent for processes, not in the kernel's own threads."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    kernel = (process for process in _processes() if int(_stat(process)[_FLAGS]) & _KERNEL_THREAD)
    return (user + nice + system + irq + softirq) * _TICK - sum(map(process_cpu, kernel))


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
