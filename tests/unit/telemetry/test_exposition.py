"""The page of metrics: its forms, and what it says of the buckets."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from s3gate.core.observation import BucketUsage, UsageReport
from s3gate.telemetry.board import Board
from s3gate.telemetry.counters import Counters
from s3gate.telemetry.exposition import OTHER_BUCKETS, BoardCollector, Exposition
from s3gate.telemetry.layout import Layout
from support.telemetry import Samples, served


def page_of(report: UsageReport | None = None, most: int = 100) -> Exposition:
    board = Board(Layout(["GetObject"]), 1)
    counters = Counters(board, 0)
    counters.begin()
    counters.take(served())
    return Exposition(BoardCollector(board, version="9.8.7", usage=lambda: report, most_buckets=most))


def test_a_scraper_gets_the_form_that_it_asks_for():
    text, content_type = page_of().render("text/plain")
    assert content_type.startswith("text/plain")
    assert Samples(text.decode())("build_info", version="9.8.7") == 1

    text, content_type = page_of().render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
    families = {family.name for family in text_string_to_metric_families(text.decode())}
    assert {"s3gate_requests", "s3gate_request_duration_seconds", "s3gate_build"} <= families


def test_buckets_of_a_histogram_hold_those_below_them():
    seen = Samples(page_of().render("")[0].decode())
    below = [
        value
        for le in ("0.005", "0.01", "60.0", "+Inf")
        if (value := seen("request_duration_seconds_bucket", operation="GetObject", le=le)) is not None
    ]
    assert below == [0, 1, 1, 1]


def test_series_that_never_counted_anything_are_left_out():
    seen = Samples(page_of().render("")[0].decode())
    assert seen.labels("requests_total", "operation") == {"GetObject"}
    assert seen.labels("errors_total", "code") == set()


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4])
def test_the_largest_buckets_are_shown_and_the_rest_is_added_up(most: int):
    usages = [BucketUsage("a", 1, 10), BucketUsage("b", 2, 30, 1), BucketUsage("c", 4, 20)]
    seen = Samples(page_of(UsageReport(5_000_000_000, 1.5, usages), most).render("")[0].decode())
    shown = ["b", "c", "a"][:most]
    assert seen.labels("bucket_size_bytes", "bucket") == {*shown, *([OTHER_BUCKETS] if most < 3 else [])}
    assert seen.total("bucket_size_bytes") == 60
    assert seen.total("bucket_objects") == 7
    assert seen.total("bucket_uploads") == 1
    assert (seen("buckets"), seen("bucket_scan_time_seconds"), seen("bucket_scan_duration_seconds")) == (3, 5, 1.5)


def test_before_the_first_scan_nothing_is_said_of_buckets():
    seen = Samples(page_of().render("")[0].decode())
    assert not [name for name in seen.families if "bucket" in name]
