"""What is counted, where it stands, and that it is all there for every process."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import CODES
from s3gate.operations import ROUTES
from s3gate.telemetry.board import Board
from s3gate.telemetry.counters import Counters
from s3gate.telemetry.exposition import BoardCollector, Exposition
from s3gate.telemetry.layout import LATENCY_BOUNDS, STATUSES, WAIT_BOUNDS, Layout
from support.telemetry import Samples, served

NAMES = ["GetObject", "PutObject"]


def board(workers: int = 1) -> Board:
    return Board(Layout(NAMES), workers)


def samples(shown: Board) -> Samples:
    page, _ = Exposition(BoardCollector(shown, version="1")).render("")
    return Samples(page.decode())


def test_no_two_counters_have_the_same_place():
    layout = Layout(op.name for op in ROUTES.operations)
    of_operations = [
        place
        for cells in layout.operations.values()
        for place in (
            *range(cells.status, cells.status + len(STATUSES) + 2),
            *range(cells.latency, cells.latency + len(LATENCY_BOUNDS) + 2),
            cells.received,
            cells.sent,
        )
    ]
    histograms = [
        place
        for first in (*layout.lock_waits.values(), *layout.syncs.values())
        for place in range(first, first + len(WAIT_BOUNDS) + 2)
    ]
    named = [
        place for names in (layout.errors, layout.stages, layout.uploads, layout.lost_lines) for place in names.values()
    ]
    places = [*of_operations, *histograms, *named, layout.connections, layout.refusals, *layout.gauges]
    assert sorted(places) == list(range(layout.size))


def test_a_worker_of_all_operations_takes_less_than_64_kib():
    assert Layout(op.name for op in ROUTES.operations).size * 8 < 64 << 10


def test_a_request_is_counted_by_operation_and_status_with_its_bytes_and_time():
    shown = board()
    counters = Counters(shown, 0)
    counters.begin()
    counters.take(served(received=5, sent=7))
    seen = samples(shown)
    assert seen("requests_total", operation="GetObject", status="200") == 1
    assert seen("received_bytes_total", operation="GetObject") == 5
    assert seen("sent_bytes_total", operation="GetObject") == 7
    assert seen("request_duration_seconds_count", operation="GetObject") == 1
    assert seen("request_duration_seconds_sum", operation="GetObject") == pytest.approx(0.010)
    assert seen("request_duration_seconds_bucket", operation="GetObject", le="0.005") == 0
    assert seen("request_duration_seconds_bucket", operation="GetObject", le="0.01") == 1


@pytest.mark.parametrize(("status", "label"), [(299, "other"), (0, "none"), (418, "other"), (404, "404")])
def test_every_status_has_a_place(status: int, label: str):
    shown = board()
    counters = Counters(shown, 0)
    counters.begin()
    counters.take(served(status=status))
    assert samples(shown)("requests_total", operation="GetObject", status=label) == 1


def test_an_operation_that_is_not_known_is_none():
    shown = board()
    counters = Counters(shown, 0)
    for name in ("none", "Nonsense"):
        counters.begin()
        counters.take(served(operation=name))
    assert samples(shown)("requests_total", operation="none", status="200") == 2


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 999), st.sampled_from(["", *CODES]))))
def test_no_request_makes_a_label_that_is_not_of_the_tables(requests: list[tuple[str, int, str]]):
    shown = board()
    counters = Counters(shown, 0)
    for operation, status, code in requests:
        counters.begin()
        counters.take(served(operation=operation, status=status, error_code=code))
    seen = samples(shown)
    assert seen.total("requests_total") == len(requests)
    assert seen.labels("requests_total", "operation") <= {*NAMES, "none"}
    assert seen.labels("requests_total", "status") <= {*map(str, STATUSES), "other", "none"}
    assert seen.labels("errors_total", "code") <= set(CODES)


def test_what_is_under_way_goes_up_and_down():
    shown = board()
    counters = Counters(shown, 0)
    counters.begin()
    counters.begin()
    counters.connection_made()
    counters.stage_begun()
    counters.stage_begun()
    counters.take(served())
    counters.stage_ended("committed")
    seen = samples(shown)
    assert (seen("requests_in_flight"), seen("connections_open"), seen("stages_open")) == (1, 1, 1)
    assert seen("stages_total", end="committed") == 1
    counters.connection_lost()
    assert (samples(shown)("connections_open"), samples(shown)("connections_total")) == (0, 1)


def test_errors_and_refusals_are_counted_by_code():
    shown = board()
    counters = Counters(shown, 0)
    counters.begin()
    counters.take(served(status=404, error_code="NoSuchKey"))
    counters.refused("BadRequest")
    seen = samples(shown)
    assert seen("errors_total", code="NoSuchKey") == seen("errors_total", code="BadRequest") == 1
    assert seen("refused_total") == 1


def test_the_store_is_observed():
    shown = board()
    counters = Counters(shown, 0)
    counters.lock_waited("task", 3_000_000)
    counters.lock_waited("process", 90_000_000_000)
    counters.synced("file", 200_000)
    counters.upload("created")
    counters.lines_lost("audit", 3)
    seen = samples(shown)
    assert seen("lock_wait_seconds_sum", holder="task") == pytest.approx(0.003)
    assert seen("lock_wait_seconds_bucket", holder="process", le="30.0") == 0
    assert seen("lock_wait_seconds_count", holder="process") == 1
    assert seen("fsync_seconds_bucket", what="file", le="0.00025") == 1
    assert seen("uploads_total", event="created") == 1
    assert seen("log_lines_lost_total", log="audit") == 3


def test_threads_count_every_sync():
    shown = board()
    counters = Counters(shown, 0)
    threads = [threading.Thread(target=lambda: [counters.synced("file", 1) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(shown)("fsync_seconds_count", what="file") == 8000


def test_what_other_processes_count_adds_up():
    shown = board(workers=3)
    Counters(shown, 0).connection_made()
    for worker in (1, 2):
        child = os.fork()
        if not child:
            counters = Counters(shown, worker)
            for _ in range(10):
                counters.begin()
                counters.take(served())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    seen = samples(shown)
    assert seen("requests_total", operation="GetObject", status="200") == 20
    assert (seen("connections_open"), seen("workers")) == (1, 3)


def test_who_takes_the_place_of_a_worker_goes_on_counting_and_begins_with_nothing_under_way():
    shown = board(workers=2)
    other, killed = Counters(shown, 0), Counters(shown, 1)
    other.begin()
    killed.begin()
    killed.take(served())
    killed.begin()
    killed.connection_made()
    after = Counters(shown, 1)
    after.begin()
    after.take(served())
    seen = samples(shown)
    assert seen("requests_total", operation="GetObject", status="200") == 2
    assert (seen("requests_in_flight"), seen("connections_open"), seen("connections_total")) == (1, 0, 1)


@pytest.mark.parametrize("worker", [-1, 2])
def test_a_worker_without_a_region_is_refused(worker: int):
    with pytest.raises(IndexError):
        board(workers=2).region(worker)
