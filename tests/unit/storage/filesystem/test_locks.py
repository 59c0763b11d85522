"""Key locks exclude tasks and processes, and give way to nobody else."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path

import pytest

from s3gate.core.errors import S3Error
from s3gate.storage.filesystem import locks as locks_module
from s3gate.storage.filesystem.locks import KeyLocks, locks_exclude_processes

_ROUNDS = 300


def open_locks(path: Path) -> KeyLocks:
    return KeyLocks(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def count_up(lock_file: Path, counter: Path, rounds: int) -> None:
    """Read, wait, write back: loses counts unless the lock excludes everybody else."""

    async def work() -> None:
        locks = open_locks(lock_file)

        async def one() -> None:
            async with locks.hold(b"key", b"counter"):
                value = int(counter.read_text())
                await asyncio.sleep(0)
                counter.write_text(str(value + 1))

        await asyncio.gather(*(one() for _ in range(rounds)))
        locks.close()

    asyncio.run(work())


def test_a_key_is_held_by_one_task_of_one_process_at_a_time(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=count_up, args=(tmp_path / "locks", counter, _ROUNDS)) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert counter.read_text() == str(3 * _ROUNDS)


def test_other_keys_and_other_spaces_do_not_wait(tmp_path: Path) -> None:
    async def work() -> None:
        locks = open_locks(tmp_path / "locks")
        async with asyncio.timeout(5), locks.hold(b"key", b"a"), locks.hold(b"key", b"b"), locks.hold(b"upload", b"a"):
            pass
        locks.close()

    asyncio.run(work())


def test_a_lock_that_cannot_be_had_answers_slow_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks_module, "_TIMEOUT", 0.05)

    async def work() -> None:
        first, second = open_locks(tmp_path / "locks"), open_locks(tmp_path / "locks")
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


def test_a_task_that_is_cancelled_while_it_waits_passes_its_turn_on(tmp_path: Path) -> None:
    async def work() -> None:
        locks = open_locks(tmp_path / "locks")
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


def test_the_probe_tells_whether_locks_exclude_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.fsencode(tmp_path / "probe")

    assert locks_exclude_processes(path)
    assert not (tmp_path / "probe").exists()

    monkeypatch.setattr(locks_module, "_try_lock", lambda fd, offset: True)  # a mount that locks nothing
    assert not locks_exclude_processes(path)
