"""How many requests a second are taken."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.server.rate_limits import RateLimits, Table

SECOND = 1_000_000_000


class Clock:
    """time.monotonic_ns() that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 5 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic_ns", clock)
    return clock


def admitted(limits: RateLimits, key: str = "AK") -> bool:
    try:
        limits.admit()
        limits.admit_key(key)
    except S3Error as error:
        if (error.code, error.status) != ("SlowDown", 503):
            raise
        return False
    return True


def test_a_second_has_as_many_requests_as_its_rate_says(clock: Clock) -> None:
    limits = RateLimits(Table(), per_key=10)
    assert [admitted(limits) for _ in range(12)] == [True] * 10 + [False] * 2
    clock.now += SECOND // 10
    assert [admitted(limits) for _ in range(2)] == [True, False]
    clock.now += 100 * SECOND
    assert sum(admitted(limits) for _ in range(50)) == 10


def test_each_access_key_has_its_own(clock: Clock) -> None:
    limits = RateLimits(Table(), per_key=2)
    assert [admitted(limits, key) for key in ("a", "b", "a", "b", "a", "b", "c")] == [True] * 4 + [False] * 2 + [True]


def test_the_rate_of_all_counts_whoever_asks(clock: Clock) -> None:
    limits = RateLimits(Table(), overall=3)
    assert [admitted(limits, key) for key in "abcde"] == [True] * 3 + [False] * 2


def test_without_a_rate_everything_is_taken(clock: Clock) -> None:
    limits = RateLimits(Table())
    assert all(admitted(limits) for _ in range(1000))


def test_who_is_refused_is_told_when_to_come_again(clock: Clock) -> None:
    limits = RateLimits(Table(), per_key=1)
    limits.admit_key("AK")
    with pytest.raises(S3Error) as refused:
        limits.admit_key("AK")
    assert refused.value.headers == {"retry-after": "1"}


@given(st.integers(1, 50), st.lists(st.integers(0, SECOND // 5), max_size=200))
def test_no_second_has_more_than_two_bursts_and_none_that_waits_is_refused(rate: int, gaps: list[int]) -> None:
    limits, clock, taken = RateLimits(Table(), per_key=rate), Clock(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic_ns", clock)
        for gap in gaps:
            clock.now += gap
            if admitted(limits):
                taken.append(clock.now)
        clock.now += SECOND
        assert admitted(limits)
    for begin in taken:
        assert sum(begin <= moment < begin + SECOND for moment in taken) <= 2 * rate


def test_processes_that_are_forked_share_a_rate(clock: Clock) -> None:
    limits = RateLimits(Table(), per_key=10)
    child = os.fork()
    if child == 0:
        os._exit(sum(admitted(limits) for _ in range(7)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert sum(admitted(limits) for _ in range(7)) == 3


def test_more_names_than_places_share_them_and_none_is_lost(clock: Clock) -> None:
    limits = RateLimits(Table(8), per_key=1)
    assert sum(admitted(limits, f"key-{number}") for number in range(100)) >= 1
    clock.now += 2 * SECOND
    assert admitted(limits, "another")


def test_a_name_that_rested_leaves_its_place_to_another(clock: Clock) -> None:
    limits = RateLimits(Table(8), per_key=1)
    for _ in range(50):
        assert admitted(limits, f"key-{clock.now}")
        clock.now += 2 * SECOND
