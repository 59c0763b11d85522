"""Processes that work on one directory, each with keys of its own and with shared ones, while they are killed."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from support.forks import fork, in_child, status_of
from support.journal import Journal
from support.mutations import LocalBackend, on
from support.stores import ALICE, REGION, get_with_record, set_versioning
from support.worker import Worker

__all__ = ["LOCKS", "METADATA", "MINUTES", "PROCESSES", "SEED", "Outcome", "torture"]

# Set by `make torture`: how long; without it everything has the bounds of an ordinary test run.
MINUTES = float(os.environ.get("S3GATE_TORTURE_MINUTES", "0"))
PROCESSES = int(os.environ.get("S3GATE_TORTURE_PROCESSES", "4"))
SEED = int(os.environ.get("S3GATE_TORTURE_SEED", "0"))  # 0: another one each time
METADATA = ("xattr", "sidecar")
LOCKS = ("ofd", "posix", "flock")


@dataclass
class Outcome:
    """What was done."""

    seconds: float = 0
    processes: int = 0
    kills: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in sorted(self.counts.items()))
        return f"{self.processes} processes, {self.seconds:.0f} s: {self.kills} kills, {counts}"


def torture(
    root: Path, journals: Path, *, seed: int, seconds: float, processes: int, metadata: str = "", locks: str = ""
) -> Outcome:
    """Let processes work and kill them for `seconds`; AssertionError, with the seed, where anything is wrong then.

    Where the records are, and how the processes keep one another out, is by chance unless it is given.
    """
    chance = random.Random(seed)
    metadata = metadata or chance.choice(METADATA)
    locks = locks or chance.choice(LOCKS)
    outcome = Outcome(seconds, processes)
    try:
        in_child(lambda: on(root, lambda backend: _prepare(backend, processes), metadata=metadata, locks=locks))
        _storm(root, journals, chance, outcome)
        for number in range(processes):  # what the last ones left, seen by new ones
            status = status_of(_start(root, journals, number, chance, deadline=0))
            assert status == 0, _why(journals, number)
        _check_shared(root, journals, outcome)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, {processes} processes, {metadata}, {locks} locks: {error}") from error
    return outcome


async def _prepare(backend: LocalBackend, processes: int) -> None:
    for name in ("plain", "kept", "shared", *(f"mixed-{number}" for number in range(processes))):
        await backend.create_bucket(name, ALICE, REGION)
    await set_versioning(backend, await backend.find_bucket("kept"), "Enabled")


def _start(root: Path, journals: Path, number: int, chance: random.Random, deadline: float) -> int:
    seed, durability = chance.random(), chance.choice(["none", "none", "data", "full"])

    def work() -> None:
        worker = Worker(number, Journal(journals / str(number)), random.Random(seed), deadline)
        try:
            on(root, worker.run, durability=durability)
        except BaseException:
            (journals / f"{number}.error").write_text(traceback.format_exc())
            raise

    return fork(work)


def _why(journals: Path, number: int) -> str:
    error = journals / f"{number}.error"
    return f"process {number}:\n{error.read_text() if error.exists() else 'ended without a word'}"


def _storm(root: Path, journals: Path, chance: random.Random, outcome: Outcome) -> None:
    """Kill one process after the other and start another one in its place, until the time is over."""
    deadline = time.monotonic() + outcome.seconds
    running = {number: _start(root, journals, number, chance, deadline) for number in range(outcome.processes)}
    try:
        while time.monotonic() < deadline - 1:
            time.sleep(chance.choice([0.01, 0.05, 0.1, 0.4]))
            number = chance.randrange(outcome.processes)
            os.kill(running[number], signal.SIGKILL)
            status = status_of(running.pop(number))
            assert status == -signal.SIGKILL, _why(journals, number)
            outcome.kills += 1
            running[number] = _start(root, journals, number, chance, deadline)
        for number in list(running):
            assert status_of(running.pop(number)) == 0, _why(journals, number)
    finally:
        for pid in running.values():
            os.kill(pid, signal.SIGKILL)
            status_of(pid)


def _check_shared(root: Path, journals: Path, outcome: Outcome) -> None:
    """No increment that was acknowledged is lost, and of those who created a key first exactly one was told so."""
    told: Counter[int] = Counter()
    tried: set[int] = set()
    winners: dict[str, str] = {}
    attempts: dict[str, set[str]] = {}
    for number in range(outcome.processes):
        journal = Journal(journals / str(number))
        for line in journal.lines():
            if line["kind"] == "count":
                outcome.counts.update(line["counts"])
        for what, result in journal.operations():
            done = result is not None and result["kind"] == "done"
            outcome.counts["operations"] += result is not None
            outcome.counts["operations cut short"] += result is None
            if what["op"] == "increment":
                told[what["value"]] += done
                tried |= {what["value"]} if result is None else set()
            elif what["op"] == "create":
                assert not (done and what["name"] in winners), f"two have created {what['name']}"
                attempts.setdefault(what["name"], set()).add(what["digest"])
                if done:
                    winners[what["name"]] = what["digest"]

    async def look(backend: LocalBackend) -> None:
        bucket = await backend.find_bucket("shared")
        value = int((await get_with_record(backend, bucket, "counter"))[0])
        assert max(told.values()) == 1, f"lost increments: {[n for n, times in told.items() if times > 1]}"
        for n in range(1, value + 1):
            assert told[n] or n in tried, f"nobody made the counter {n}"
        assert max(n for n in told if told[n]) <= value, "acknowledged increments are lost"
        for name in attempts:
            if name in winners:
                _, record = await get_with_record(backend, bucket, name)
                assert record.etag == winners[name], f"{name} is not that of who created it"

    on(root, look)
    outcome.counts["acknowledged increments"] = sum(told.values())
    outcome.counts["acknowledged creations"] = len(winners)
