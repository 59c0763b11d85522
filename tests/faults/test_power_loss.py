"""What is on the disk after a loss of power: an acknowledged mutation, by the setting, and nothing torn.

The classes of file systems are those of support.power. What is asserted for each is what docs/guarantees.md promises.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.forks import in_child
from support.mutations import BY_NAME, LocalBackend, Mutation, copy, go_on, on
from support.observed import View, allowed, observe
from support.power import CLASSES, Disk, Event, Recorder, State, states
from support.torture import MINUTES

SEED = 7
STATES = 6  # of each mutation, setting and class; `make torture` takes up to MOST
MOST = 500


def record(mutation: Mutation, root: Path, metadata: str, durability: str) -> tuple[Disk, list[Event]]:
    """Run the mutation; gives the disk before it and its calls up to the moment it was acknowledged."""

    async def run(backend: LocalBackend) -> tuple[Disk, list[Event]]:
        recorder = Recorder(str(root))
        recorder.install()
        await mutation.run(backend)
        return recorder.start, recorder.events[:]

    _, recorded = in_child(lambda: on(root, run, metadata=metadata, durability=durability))
    assert recorded is not None
    return recorded


@dataclass
class Before:
    """A mutation and the start state for it."""

    mutation: Mutation
    metadata: str
    start: Path
    old: View


@pytest.fixture(params=["xattr", "sidecar"])
def metadata(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# The bucket in use is used by another process, whose calls are not recorded.
@pytest.fixture(params=[name for name in BY_NAME if name != "delete-bucket-in-use"])
def before(
    request: pytest.FixtureRequest, metadata: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Before]:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # noted, but not needed: the power is not really lost
    mutation = BY_NAME[request.param]
    start = tmp_path / "start"
    start.mkdir()
    if mutation.foreign:
        (start / "bucket").mkdir()
    on(start, mutation.set_up, metadata=metadata)
    yield Before(mutation, metadata, start, on(start, lambda backend: observe(backend, mutation.keys)))
    subprocess.run(["rm", "-rf", start], check=True)


def chosen(every: list[State], chance: random.Random) -> list[State]:
    """A number of states that can be tried; of those after the acknowledgement, more than their share."""
    count = MOST if MINUTES else STATES
    acknowledged = [state for state in every if state.acknowledged]
    others = [state for state in every if not state.acknowledged]
    late = chance.sample(acknowledged, min(len(acknowledged), count // 2))
    return late + chance.sample(others, min(len(others), count - len(late)))


def check(seen: View, state: State, old: View, new: View, kind: str, durability: str) -> None:
    """What the setting promises in this class of file systems; that each ETag is that of the bytes, `seen` proves."""
    if durability == "full" and state.acknowledged:
        wanted = [new]
    elif durability != "none" and kind == "ordered":
        wanted = allowed(old, new)
    else:
        if durability != "none":
            contents = {row[:3] for row in old.objects + new.objects}
            assert {row[:3] for row in seen.objects} <= contents, f"neither old nor new:\n{new.lacks(seen)}"
        return
    if seen not in wanted:
        raise AssertionError(f"not the old state:\n{old.lacks(seen)}\nnor the new one:\n{new.lacks(seen)}")


@pytest.mark.parametrize("durability", ["full", "data", "none"])
def test_what_a_loss_of_power_leaves(before: Before, durability: str, tmp_path: Path) -> None:
    mutation = before.mutation
    done, root = tmp_path / "done", tmp_path / "root"
    start, events = record(mutation, copy(before.start, done), before.metadata, durability)
    new = on(done, lambda backend: observe(backend, mutation.keys, before.old.known))
    failures = []

    for kind in CLASSES:
        chance = random.Random(f"{SEED} {mutation.name} {before.metadata} {durability} {kind}")
        for state in chosen(states(start, events, kind, chance, 100 if MINUTES else 5), chance):
            subprocess.run(["rm", "-rf", root], check=True)
            state.disk.write_to(os.fsencode(root))

            async def look(backend: LocalBackend, state: State = state, kind: str = kind) -> None:
                seen = await observe(backend, mutation.keys, before.old.known, ordered=kind == "ordered")
                check(seen, state, before.old, new, kind, durability)
                await go_on(backend, mutation)

            try:
                on(root, look, metadata=before.metadata)
            except Exception as error:
                failures.append(f"{state.told}\n{type(error).__name__}: {error}")
    if failures:
        pytest.fail(f"{len(failures)} states\n" + "\n".join(failures[:5]), pytrace=False)
