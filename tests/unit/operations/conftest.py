"""Operations on the reference backend; a test written as a coroutine runs on the loop of its `runner`."""

from __future__ import annotations

import asyncio

import pytest

from support.operations import ALICE, Bench
from support.versions import set_versioning


@pytest.fixture
def bench(runner: asyncio.Runner) -> Bench:
    """A gateway in small with the empty bucket `b` of the caller's."""
    bench = Bench()
    runner.run(bench.storage.create_bucket("b", ALICE, "us-east-1"))
    return bench


@pytest.fixture
def versioned(bench: Bench, runner: asyncio.Runner) -> Bench:
    """The same with versioning enabled."""
    runner.run(set_versioning(bench, "Enabled"))
    return bench
