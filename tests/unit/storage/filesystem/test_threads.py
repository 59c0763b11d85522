"""Work in threads: its result, its errors, and that nobody goes on before its end."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3gate.storage.filesystem.threads import close_read_file, run_to_end


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def test_what_the_work_gives_is_given(runner, executor):
    assert await run_to_end(executor, divmod, 7, 2) == (3, 1)


async def test_an_error_of_the_work_is_raised(runner, executor):
    with pytest.raises(ZeroDivisionError):
        await run_to_end(executor, divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_task_that_is_cancelled_ends_behind_its_work(runner, executor, fails, caplog):
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        assert go_on.wait(30)
        return 1 // (not fails)

    task = asyncio.create_task(run_to_end(executor, work))
    await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert not caplog.records, "an error that nobody asks for any more is no fault of the gateway"


async def test_work_that_is_taken_from_the_executor_is_cancelled(runner):
    executor = ThreadPoolExecutor(1)
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> bool:
        begun.set()
        return go_on.wait(30)

    first = asyncio.create_task(run_to_end(executor, hold))
    await asyncio.to_thread(begun.wait, 30)
    second = asyncio.create_task(run_to_end(executor, int))
    await asyncio.sleep(0)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    assert await first


def test_a_large_file_that_the_server_has_forgotten_is_closed_all_the_same(tmp_path, executor, monkeypatch):
    def forgotten(_fd: int) -> os.stat_result:
        raise OSError(errno.ESTALE, "stale")

    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", forgotten)
        close_read_file(executor, fd, 1 << 30)
    executor.shutdown()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
