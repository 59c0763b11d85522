"""The telemetry of a gateway, from its settings: the memory that workers share, and what each of them tells."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from s3gate import __version__
from s3gate.telemetry.access_log import Format, renderer
from s3gate.telemetry.audit_log import AuditLog, Shown
from s3gate.telemetry.board import Board
from s3gate.telemetry.counters import Counters
from s3gate.telemetry.exposition import BoardCollector, Exposition, ReadUsage
from s3gate.telemetry.layout import Layout
from s3gate.telemetry.log_file import LogFile, open_log
from s3gate.telemetry.telemetry import Telemetry, TelemetrySink

__all__ = ["TelemetryError", "TelemetryOptions", "check", "make_board", "make_counters", "make_telemetry"]

_TRACES = "s3gate.telemetry.traces"


class TelemetryError(Exception):
    """A log cannot be written, or traces cannot be made; the message says the remedy."""


@dataclass(frozen=True, slots=True)
class TelemetryOptions:
    """What is wanted. Logs are paths, or `-` for the standard output; None: none. `traces` is an OTLP endpoint."""

    metrics: bool = False
    most_buckets: int = 100
    access_log: str | None = None
    access_log_format: Format = "json"
    audit_log: str | None = None
    traces: str | None = None


def check(options: TelemetryOptions) -> None:
    """Try everything that is wanted, before workers are there. Raises TelemetryError."""
    for name, path in (("access_log", options.access_log), ("audit_log", options.audit_log)):
        if path is not None:
            try:
                os.close(open_log(path))
            except OSError as error:
                raise TelemetryError(
                    f"{name}: cannot write to {path}: {error.strerror}. Name a file in a directory that is there and "
                    f"that user {os.geteuid()} may write to."
                ) from error
    if options.traces is not None:
        try:
            importlib.import_module(_TRACES)
        except ImportError as error:
            raise TelemetryError(
                f"traces: {error}. The packages of OpenTelemetry are an extra: pip install 's3gate[otel]', or unset it."
            ) from error


def make_board(options: TelemetryOptions, operations: Iterable[str], workers: int) -> Board | None:
    """The memory for the counters of all workers; None where nothing is counted. To be made before they are forked."""
    return Board(Layout(operations), workers) if options.metrics else None


def make_counters(board: Board | None, worker: int) -> Counters | None:
    """The counters of a worker, made in its own process."""
    return None if board is None else Counters(board, worker)


def make_telemetry(options: TelemetryOptions, counters: Counters | None, usage: ReadUsage, shown: Shown) -> Telemetry:
    """Everything that one worker tells; `usage` gives what the buckets hold, `shown` an access key for the eye."""
    sinks: list[TelemetrySink] = []
    if options.access_log is not None:
        render = renderer(options.access_log_format)
        sinks.append(LogFile(options.access_log, render, _lost("access", counters)))
    if options.audit_log is not None:
        sinks.append(AuditLog(options.audit_log, _lost("audit", counters), shown))
    if options.traces is not None:
        traces = importlib.import_module(_TRACES)
        sinks.append(traces.Traces(traces.otlp_exporter(options.traces)))
    if counters is None:
        return Telemetry(sinks=sinks)
    collector = BoardCollector(counters.board, version=__version__, usage=usage, most_buckets=options.most_buckets)
    return Telemetry(counters=counters, page=Exposition(collector), sinks=sinks)


def _lost(name: str, counters: Counters | None) -> Callable[[int], None]:
    return _nothing if counters is None else partial(counters.lines_lost, name)


def _nothing(_count: int) -> None:
    return
