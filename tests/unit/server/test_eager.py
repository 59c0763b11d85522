from __future__ import annotations

import asyncio

import pytest

from s3gate.server.eager import Waiting, go_on, start

pytestmark = pytest.mark.usefixtures("runner")


async def answer(*waits) -> str:
    for wait in waits:
        await wait
    return "done"


async def test_a_coroutine_that_never_waits_is_run_to_its_end_at_once():
    assert start(answer()) == "done"


async def test_what_a_coroutine_raises_before_its_first_wait_is_raised_here():
    async def fails():
        raise KeyError("x")

    with pytest.raises(KeyError):
        start(fails())


async def test_a_coroutine_that_waits_goes_on_where_it_stands():
    coroutine = answer(asyncio.sleep(0), asyncio.sleep(0.001), asyncio.sleep(0))
    with pytest.raises(Waiting) as waiting:
        start(coroutine)
    assert await go_on(coroutine, waiting.value.future) == "done"


async def test_the_rest_can_be_a_task_that_is_cancelled_and_cleans_up():
    cleaned = []

    async def waits():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(True)

    coroutine = waits()
    with pytest.raises(Waiting) as waiting:
        start(coroutine)
    task = asyncio.create_task(go_on(coroutine, waiting.value.future))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_an_error_of_what_is_waited_for_reaches_the_coroutine():
    future = asyncio.get_running_loop().create_future()

    async def catches():
        try:
            await future
        except OSError as error:
            return str(error)

    coroutine = catches()
    with pytest.raises(Waiting) as waiting:
        start(coroutine)
    future.set_exception(OSError("broken"))
    assert await go_on(coroutine, waiting.value.future) == "broken"


async def test_a_time_limit_around_the_rest_ends_it():
    coroutine = answer(asyncio.sleep(60))
    with pytest.raises(Waiting) as waiting:
        start(coroutine)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await go_on(coroutine, waiting.value.future)
