"""One live gateway with two workers for the whole tier, and a bucket name of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.files import make_tree
from support.gateway import Gateway

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A valid bucket name that no other test uses; the bucket is not made yet."""
    return f"{request.path.stem.replace('_', '-')}-{next(_NUMBERS)}"


@pytest.fixture
def made_bucket(gateway: Gateway, bucket: str) -> str:
    """A bucket name for which the bucket is there."""
    gateway.boto3().create_bucket(Bucket=bucket)
    return bucket


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of small and middling files with awkward names."""
    return make_tree(tmp_path / "tree")
