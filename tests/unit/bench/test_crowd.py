"""The table of what idle and stalled clients cost."""

from __future__ import annotations

import argparse

from bench.crowd import Row, _idle, _markdown
from bench.replay import Outcome


def outcome(requests: int, p99: int) -> Outcome:
    return Outcome(requests=requests, sent=0, received=0, seconds=2.0, p50=1000, p99=p99)


def test_rates_are_medians_beside_those_of_nobody_else_and_memory_is_the_most() -> None:
    alone = Row("nobody else", 0, _idle, [outcome(2000, 4000), outcome(1000, 9000), outcome(2200, 3000)])
    crowd = Row("10 idle connections", 10, _idle, [outcome(1000, 8000)], [1024.0, 3072.0, 512.0])
    text = _markdown([alone, crowd], argparse.Namespace(workers=2, rounds=3, seconds=2.0))
    assert "| nobody else |  | 1,000 | 1.00 | 1.00 | 4.00 |" in text
    assert "| 10 idle connections | 3.0 | 500 | 0.50 | 1.00 | 8.00 |" in text
