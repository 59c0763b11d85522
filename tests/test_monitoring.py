"""The page on monitoring and the dashboard speak of what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric

from s3gate.core.observation import BucketUsage, UsageReport
from s3gate.settings import Settings
from s3gate.telemetry.access_log import AccessLine
from s3gate.telemetry.audit_log import AuditLine
from s3gate.telemetry.board import Board
from s3gate.telemetry.counters import Counters
from s3gate.telemetry.exposition import BoardCollector
from s3gate.telemetry.layout import Layout
from support.telemetry import served

REPOSITORY = Path(__file__).parent.parent
PAGE = (REPOSITORY / "docs/monitoring.md").read_text()
DASHBOARD = REPOSITORY / "conf/grafana/s3gate.json"
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
    "info": ("_info",),
}


def families() -> dict[str, Metric]:
    """Everything that /metrics can show, with a series of each."""
    board = Board(Layout(["GetObject"]), 1)
    counters = Counters(board, 0)
    counters.begin()
    counters.take(served(error_code="NoSuchKey"))
    counters.lock_waited("task", 1)
    counters.synced("file", 1)
    counters.stage_begun()
    counters.stage_ended("committed")
    counters.upload("created")
    counters.lines_lost("access", 1)
    report = UsageReport(1, 1.0, [BucketUsage("bucket", 1, 1)])
    return {family.name: family for family in BoardCollector(board, version="1", usage=lambda: report).collect()}


def labels(family: Metric) -> set[str]:
    return {name for sample in family.samples for name in sample.labels} - {"le"}


def table(section: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    body = PAGE.partition(f"# {section}\n")[2].partition("\n#")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_metric_is_documented_with_its_type_and_labels():
    told = {row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2]))) for row in table("Metrics")}
    assert told == {name: (family.type, labels(family)) for name, family in families().items()}
    assert all(row[3] for row in table("Metrics"))


@pytest.mark.parametrize(("section", "line"), [("JSON", AccessLine), ("Audit log", AuditLine)])
def test_every_field_of_a_log_is_documented_in_its_order(section: str, line: Any):
    assert [row[0].strip("`") for row in table(section)] == list(line.__struct_fields__)
    assert all(row[1] for row in table(section))


def test_the_access_of_the_page_is_documented():
    told = {row[0].split()[0].strip("`") for row in table("/metrics")}
    assert told == {"off", "loopback", "on"}
    assert Settings.model_fields["metrics"].default == "loopback"
    for name in ("metrics_scan_interval_secs", "metrics_buckets"):
        assert f"`{name}` ({Settings.model_fields[name].default}" in PAGE


def series() -> dict[str, set[str]]:
    """The names of all series, and their labels."""
    return {
        name + suffix: labels(family) | ({"le"} if suffix == "_bucket" else set()) | {"instance", "job"}
        for name, family in families().items()
        for suffix in SUFFIXES[family.type]
    }


def expressions(part: object) -> list[str]:
    """Every query of a dashboard, wherever it stands."""
    if isinstance(part, dict):
        own = [str(part[name]) for name in ("expr", "definition") if name in part]
        return own + [each for value in part.values() for each in expressions(value)]
    return [each for value in part for each in expressions(value)] if isinstance(part, list) else []


def queries() -> list[str]:
    return expressions(json.loads(DASHBOARD.read_text())) + re.findall(r"expr: (.*)", PAGE)


@pytest.mark.parametrize("query", queries())
def test_a_query_uses_only_series_and_labels_that_exist(query: str):
    known = series()
    used = set(re.findall(r"\bs3gate_\w+", query))
    assert used
    assert used <= known.keys()
    asked = {name for names in re.findall(r"\bby \(([^)]*)\)", query) for name in names.replace(",", " ").split()}
    asked |= set(re.findall(r"(\w+)=~?\"", query))
    for name in used:
        assert asked <= known[name], name


def test_every_metric_has_a_place_on_the_dashboard():
    shown = set(re.findall(r"\bs3gate_\w+", DASHBOARD.read_text()))
    for name, family in families().items():
        assert {name + suffix for suffix in SUFFIXES[family.type]} & shown, name


def test_the_dashboard_is_one_that_grafana_takes():
    board = json.loads(DASHBOARD.read_text())
    panels = board["panels"]
    assert board["title"] == board["uid"] == "s3gate"
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels if panel["type"] != "row"]
    assert len(set(titles)) == len(titles)
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "instance"}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
