"""Locks of every kind exclude tasks and processes, and give way to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.core.errors import S3Error
from s3gate.storage.filesystem import locks as locks_module
from s3gate.storage.filesystem.lock_choice import KINDS
from s3gate.storage.filesystem.lock_kinds import LockKind
from s3gate.storage.filesystem.locks import KeyLocks, Lease, LeaseExpired
from support.forks import in_child
from support.processes import own_descriptors

_ROUNDS = 200


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.excludes])
def kind(request: pytest.FixtureRequest) -> LockKind:
    return KINDS[request.param]


@pytest.fixture(params=list(KINDS))
def any_kind(request: pytest.FixtureRequest) -> LockKind:
    return KINDS[request.param]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def open_locks(kind: LockKind, directory: Path) -> KeyLocks:
    with opened(directory) as fd:
        return KeyLocks(kind.names(fd, b"keys"))


def count_up(kind: LockKind, directory: Path, rounds: int) -> None:
    """Read, wait, write back: loses counts unless the lock excludes everybody else."""
    counter = directory / "counter"

    async def work() -> None:
        holders = [open_locks(kind, directory) for _ in range(2)]

        async def one(locks: KeyLocks) -> None:
            async with locks.hold(b"key", b"counter"):
                value = int(counter.read_text())
                await asyncio.sleep(0)
                counter.write_text(str(value + 1))

        for _ in range(rounds // 20):
            await asyncio.gather(*(one(holders[n % 2]) for n in range(20)))
            # A holder that ends, and one that is only looked at, take nobody's lock along.
            open_locks(kind, directory).close()
        for locks in holders:
            locks.close()

    asyncio.run(work())


def test_a_key_is_held_by_one_task_of_one_process_at_a_time(kind: LockKind, tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=count_up, args=(kind, tmp_path, _ROUNDS)) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == str(3 * _ROUNDS)


def test_two_holders_in_one_process_exclude_each_other(any_kind: LockKind, tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    count_up(any_kind, tmp_path, _ROUNDS)
    assert (tmp_path / "counter").read_text() == str(_ROUNDS)


def test_other_keys_and_other_spaces_do_not_wait(any_kind: LockKind, tmp_path: Path) -> None:
    async def work() -> None:
        locks = open_locks(any_kind, tmp_path)
        async with asyncio.timeout(5), locks.hold(b"key", b"a"), locks.hold(b"key", b"b"), locks.hold(b"upload", b"a"):
            pass
        locks.close()

    asyncio.run(work())


def test_a_lock_that_cannot_be_had_answers_slow_down(
    any_kind: LockKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_module, "_TIMEOUT", 0.05)

    async def work() -> None:
        first, second = open_locks(any_kind, tmp_path), open_locks(any_kind, tmp_path)
        async with first.hold(b"key", b"a"):
            for other in (first, second):
                with pytest.raises(S3Error) as raised:
                    async with other.hold(b"key", b"a"):
                        pass
                assert raised.value.code == "SlowDown"
        async with asyncio.timeout(5), second.hold(b"key", b"a"):
            pass
        first.close()
        second.close()

    asyncio.run(work())


def test_a_task_that_is_cancelled_while_it_waits_passes_its_turn_on(any_kind: LockKind, tmp_path: Path) -> None:
    async def work() -> None:
        locks = open_locks(any_kind, tmp_path)
        taken = []

        async def take(name: str) -> None:
            async with locks.hold(b"key", b"a"):
                taken.append(name)
                await asyncio.sleep(0)

        async with locks.hold(b"key", b"a"):
            tasks = [asyncio.create_task(take(name)) for name in "abc"]
            await asyncio.sleep(0)
            tasks[1].cancel()
        async with asyncio.timeout(5):
            await asyncio.wait(tasks)
        assert taken == ["a", "c"]
        locks.close()

    asyncio.run(work())


def test_a_locked_file_is_seen_as_such_by_everybody_until_its_holder_ends(kind: LockKind, tmp_path: Path) -> None:
    with opened(tmp_path) as fd:
        lock = kind.take(fd, b"file")
        assert lock is not None

        def look() -> list[bool]:
            return [kind.is_taken(fd, b"file"), kind.take(fd, b"file") is not None]

        # The holder's own looks and attempts, which open the file and close it again, do not take the lock away.
        assert look() == [True, False]
        assert in_child(look) == (0, [True, False])
        lock.close()
        assert not kind.is_taken(fd, b"file")
        assert in_child(look) == (0, [False, True])
        with pytest.raises(FileNotFoundError):
            kind.is_taken(fd, b"missing")


def test_the_lock_of_a_process_that_was_killed_is_free(kind: LockKind, tmp_path: Path) -> None:
    with opened(tmp_path) as fd:

        def take_and_die() -> None:
            assert kind.take(fd, b"file") is not None
            os.kill(os.getpid(), 9)

        assert in_child(take_and_die)[0] == -9
        lock = kind.take(fd, b"file")
        assert lock is not None
        lock.close()


def test_locks_keep_no_descriptor_when_their_holders_have_ended(any_kind: LockKind, tmp_path: Path) -> None:
    async def work() -> None:
        for _ in range(3):
            holders = [open_locks(any_kind, tmp_path) for _ in range(5)]
            async with holders[0].hold(b"key", b"a"), holders[1].hold(b"key", b"b"):
                pass
            for locks in holders:
                locks.close()

    before = own_descriptors(tmp_path)
    asyncio.run(work())
    assert len(own_descriptors(tmp_path)) == len(before)


def test_a_lock_file_that_gets_another_name_is_still_open_once(tmp_path: Path) -> None:
    kind = KINDS["posix"]
    with opened(tmp_path) as fd:
        lock = kind.take(fd, b"file")
        assert lock is not None
        (tmp_path / "other").hardlink_to(tmp_path / "file")
        assert kind.take(fd, b"other") is None
        assert in_child(lambda: kind.take(fd, b"file") is None) == (0, True)
        lock.close()


def test_names_of_one_stripe_wait_for_each_other_and_spaces_never_do(tmp_path: Path) -> None:
    with opened(tmp_path) as fd:
        locks = KINDS["flock"].names(fd, b"keys")
    slots = {locks.slot(b"key", b"%d" % n) for n in range(20_000)}
    assert len(slots) == 1024
    assert not slots & {locks.slot(b"upload", b"%d" % n) for n in range(20_000)}
    locks.close()


def test_where_it_is_not_sure_that_a_process_is_alone_everything_counts_as_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with opened(tmp_path) as fd:
        assert KINDS["none"].is_taken(fd, b"file")


def test_a_lease_ends_after_a_while_by_the_clock_that_runs_while_the_machine_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lease = Lease()
    lease.check()
    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + 21 * (which == time.CLOCK_BOOTTIME))
    with pytest.raises(LeaseExpired):
        lease.check()
