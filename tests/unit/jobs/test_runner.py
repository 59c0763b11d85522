"""Jobs come round again, whatever becomes of them, until they are told to stop."""

from __future__ import annotations

import asyncio
import logging

from s3gate.jobs.runner import Job, running


async def test_a_job_that_fails_is_logged_and_comes_round_again_and_ends_with_the_block(runner, caplog):
    rounds = []
    enough = asyncio.Event()

    async def work() -> None:
        rounds.append(1)
        if len(rounds) > 2:
            enough.set()
        raise ValueError("once more")

    with caplog.at_level(logging.ERROR):
        async with running([Job("the job", work, every=0, first=0)]):
            await enough.wait()
    count = len(rounds)
    await asyncio.sleep(0.01)
    assert len(rounds) == count
    assert "the job failed" in caplog.text
    assert "once more" in caplog.text


async def test_a_job_under_way_is_cancelled_and_waited_for(runner):
    seen = []
    begun = asyncio.Event()

    async def work() -> None:
        seen.append("begun")
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("ended")

    async with running([Job("long", work, every=1, first=0)]):
        await begun.wait()
    assert seen == ["begun", "ended"]


async def test_nothing_is_done_before_its_time(runner):
    rounds = []

    async def work() -> None:
        rounds.append(1)

    async with running([Job("later", work, every=0, first=3600)]):
        await asyncio.sleep(0.01)
    assert rounds == []


async def test_no_jobs_are_no_trouble(runner):
    async with running([]):
        pass
