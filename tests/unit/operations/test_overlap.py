"""Steps under way beside their owner."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.operations.overlap import Overlap


async def test_steps_begin_in_order_and_no_more_than_allowed_are_under_way_while_the_owner_goes_on(
    runner: asyncio.Runner,
) -> None:
    begun: list[int] = []
    under_way: set[int] = set()

    async def step(number: int) -> None:
        begun.append(number)
        under_way.add(number)
        await asyncio.sleep(0.002 * (number % 3))
        under_way.discard(number)

    async with Overlap(2) as overlap:
        assert overlap.is_idle
        for number in range(10):
            await overlap.begin(step(number))
            assert len(under_way) <= 2
        assert not overlap.is_idle
    assert begun == list(range(10))
    assert not under_way


async def test_a_step_that_fails_interrupts_an_owner_that_waits_for_something_else(runner: asyncio.Runner) -> None:
    async def fail() -> None:
        raise LookupError("the step")

    async def own() -> None:
        async with Overlap(2) as overlap:
            await overlap.begin(fail())
            await asyncio.Event().wait()

    with pytest.raises(LookupError, match="the step"):
        await own()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # not cancelled


@pytest.mark.parametrize("ahead", [0, 2])
async def test_a_step_that_fails_behind_the_body_fails_the_block(runner: asyncio.Runner, ahead: int) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise LookupError("the step")

    with pytest.raises(LookupError):
        async with Overlap(ahead) as overlap:
            await overlap.begin(fail())


async def test_the_first_of_several_failures_counts(runner: asyncio.Runner) -> None:
    async def fail(seconds: float, error: Exception) -> None:
        await asyncio.sleep(seconds)
        raise error

    async def own() -> None:
        async with Overlap(2) as overlap:
            await overlap.begin(fail(0.005, ValueError()))
            await overlap.begin(fail(0.001, LookupError()))

    with pytest.raises(LookupError):
        await own()


@pytest.mark.parametrize("how", ["error", "cancelled"])
async def test_steps_are_ended_with_an_owner_that_fails_or_is_cancelled(runner: asyncio.Runner, how: str) -> None:
    ended = asyncio.Event()

    async def step() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.005)  # as a thread is waited for
            ended.set()

    async def own() -> None:
        async with Overlap(2) as overlap:
            await overlap.begin(step())
            await asyncio.sleep(0)
            if how == "error":
                raise LookupError
            await asyncio.Event().wait()

    owner = asyncio.create_task(own())
    await asyncio.sleep(0.002)
    if how == "cancelled":
        owner.cancel()
    await asyncio.wait([owner])
    assert ended.is_set()
    assert owner.cancelled() is (how == "cancelled")
    assert owner.cancelled() or isinstance(owner.exception(), LookupError)


async def test_a_cancellation_from_outside_is_not_taken_for_a_failure_of_a_step(runner: asyncio.Runner) -> None:
    async def fail() -> None:
        raise LookupError

    async def own() -> None:
        async with Overlap(2) as overlap:
            await overlap.begin(fail())
            owner.cancel()
            await asyncio.Event().wait()

    owner = asyncio.create_task(own())
    await asyncio.wait([owner])
    assert owner.cancelled()
