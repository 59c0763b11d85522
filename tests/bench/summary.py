"""Medians of the rounds, and ratios to the fastest peer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.loads.load import Unit
from bench.measure import QUIET_CORES, Sample
from bench.rounds import Cell

__all__ = ["Ratio", "Summary", "amount", "ratios", "summary"]

_GATEWAY, _LIMIT = "s3gate", "nginx"


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians of a cell: `rate` in requests or bytes a second, CPU in seconds for each of them.

    They are those of the `quiet` rounds, in which no other process disturbed, or of all where none was quiet.
    `slowest` and `fastest` are the rates of single rounds; `foreign` is in cores, `p50` and `p99` in microseconds.
    """

    quiet: int

    rate: float
    slowest: float
    fastest: float
    server_cpu: float
    client_cpu: float
    foreign: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast the gateway in one durability is as the fastest peer, and as the limit.

    None of the servers compared with is there where `peer` is empty, or `to_limit` None. `quiet` when other processes
    disturbed none of those that are compared.
    """

    durability: str
    peer: str
    to_peer: float | None
    to_limit: float | None
    quiet: bool


def amount(sample: Sample, unit: Unit) -> int:
    """What a sample counts for."""
    return int(getattr(sample.outcome, unit))


def summary(samples: Sequence[Sample], unit: Unit) -> Summary:
    """The medians of at least one sample."""
    quiet = [sample for sample in samples if sample.foreign <= QUIET_CORES]
    samples = quiet or samples
    rates = [amount(sample, unit) / sample.outcome.seconds for sample in samples]
    return Summary(
        len(quiet),
        median(rates),
        min(rates),
        max(rates),
        median(sample.server_cpu / amount(sample, unit) for sample in samples),
        median(sample.client_cpu / amount(sample, unit) for sample in samples),
        median(sample.foreign for sample in samples),
        median(sample.outcome.p50 for sample in samples),
        median(sample.outcome.p99 for sample in samples),
    )


def ratios(cells: Iterable[Cell]) -> list[Ratio]:
    """The gateway against the others, for the cells of one load.

    A gateway that syncs what it writes is compared with peers that do so too. Cells with a remark are measured under
    other conditions than the rest, and are no measure.
    """
    measured = {cell.program.name: cell for cell in cells if cell.samples}
    summaries = {name: summary(cell.samples, cell.load.unit) for name, cell in measured.items()}
    rates = {name: found.rate for name, found in summaries.items()}
    limit = next((name for name, cell in measured.items() if cell.program.kind == _LIMIT), "")
    found = []
    for name, cell in measured.items():
        if cell.program.kind == _GATEWAY:
            peers = {other: rates[other] for other, theirs in measured.items() if _comparable(cell, theirs)}
            peer = max(peers, key=peers.__getitem__, default="")
            durability = cell.program.durability if cell.load.writes else "any"
            to_peer, to_limit = (rates[name] / rates[other] if other else None for other in (peer, limit))
            quiet = all(summaries[other].quiet for other in (name, *peers, limit) if other)
            found.append(Ratio(durability, peer, to_peer, to_limit, quiet))
    return found


def _comparable(own: Cell, other: Cell) -> bool:
    """Whether another server's cell is one of a peer that does the same as the gateway does in its own."""
    if other.program.kind in (_GATEWAY, _LIMIT) or other.remark:
        return False
    return not own.load.writes or own.program.durability == "none" or other.program.durability != "none"
