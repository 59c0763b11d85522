"""What a load costs: CPU time of a server's processes, of the client, and of everything else on the machine."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.replay import Outcome

__all__ = ["Sample", "measured", "proportional_bytes", "session_cpu", "session_processes"]

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_SESSION, _CPU = 3, slice(11, 15)  # fields of /proc/PID/stat behind the command's name


@dataclass(frozen=True, slots=True)
class Sample:
    """One round: what was done, and the CPU seconds of server and client.

    `foreign` is the number of cores that others kept busy meanwhile; the kernel's own threads that write what the
    server wrote are among them.
    """

    outcome: Outcome
    server_cpu: float
    client_cpu: float
    foreign: float


def measured(work: Callable[[], Outcome], session: int) -> Sample:
    """Do the work and tell what it cost the processes of a session (see session_processes), and this process."""
    start = time.monotonic()
    server, client, machine = session_cpu(session), _own_cpu(), _machine_cpu()
    outcome = work()
    machine, client, server = _machine_cpu() - machine, _own_cpu() - client, session_cpu(session) - server
    foreign = (machine - client - server) / (time.monotonic() - start)
    return Sample(outcome, server, client, max(0.0, foreign))


def session_processes(session: int) -> list[int]:
    """The processes of a session: those of the server that leads it."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _stat(int(name))[_SESSION] == str(session)]


def session_cpu(session: int) -> float:
    """CPU seconds that the processes of a session have used so far, with children that have ended."""
    return sum(sum(map(int, _stat(process)[_CPU])) for process in session_processes(session)) * _TICK


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


def _machine_cpu() -> float:
    """CPU seconds that all cores together were busy so far: neither idle, nor waiting for a disk, nor stolen."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) * _TICK
