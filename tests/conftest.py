"""Tests that are coroutines run on the loop of their `runner` fixture; the log of a test is its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterator

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on the loop of the `runner` fixture."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    pyfuncitem.funcargs["runner"].run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The loop that a test and its backends share."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Put the log back as it was: a command that runs in the process of the tests sets it for good."""
    loggers = [logging.getLogger(name) for name in ("", "asyncio", "uvicorn")]
    before = [logger.level for logger in loggers]
    yield
    loggers[0].handlers = [handler for handler in loggers[0].handlers if type(handler) is not logging.StreamHandler]
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
