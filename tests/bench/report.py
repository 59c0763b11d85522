"""The report of a run: tables in Markdown, and everything in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.rounds import Cell
from bench.servers import Server
from bench.summary import Ratio, Summary, ratios, summary

__all__ = ["Report"]


@dataclass(frozen=True, slots=True)
class Report:
    """A run: the machine and the settings by name, the servers, and the cells of each load."""

    setting: Mapping[str, str]
    servers: Sequence[Server]
    loads: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """All tables."""
        names = [server.program.name for server in self.servers]
        described = "\n".join(f"- {name}: {value}" for name, value in self.setting.items())
        servers = [
            [server.program.name, server.program.version, _durability(server), f"{server.start_seconds:.2f}",
             f"{server.idle_bytes / (1 << 20):.0f}"]
            for server in self.servers
        ]  # fmt: skip
        remarks = [
            f"- {cells[0].load.name}, {cell.program.name}: {cell.remark}"
            for cells in self.loads
            for cell in cells
            if cell.remark
        ]
        parts = [
            described,
            _table(["server", "version", "writes are synced", "start s", "idle MiB"], servers),
            "Rates: requests a second, or GB (10^9 bytes) a second. `*`: in every round other processes kept the "
            "machine busy, so the figure is too low. `†`: measured under other conditions, see the remarks.",
            _table(["load", *names], [self._row(cells, _rate) for cells in self.loads]),
            "CPU of the server + CPU of the client: microseconds a request, or seconds a GB.",
            _table(["load", *names], [self._row(cells, _cpu) for cells in self.loads]),
            "s3gate as a multiple of the fastest peer (of those that sync, for durability `data` and `full`) and of "
            "nginx.",
            _table(["load", "durability", "fastest peer", "of the peer", "of nginx"], list(self._ratio_rows())),
        ]
        return "\n\n".join([*parts, *(["Remarks:\n\n" + "\n".join(remarks)] if remarks else [])]) + "\n"

    def json(self) -> str:
        """Everything: settings, servers, and for each load and server the medians and the samples."""
        document = {
            "setting": dict(self.setting),
            "servers": [
                {"name": server.program.name, "version": server.program.version, "durability": _durability(server),
                 "start_seconds": server.start_seconds, "idle_bytes": server.idle_bytes}
                for server in self.servers
            ],
            "loads": [
                {"name": cells[0].load.name, "title": cells[0].load.title, "unit": cells[0].load.unit,
                 "servers": [_cell(cell) for cell in cells], "ratios": [asdict(ratio) for ratio in ratios(cells)]}
                for cells in self.loads if cells
            ],
        }  # fmt: skip
        return json.dumps(document, indent=1) + "\n"

    def _row(self, cells: Sequence[Cell], show: Any) -> list[str]:
        found = {cell.program.name: cell for cell in cells}
        shown = []
        for server in self.servers:
            cell = found.get(server.program.name)
            shown.append(show(cell, summary(cell.samples, cell.load.unit)) if cell and cell.samples else "-")
        return [cells[0].load.title if cells else "", *shown]

    def _ratio_rows(self) -> Iterable[list[str]]:
        for cells in self.loads:
            for ratio in ratios(cells):
                yield [cells[0].load.title, *_ratio(ratio)]


def _rate(cell: Cell, found: Summary) -> str:
    mark = ("" if found.quiet else "*") + ("†" if cell.remark else "")
    if cell.load.unit != "requests":
        return f"{found.rate / 1e9:.2f}{mark}"
    return (f"{found.rate:,.0f}" if found.rate >= 100 else f"{found.rate:.1f}") + mark


def _cpu(cell: Cell, found: Summary) -> str:
    if cell.load.unit != "requests":
        return f"{found.server_cpu * 1e9:.2f} + {found.client_cpu * 1e9:.2f}"
    return f"{found.server_cpu * 1e6:,.0f} + {found.client_cpu * 1e6:,.0f}"


def _ratio(ratio: Ratio) -> list[str]:
    mark = "" if ratio.quiet else "*"
    peer, limit = (f"{value:.2f}{mark}" if value is not None else "-" for value in (ratio.to_peer, ratio.to_limit))
    return [ratio.durability, ratio.peer or "-", peer, limit]


def _durability(server: Server) -> str:
    return server.program.durability


def _cell(cell: Cell) -> dict[str, Any]:
    medians = asdict(summary(cell.samples, cell.load.unit)) if cell.samples else None
    samples = [asdict(sample) for sample in cell.samples]
    return {"name": cell.program.name, "remark": cell.remark, "medians": medians, "samples": samples}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
