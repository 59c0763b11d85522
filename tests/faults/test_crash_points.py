"""A process that ends at any file system call of any mutation leaves the old state or the new one, whole."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import crash
from support.crash import CRASHED, Crash, Point
from support.forks import in_child
from support.mutations import BY_NAME, LocalBackend, Mutation, copy, go_on, on
from support.observed import View, allowed, observe
from support.torture import MINUTES

SEED = 20
POINTS = 8  # of each mutation; `make torture` takes all of them


@dataclass
class Run:
    """A mutation with the states it may leave, and the calls it makes."""

    mutation: Mutation
    metadata: str
    start: Path
    old: View
    new: View
    calls: Crash


def mutate(root: Path, mutation: Mutation, calls: Crash, metadata: str) -> Crash:
    """The mutation with its calls counted; a bounded number of them before are those of the start of a backend."""

    async def run(backend: LocalBackend) -> None:
        calls.install()
        await mutation.run(backend)

    on(root, run, durability="full", metadata=metadata)
    return calls


@pytest.fixture(params=["xattr", "sidecar"])
def metadata(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BY_NAME)
def run(
    request: pytest.FixtureRequest, metadata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # it protects from what is not tried here, and takes long
    mutation = BY_NAME[request.param]
    start, done = tmp_path / "start", tmp_path / "done"
    start.mkdir()
    if mutation.foreign:
        (start / "bucket").mkdir()
    on(start, mutation.set_up, metadata=metadata)
    old = on(start, lambda backend: observe(backend, mutation.keys))
    copy(start, done)
    counting = Crash()
    _, calls = in_child(lambda: _counted(mutate(done, mutation, counting, metadata)))
    counting.names, counting.failed = calls
    new = on(done, lambda backend: observe(backend, mutation.keys, old.known))
    assert new != old
    assert counting.names
    yield Run(mutation, metadata, start, old, new, counting)
    subprocess.run(["rm", "-rf", start, done], check=True)


def _counted(calls: Crash) -> tuple[list[str], set[int]]:
    return calls.names, calls.failed


def crash_at(run: Run, point: Point, root: Path) -> None:
    """End a process at a point, then look with a new one, which goes on working."""
    copy(run.start, root)
    status, _ = in_child(lambda: mutate(root, run.mutation, Crash(point), run.metadata) and None)
    assert status == CRASHED, f"{point} was not reached"

    async def look(backend: LocalBackend) -> None:
        seen = await observe(backend, run.mutation.keys, run.old.known)
        if seen not in allowed(run.old, run.new):
            raise AssertionError(f"not the old state:\n{run.old.lacks(seen)}\nnor the new one:\n{run.new.lacks(seen)}")
        await go_on(backend, run.mutation)

    in_child(lambda: on(root, look, metadata=run.metadata))


def chosen(run: Run) -> list[Point]:
    every = crash.points(run.calls)
    if MINUTES:
        return every
    distinct = crash.distinct(every)
    if len(distinct) <= POINTS:
        return distinct
    picked = random.Random(f"{SEED} {run.mutation.name} {run.metadata}").sample(distinct[1:-1], POINTS - 2)
    return [distinct[0], *sorted(picked, key=lambda point: point.number), distinct[-1]]


def test_a_crash_anywhere_leaves_the_old_state_or_the_new_one(run: Run, tmp_path: Path) -> None:
    failures = []
    for point in chosen(run):
        try:
            crash_at(run, point, tmp_path / "root")
        except AssertionError as error:
            failures.append(f"{point} of {run.calls.names}:\n{error}")
    if failures:
        pytest.fail(f"{len(failures)} points\n" + "\n".join(failures[:3]), pytrace=False)
