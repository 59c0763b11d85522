"""Medians and ratios of measured rounds."""

from __future__ import annotations

import pytest

from bench.flame import costs
from bench.loads.large import Large
from bench.loads.load import Load
from bench.loads.small import Small
from bench.measure import Sample
from bench.programs import Program
from bench.replay import Outcome
from bench.rounds import Cell
from bench.summary import Ratio, ratios, summary

GET = Small("get-1KiB", "GET", 1024)
PUT = Small("put-1KiB", "PUT", 1024)


def sample(requests: int, seconds: float = 1.0, *, server_cpu: float = 0.5, foreign: float = 0.0) -> Sample:
    return Sample(Outcome(requests, 10 * requests, 1000 * requests, seconds, 100, 200), server_cpu, 0.25, foreign)


def cell(load: Load, kind: str, rate: int, *, durability: str = "none", remark: str = "") -> Cell:
    program = Program(f"{kind} {durability}", kind, kind, lambda executable, place: [], "1.0", durability=durability)
    return Cell(load, program, [sample(rate)], remark)


def test_the_median_of_the_rounds_counts() -> None:
    found = summary([sample(100), sample(300), sample(200, 0.5)], "requests")
    assert (found.rate, found.slowest, found.fastest) == (300, 100, 400)
    assert found.server_cpu == pytest.approx(0.5 / 200)


def test_rounds_in_which_others_were_busy_count_only_where_there_are_no_quiet_ones() -> None:
    quiet, disturbed = sample(200), sample(100, foreign=1.0)
    assert summary([disturbed, quiet, disturbed], "requests").rate == 200
    alone = summary([disturbed, disturbed], "requests")
    assert (alone.rate, alone.quiet, alone.foreign) == (100, 0, 1.0)


def test_large_objects_count_by_their_bytes() -> None:
    load = Large("get-1GiB", "GET", 1 << 30)
    found = summary([sample(3, 2.0, server_cpu=6.0)], load.unit)
    assert (found.rate, found.server_cpu) == (1500, 0.002)


def test_reads_are_compared_with_the_fastest_peer_and_with_the_limit() -> None:
    cells = [cell(GET, "s3gate", 100, durability="full"), cell(GET, "one", 40), cell(GET, "two", 50)]
    assert ratios([*cells, cell(GET, "nginx", 400)]) == [Ratio("any", "two none", 2.0, 0.25, True)]


def test_writes_that_are_synced_are_compared_with_peers_that_sync() -> None:
    cells = [cell(PUT, "s3gate", 100), cell(PUT, "s3gate", 30, durability="full")]
    cells += [cell(PUT, "fast", 50), cell(PUT, "safe", 20, durability="data")]
    assert ratios(cells) == [Ratio("none", "fast none", 2.0, None, True), Ratio("full", "safe data", 1.5, None, True)]


def test_a_peer_measured_under_other_conditions_is_no_measure() -> None:
    cells = [cell(GET, "s3gate", 100), cell(GET, "one", 1000, remark="of 20,000 keys")]
    assert ratios(cells) == [Ratio("any", "", None, None, True)]


def test_a_ratio_is_quiet_only_where_all_that_are_compared_were() -> None:
    noisy = cell(GET, "one", 40)
    noisy.samples[:] = [sample(40, foreign=0.5)]
    assert not ratios([cell(GET, "s3gate", 100), noisy, cell(GET, "two", 50)])[0].quiet


def test_costs_are_shares_of_samples_and_count_a_recursive_function_once() -> None:
    stacks = ["main (a.py:1);work (a.py:2);work (a.py:3) 3", "main (a.py:9) 1"]
    assert costs(stacks, 5) == (
        "by itself\n  75.0 %  work (a.py)\n  25.0 %  main (a.py)\n\n"
        "with what it calls\n 100.0 %  main (a.py)\n  75.0 %  work (a.py)\n"
    )


def test_costs_leave_out_what_is_outside_the_event_loop_and_threads_without_work() -> None:
    loop = "main (a.py:1);Runner.run (asyncio/runners.py:118)"
    stacks = [f"{loop};__init__ (<string>:3) 1", "_worker (concurrent/futures/thread.py:81) 9"]
    generated = "__init__ (<string>) from Runner.run (asyncio/runners.py)"
    assert costs(stacks, 5) == (
        f"by itself\n 100.0 %  {generated}\n\n"
        f"with what it calls\n 100.0 %  Runner.run (asyncio/runners.py)\n 100.0 %  {generated}\n"
    )
