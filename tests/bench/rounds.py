"""The order of a run: load by load, all servers in turn, round after round."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.disk import Disk
from bench.loads.load import Load, Target
from bench.measure import Quiet, Sample, measured
from bench.programs import Program
from bench.replay import Unfit

__all__ = ["Cell", "measure_load"]


@dataclass(slots=True)
class Cell:
    """What one server did of one load: its samples, and why there are fewer, or what else is to be known."""

    load: Load
    program: Program
    samples: list[Sample] = field(default_factory=list)
    remark: str = ""


def measure_load(load: Load, targets: Sequence[Target], rounds: int, disk: Disk, quiet: Quiet) -> list[Cell]:
    """Put a load on each server that it is for; they take turns, and each round begins with another one."""
    cells = {}
    fit: list[Target] = []
    for target in targets:
        program = target.server.program
        if (load.s3 and not program.s3) or not (load.writes or program.reads):
            continue
        cell = cells[program.name] = Cell(load, program)
        _say(f"{load.title}: {program.name} prepares")
        try:
            cell.remark = load.prepare(target)
            fit.append(target)
        except Unfit as unfit:
            _give_up(cell, target, unfit)
    for number in range(rounds):
        shift = number % max(len(fit), 1)
        for target in [*fit[shift:], *fit[:shift]]:
            cell = cells[target.server.program.name]
            try:
                cell.samples.append(_round(load, target, disk, quiet))
            except Unfit as unfit:
                _give_up(cell, target, unfit)
                fit.remove(target)
    for target in fit:
        load.clean(target)
    return list(cells.values())


def _round(load: Load, target: Target, disk: Disk, quiet: Quiet) -> Sample:
    work = load.begin(target)
    if load.writes:
        disk.settle()
    quiet.wait()
    sample = measured(work, target.server.session)
    outcome = sample.outcome
    _say(f"{load.title}: {target.server.program.name}: {outcome.requests:,} requests in {outcome.seconds:.2f} s")
    return sample


def _give_up(cell: Cell, target: Target, unfit: Unfit) -> None:
    """Leave the server out of this load; what it still does for requests that nobody waits for must not go on."""
    cell.remark = f"left out: {unfit}"
    _say(f"{cell.load.title}: {cell.program.name} is {cell.remark}")
    target.server.restart()


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
