"""Requests as the telemetry sees them, and pages of metrics as numbers."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from s3gate.core.values import Owner
from s3gate.telemetry.served import Served

__all__ = ["REQUESTER", "Samples", "served", "with_scope"]

REQUESTER = Owner("ab" * 32, "somebody")


def with_scope(**changes: Any) -> dict[str, Any]:
    """An ASGI scope of a GET."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "raw_path": b"/bucket/key",
        "query_string": b"",
        "client": ("192.0.2.1", 4711),
    }
    return {**scope, **changes}


def served(**changes: Any) -> Served:
    """A GetObject that went well: 10 ms, with the answer begun after 4; fields of the scope begin with `scope_`."""
    of_scope = {name.removeprefix("scope_"): value for name, value in changes.items() if name.startswith("scope_")}
    began = changes.pop("began_ns", time.perf_counter_ns())
    values: dict[str, Any] = {
        "scope": with_scope(**of_scope),
        "headers": {"host": "s3.example.com", "user-agent": "test/1"},
        "request_id": "0123456789ABCDEF",
        "host_id": "aG9zdA==",
        "began_ns": began,
        "operation": "GetObject",
        "action": "s3:GetObject",
        "bucket": "bucket",
        "key": "key",
        "bucket_owner": REQUESTER,
        "requester": REQUESTER,
        "access_key": "AKID",
        "status": 200,
        "size": 100,
        "sent": 100,
        "turned_ns": began + 4_000_000,
        "ended_ns": began + 10_000_000,
    }
    return Served(**(values | {name: value for name, value in changes.items() if not name.startswith("scope_")}))


class Samples:
    """The numbers of a page of metrics."""

    def __init__(self, page: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(page)}
        self._values = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, /, **labels: str) -> float:
        """The value of a series; 0 where there is none."""
        return self._values.get((f"s3gate_{name}", tuple(sorted(labels.items()))), 0.0)

    def total(self, name: str) -> float:
        """The sum of all series of a name."""
        return sum(value for (found, _), value in self._values.items() if found == f"s3gate_{name}")

    def labels(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {dict(labels)[label] for (found, labels), _ in self._values.items() if found == f"s3gate_{name}"}
