"""Every test of the contract runs on every store; a test written as a coroutine runs on the loop of its backends."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.values import Bucket
from s3gate.storage.backend import Backend
from support.stores import ALICE, REGION, STORES, UPLOAD_STORES, Store


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new, empty store."""
    root = tmp_path / "root"
    root.mkdir()
    yield UPLOAD_STORES[request.param](root)
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
