"""A live gateway with two workers for the whole tier, and a bucket of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("served"), "--durability", "none") as running:
        yield running


@pytest.fixture(scope="session")
def s3(gateway: Gateway) -> Any:
    """A client that neither retries nor adds checksums of its own, so that a test says all that is sent."""
    return gateway.boto3(request_checksum_calculation="when_required", response_checksum_validation="when_required")


@pytest.fixture
def new_name(request: pytest.FixtureRequest) -> str:
    """A bucket name that no other test uses; the bucket is not made yet."""
    return f"{request.path.stem.replace('_', '-')}-{next(_NUMBERS)}"


@pytest.fixture
def bucket(s3: Any, new_name: str) -> str:
    s3.create_bucket(Bucket=new_name)
    return new_name


@pytest.fixture
def directory(gateway: Gateway, bucket: str) -> Path:
    """The directory of the bucket."""
    return gateway.root / bucket
