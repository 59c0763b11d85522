"""Every test of the contract runs on every store; a test written as a coroutine runs on the loop of its backends."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from support.stores import ALICE, REGION, STORES, Store


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on the loop of the `runner` fixture."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    runner = pyfuncitem.funcargs["runner"]
    assert isinstance(runner, asyncio.Runner)
    runner.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new, empty store."""
    root = tmp_path / "root"
    root.mkdir()
    yield STORES[request.param](root)
    # A key of 1024 slashes makes a tree too deep for shutil.rmtree, with which pytest clears its directories away.
    subprocess.run(["rm", "-rf", "--", root], check=True)


@pytest.fixture
def backend(store: Store, runner: asyncio.Runner) -> Iterator[Backend]:
    """A started backend of the store."""
    backend = store()
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def another(store: Store, runner: asyncio.Runner, backend: Backend) -> Iterator[Backend]:
    """A second backend of the same store, which knows nothing of the first."""
    another = store()
    runner.run(another.start())
    yield another
    runner.run(another.stop())


@pytest.fixture
def bucket(backend: Backend, runner: asyncio.Runner) -> Bucket:
    """An empty bucket of Alice's."""
    return runner.run(backend.create_bucket("bucket", ALICE, REGION))
