"""Closing a connection that stays idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from s3gate.server.idle_timer import IdleTimer


class Clock:
    """A loop whose time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.timers = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        entry = (self.now + delay, callback)
        self.due.append(entry)
        self.timers += 1
        clock = self

        class Handle:
            def cancel(self) -> None:
                clock.due.remove(entry)

        return Handle()

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while ready := sorted((entry for entry in self.due if entry[0] <= end), key=lambda entry: entry[0]):
            self.due.remove(ready[0])
            self.now = ready[0][0]
            ready[0][1]()
        self.now = end


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def closed() -> list[float]:
    return []


@pytest.fixture
def timer(clock: Clock, closed: list[float]) -> IdleTimer:
    loop: Any = clock
    return IdleTimer(loop, 10.0, lambda: closed.append(clock.now))


def test_a_connection_that_stays_idle_is_closed_when_its_time_is_over(clock, timer, closed):
    timer.begin()
    clock.pass_time(9.9)
    assert closed == []
    clock.pass_time(0.2)
    assert closed == [110.0]


def test_the_time_counts_from_the_last_request(clock, timer, closed):
    for _ in range(5):
        timer.begin()
        clock.pass_time(6)
        timer.end()
    timer.begin()
    clock.pass_time(9.9)
    assert closed == []
    clock.pass_time(0.2)
    assert closed == [140.0]


def test_a_busy_connection_is_never_closed(clock, timer, closed):
    timer.begin()
    timer.end()
    clock.pass_time(1000)
    assert closed == []
    timer.begin()
    clock.pass_time(11)
    assert len(closed) == 1


def test_many_requests_need_one_timer(clock, timer):
    for _ in range(1000):
        timer.begin()
        timer.end()
    assert clock.timers == 1


def test_a_connection_that_is_gone_leaves_no_timer(clock, timer, closed):
    timer.begin()
    timer.stop()
    assert clock.due == []
    clock.pass_time(100)
    assert closed == []


@pytest.mark.usefixtures("runner")
async def test_it_works_on_a_loop_of_asyncio():
    over = asyncio.Event()
    timer = IdleTimer(asyncio.get_running_loop(), 0.01, over.set)
    timer.begin()
    await asyncio.wait_for(over.wait(), 10)
