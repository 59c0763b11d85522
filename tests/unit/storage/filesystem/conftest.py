"""A started filesystem backend over a directory that the test sees as any other program would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.values import Bucket
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.stores import REGION


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The data directory."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def backend(root: Path, runner: asyncio.Runner) -> Iterator[FilesystemBackend]:
    backend = FilesystemBackend(str(root), durability="none", region=REGION)
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def bucket(root: Path, backend: FilesystemBackend, runner: asyncio.Runner) -> Bucket:
    """A directory that was there before the gateway, served as a bucket."""
    (root / "bucket").mkdir()
    return runner.run(backend.find_bucket("bucket"))
