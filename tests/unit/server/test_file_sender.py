"""Files over sockets: who reads slowly, who goes away, what is cut short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from s3gate.server import file_sender
from s3gate.server.file_sender import FileEnded, FileSender

SIZE = 9_000_001
DATA = random.Random(1).randbytes(SIZE)


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


@pytest.fixture(params=["in memory", "on disk"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the bytes of the file are, as far as the sender can tell."""
    if request.param == "on disk":
        monkeypatch.setattr(file_sender, "_is_resident", lambda *_: False)
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@contextlib.asynccontextmanager
async def connected(
    executor: ThreadPoolExecutor, step: int = file_sender.STEP_BYTES
) -> AsyncIterator[tuple[FileSender, socket.socket]]:
    """A sender and the other end of its connection."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        sender = FileSender(near.fileno(), executor, step)
        try:
            yield sender, far
        finally:
            sender.close()


def unchanged() -> None:
    """The file is as it was."""


async def read(far: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size and (piece := await loop.sock_recv(far, 1 << 20)):
        data += piece
    return data


@pytest.mark.parametrize(("start", "end"), [(0, SIZE), (1, 2), (4095, 700_000), (SIZE - 600_000, SIZE), (5, 5)])
async def test_a_range_arrives_as_it_is(runner, executor, where, file, start, end):
    async with connected(executor) as (sender, far):
        sending = asyncio.create_task(sender.send(file, start, end - start, unchanged))
        assert await read(far, end - start) == DATA[start:end]
        await sending


@pytest.mark.parametrize("step", [1 << 19, 1 << 20, 1 << 21])
async def test_no_more_is_sent_at_once_than_is_set(runner, executor, where, file, monkeypatch, step):
    sent: list[int] = []
    sendfile = os.sendfile

    def noted(target: int, source: int, offset: int, count: int) -> int:
        sent.append(count)
        return sendfile(target, source, offset, count)

    monkeypatch.setattr(os, "sendfile", noted)
    async with connected(executor, step) as (sender, far):
        sending = asyncio.create_task(sender.send(file, 0, SIZE, unchanged))
        assert await read(far, SIZE) == DATA
        await sending
    assert max(sent) == step


async def test_what_goes_before_a_file_arrives_before_it(runner, executor, where, file):
    async with connected(executor) as (sender, far):
        assert sender.begin(b"head") == 4
        sending = asyncio.create_task(sender.send(file, 7, 100_000, unchanged))
        assert await read(far, 100_004) == b"head" + DATA[7:100_007]
        await sending
        assert sender.sent == 100_000


async def test_a_full_socket_takes_nothing_before_a_file(runner, executor):
    async with connected(executor) as (sender, far):
        filled = 0
        while taken := sender.begin(DATA[filled : filled + 100_000]):
            filled += taken
        assert sender.begin(b"head") == 0
        assert await read(far, filled) == DATA[:filled]


@pytest.mark.parametrize("size", [SIZE, 100_000, 10, 0])
async def test_the_last_bytes_stay_back_when_the_check_fails(runner, executor, where, file, size):
    async with connected(executor) as (sender, far):

        def changed() -> None:
            raise KeyError("changed")

        sending = asyncio.create_task(sender.send(file, 0, size, changed))
        kept = min(size, 16 << 10)
        assert await read(far, size - kept) == DATA[: size - kept]
        with pytest.raises(KeyError):
            await sending
        assert sender.sent == size - kept


async def test_one_range_follows_the_other(runner, executor, where, file):
    async with connected(executor) as (sender, far):
        reading = asyncio.create_task(read(far, 2_000_000))
        await sender.send(file, 0, 1_000_000, unchanged)
        await sender.send(file, 0, 1_000_000, unchanged)
        assert await reading == DATA[:1_000_000] * 2


async def test_readers_that_stall_hold_no_thread(runner, executor, where, file):
    """There is one thread, and twenty clients that read nothing."""
    async with contextlib.AsyncExitStack() as stack:
        stalled = []
        for _ in range(20):
            sender, far = await stack.enter_async_context(connected(executor))
            stalled.append((asyncio.create_task(sender.send(file, 0, SIZE, unchanged)), far))
        sender, far = await stack.enter_async_context(connected(executor))
        sending = asyncio.create_task(sender.send(file, 0, SIZE, unchanged))
        assert await read(far, SIZE) == DATA
        await sending
        assert not any(task.done() for task, _ in stalled)
        for task, far in stalled:
            assert await read(far, SIZE) == DATA
            await task


async def test_a_file_that_is_cut_short_is_told_and_not_padded(runner, executor, where, file):
    async with connected(executor) as (sender, far):
        sending = asyncio.create_task(sender.send(file, 0, SIZE, unchanged))
        got = await read(far, 1)
        os.ftruncate(file, 5_000_000)
        got += await read(far, 5_000_000 - len(got))
        with pytest.raises(FileEnded):
            await sending
        assert got == DATA[:5_000_000]


async def test_a_client_that_goes_away_is_told(runner, executor, where, file):
    async with connected(executor) as (sender, far):
        sending = asyncio.create_task(sender.send(file, 0, SIZE, unchanged))
        await read(far, 1)
        far.close()
        with pytest.raises(ConnectionError):
            await sending


async def test_a_sender_that_is_abandoned_waits_no_longer(runner, executor, where, file):
    async with connected(executor) as (sender, far):
        sending = asyncio.create_task(sender.send(file, 0, SIZE, unchanged))
        await read(far, 1)
        await asyncio.sleep(0.01)
        sender.abandon()
        with pytest.raises(ConnectionAbortedError):
            await sending


async def test_a_sender_that_waits_for_its_socket_can_be_cancelled(runner, executor, where, file):
    async with connected(executor) as (sender, far):
        sending = asyncio.create_task(sender.send(file, 0, SIZE, unchanged))
        await read(far, 1)
        await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_thread_that_still_sends_is_waited_for_when_the_task_is_cancelled(runner, executor, file, monkeypatch):
    """Else the descriptors that it uses could become those of another file and another connection."""
    monkeypatch.setattr(file_sender, "_is_resident", lambda *_: False)
    begun, go_on = threading.Event(), threading.Event()
    sendfile: Callable[..., int] = os.sendfile

    def slow(*arguments: int) -> int:
        begun.set()
        assert go_on.wait(30)
        return sendfile(*arguments)

    monkeypatch.setattr(os, "sendfile", slow)
    async with connected(executor) as (sender, _):
        sending = asyncio.create_task(sender.send(file, 0, 1000, unchanged))
        await asyncio.to_thread(begun.wait, 30)
        for _ in range(3):
            sending.cancel()
            await asyncio.sleep(0.01)
            assert not sending.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_an_error_of_the_disk_is_told(runner, executor, where, tmp_path):
    """A directory stands for a file that cannot be read."""
    directory = os.open(tmp_path, os.O_RDONLY)
    async with connected(executor) as (sender, _):
        with pytest.raises(OSError, match=r"Invalid argument|Is a directory"):
            await sender.send(directory, 0, 10, unchanged)
    os.close(directory)


def test_bytes_in_memory_are_known_to_be_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA[:100_000])
    with path.open("rb") as file:
        file.read()
        is_known = file_sender._is_resident(file.fileno(), 0, 100_000)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        is_known_afterwards = file_sender._is_resident(file.fileno(), 0, 100_000)
    # A filesystem of which the kernel cannot tell is taken for a slow one.
    assert is_known or not is_known_afterwards
