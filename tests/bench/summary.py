"""Medians of the rounds, and ratios to the fastest peer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.loads.load import Unit
from bench.measure import Sample
from bench.rounds import Cell

__all__ = ["Ratio", "Summary", "amount", "ratios", "summary"]

_GATEWAY, _LIMIT = "s3gate", "nginx"


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians of a cell: `rate` in requests or bytes a second, CPU in seconds for each of them.

    `slowest` and `fastest` are the rates of single rounds; `foreign` is in cores, `p50` and `p99` in microseconds.
    """

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

    None of the servers compared with is there where `peer` is empty, or `to_limit` None.
    """

    durability: str
    peer: str
    to_peer: float | None
    to_limit: float | None


def amount(sample: Sample, unit: Unit) -> int:
    """What a sample counts for."""
    return int(getattr(sample.outcome, unit))


def summary(samples: Sequence[Sample], unit: Unit) -> Summary:
    """The medians of at least one sample."""
    rates = [amount(sample, unit) / sample.outcome.seconds for sample in samples]
    return Summary(
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
    rates = {cell.program: summary(cell.samples, cell.load.unit).rate for cell in cells if cell.samples}
    writes = any(cell.load.writes for cell in cells)
    unequal = {cell.program for cell in cells if cell.remark}
    found = []
    for program, rate in rates.items():
        if program.kind != _GATEWAY:
            continue
        peers = {
            other.name: theirs
            for other, theirs in rates.items()
            if other.kind not in (_GATEWAY, _LIMIT)
            and other not in unequal
            and (not writes or program.durability == "none" or other.durability != "none")
        }
        peer = max(peers, key=peers.__getitem__, default="")
        limits = [theirs for other, theirs in rates.items() if other.kind == _LIMIT]
        durability = program.durability if writes else "any"
        found.append(
            Ratio(durability, peer, rate / peers[peer] if peer else None, rate / limits[0] if limits else None)
        )
    return found
