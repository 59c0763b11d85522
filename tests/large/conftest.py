"""Room for large data that is gone after each test, and a line on the terminal for each figure."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

NEEDED = 16 * 10**9

Say = Callable[[str], None]
Timed = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def room() -> Iterator[Path]:
    """An empty directory beneath the temporary directory (TMPDIR), with 16 GB free; removed after the test."""
    with tempfile.TemporaryDirectory(prefix="s3gate-large-") as directory:
        free = shutil.disk_usage(directory).free
        assert free >= NEEDED, (
            f"{directory} has {free / 1e9:.1f} GB free, and this suite needs {NEEDED / 1e9:.0f}: "
            "make room, or set TMPDIR to a directory on a larger disk"
        )
        yield Path(directory)


@pytest.fixture
def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Say:
    """Print a line at once, whatever pytest captures."""

    def now(line: str) -> None:
        with capsys.disabled():
            print(f"\n    {request.node.name}: {line}", end="", flush=True)

    return now


@pytest.fixture
def timed(say: Say) -> Timed:
    """`with timed(what, size):` tells how long the block took, and how many MB/s that is when a size is given."""

    @contextmanager
    def measure(what: str, size: int = 0) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        say(f"{what} took {seconds:.1f} s" + (f", {size / seconds / 1e6:.0f} MB/s" if size else ""))

    return measure
