"""The counters of all workers in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from s3gate.core.observation import BucketUsage, UsageReport
from s3gate.telemetry.board import Board
from s3gate.telemetry.layout import LATENCY_BOUNDS, NO_ANSWER, OTHER_STATUS, STATUSES, WAIT_BOUNDS

__all__ = ["OTHER_BUCKETS", "BoardCollector", "Exposition", "no_usage"]

_SECOND = 1_000_000_000
_STATUS_LABELS = (*map(str, STATUSES), OTHER_STATUS, NO_ANSWER)
# What the buckets together are called that have no series of their own. No bucket can have this name.
OTHER_BUCKETS = "(other)"

ReadUsage = Callable[[], UsageReport | None]


def no_usage() -> None:
    """For a store whose buckets are not looked through."""
    return


class BoardCollector(Collector):
    """Turns the sums over all workers into metric families. Series that never counted anything are left out.

    `usage` gives what the buckets hold, of which the `most_buckets` largest get series of their own.
    """

    def __init__(self, board: Board, *, version: str, usage: ReadUsage = no_usage, most_buckets: int = 100) -> None:
        self._board = board
        self._layout = board.layout
        self._version = version
        self._usage = usage
        self._most_buckets = most_buckets

    def collect(self) -> Iterator[Metric]:
        """All families, with the values of this moment."""
        cells = self._board.total()
        yield InfoMetricFamily("s3gate_build", "The version that runs.", {"version": self._version})
        yield from self._workers()
        yield from self._requests(cells)
        yield from self._connections(cells)
        yield from self._storage(cells)
        yield _counter(
            "log_lines_lost", "Lines of a log that could not be written.", "log", self._layout.lost_lines, cells
        )
        yield from self._buckets()

    def _workers(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("s3gate_workers", "Worker processes that there are to be.", self._board.workers)
        started = GaugeMetricFamily(
            "s3gate_worker_start_time_seconds", "When each worker began, in seconds since 1970.", labels=["worker"]
        )
        for worker in range(self._board.workers):
            started.add_metric([str(worker)], self._board.region(worker)[self._layout.started] / _SECOND)
        yield started

    def _requests(self, cells: Sequence[int]) -> Iterator[Metric]:
        """What is counted for each operation."""
        requests = CounterMetricFamily(
            "s3gate_requests", "Requests that have ended, by operation and status.", labels=["operation", "status"]
        )
        seconds = HistogramMetricFamily(
            "s3gate_request_duration_seconds",
            "From the head of a request to the end of its answer, in seconds.",
            labels=["operation"],
        )
        received = CounterMetricFamily("s3gate_received_bytes", "Bytes of request bodies.", labels=["operation"])
        sent = CounterMetricFamily("s3gate_sent_bytes", "Bytes of the bodies of answers.", labels=["operation"])
        for name, places in self._layout.operations.items():
            counts = cells[places.status : places.status + len(_STATUS_LABELS)]
            if not any(counts):
                continue
            for label, count in zip(_STATUS_LABELS, counts, strict=True):
                if count:
                    requests.add_metric([name, label], count)
            _add_histogram(seconds, [name], cells, places.latency, LATENCY_BOUNDS)
            received.add_metric([name], cells[places.received])
            sent.add_metric([name], cells[places.sent])
        yield from (requests, seconds, received, sent)
        yield _gauge("requests_in_flight", "Requests that are being served.", cells[self._layout.requests_in_flight])
        yield _counter("errors", "Errors that were answered, by S3's code.", "code", self._layout.errors, cells)

    def _connections(self, cells: Sequence[int]) -> Iterator[Metric]:
        layout = self._layout
        yield CounterMetricFamily("s3gate_connections", "Connections of clients.", cells[layout.connections])
        yield _gauge("connections_open", "Connections that are open.", cells[layout.connections_open])
        yield CounterMetricFamily(
            "s3gate_refused",
            "What came over a connection and was no request that can be served.",
            cells[layout.refusals],
        )

    def _storage(self, cells: Sequence[int]) -> Iterator[Metric]:
        layout = self._layout
        yield _histogram(
            "lock_wait", "Waits for the lock of a key, for another task or another process.", "holder",
            layout.lock_waits, cells,
        )  # fmt: skip
        yield _histogram("fsync", "Calls of fsync.", "what", layout.syncs, cells)
        yield _counter(
            "stages", "Objects and parts that were received, by what became of them.", "end", layout.stages, cells
        )
        yield _gauge("stages_open", "Objects and parts that are being received.", cells[layout.stages_open])
        yield _counter("uploads", "Multipart uploads that were begun or have ended.", "event", layout.uploads, cells)

    def _buckets(self) -> Iterator[Metric]:
        report = self._usage()
        if report is None:
            return
        shown = _by_size(report.buckets, self._most_buckets)
        objects = GaugeMetricFamily("s3gate_bucket_objects", "Objects in a bucket.", labels=["bucket"])
        size = GaugeMetricFamily("s3gate_bucket_size_bytes", "Bytes of the objects in a bucket.", labels=["bucket"])
        uploads = GaugeMetricFamily(
            "s3gate_bucket_uploads", "Multipart uploads under way in a bucket.", labels=["bucket"]
        )
        for usage in shown:
            objects.add_metric([usage.bucket], usage.objects)
            size.add_metric([usage.bucket], usage.size)
            uploads.add_metric([usage.bucket], usage.uploads)
        yield from (objects, size, uploads)
        yield _gauge("buckets", "Buckets that there are.", len(report.buckets))
        yield _gauge(
            "bucket_scan_time_seconds", "When the buckets were last looked through, since 1970.", report.at_ns / _SECOND
        )
        yield _gauge("bucket_scan_duration_seconds", "How long that took.", report.seconds)


def _by_size(buckets: Iterable[BucketUsage], most: int) -> list[BucketUsage]:
    """The largest, and the rest added up under OTHER_BUCKETS."""
    ordered = sorted(buckets, key=lambda each: (-each.size, each.bucket))
    shown, rest = ordered[:most], ordered[most:]
    if rest:
        shown.append(
            BucketUsage(
                OTHER_BUCKETS,
                objects=sum(each.objects for each in rest),
                size=sum(each.size for each in rest),
                uploads=sum(each.uploads for each in rest),
            )
        )
    return shown


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"s3gate_{name}", text, value)


def _counter(name: str, text: str, label: str, places: Mapping[str, int], cells: Sequence[int]) -> Metric:
    family = CounterMetricFamily(f"s3gate_{name}", text, labels=[label])
    for value, place in places.items():
        if cells[place]:
            family.add_metric([value], cells[place])
    return family


def _histogram(name: str, text: str, label: str, places: Mapping[str, int], cells: Sequence[int]) -> Metric:
    family = HistogramMetricFamily(f"s3gate_{name}_seconds", text, labels=[label])
    for value, first in places.items():
        if any(cells[first : first + len(WAIT_BOUNDS) + 1]):
            _add_histogram(family, [value], cells, first, WAIT_BOUNDS)
    return family


def _add_histogram(
    family: HistogramMetricFamily, labels: list[str], cells: Sequence[int], first: int, bounds: Sequence[int]
) -> None:
    """Add the histogram whose buckets begin at `first`: each with those below it, as Prometheus has them."""
    above = first + len(bounds)
    names = [*(repr(bound / _SECOND) for bound in bounds), "+Inf"]
    buckets = list(zip(names, accumulate(cells[first : above + 1]), strict=True))
    family.add_metric(labels, buckets, cells[above + 1] / _SECOND)


class Exposition:
    """The page /metrics."""

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its type: OpenMetrics where an Accept header asks for it, else Prometheus's own text."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
