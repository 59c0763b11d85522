"""Lines on their way into a file: whole, all of them, from several processes, past a rotation and past errors."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import pytest

from s3gate.telemetry import log_file
from s3gate.telemetry.log_file import STDOUT, LogFile, open_log
from s3gate.telemetry.served import Served
from support.telemetry import served


def render(requests: Sequence[Served]) -> bytes:
    """The request ids, a line each."""
    return "".join(f"{request.request_id}\n" for request in requests).encode()


def run(
    path: Path | str, work: Callable[[LogFile], Coroutine[None, None, None]], render: log_file.Render = render
) -> list[int]:
    """Do something with an open log, close it, and give what was lost."""
    lost: list[int] = []

    async def whole() -> None:
        log = LogFile(str(path), render, lost.append)
        await log.start()
        try:
            await work(log)
        finally:
            await log.stop()

    asyncio.run(whole())
    return lost


def take(log: LogFile, *names: object) -> None:
    for name in names:
        log.take(served(request_id=str(name)))


def test_stopping_writes_what_is_left(tmp_path: Path):
    async def work(log: LogFile) -> None:
        take(log, *range(5))

    assert run(tmp_path / "log", work) == []
    assert (tmp_path / "log").read_text() == "0\n1\n2\n3\n4\n"


def test_a_line_is_written_soon_and_many_at_once(tmp_path: Path):
    path = tmp_path / "log"

    async def until(size: int) -> None:
        async with asyncio.timeout(20):
            while path.read_text().count("\n") < size:  # noqa: ASYNC110  # a file tells nobody that it has grown
                await asyncio.sleep(0.01)

    async def work(log: LogFile) -> None:
        take(log, "one")
        assert path.read_text() == ""
        await until(1)
        take(log, *range(64))
        await until(65)

    assert run(path, work) == []


def test_what_was_there_stays(tmp_path: Path):
    (tmp_path / "log").write_text("before\n")

    async def work(log: LogFile) -> None:
        take(log, "after")

    run(tmp_path / "log", work)
    assert (tmp_path / "log").read_text() == "before\nafter\n"


def test_a_log_is_not_for_everybody(tmp_path: Path):
    os.close(open_log(str(tmp_path / "log")))
    assert not stat.S_IMODE((tmp_path / "log").stat().st_mode) & 0o027


def test_after_a_rotation_no_line_is_lost_and_none_is_in_both_files(tmp_path: Path):
    path, moved = tmp_path / "log", tmp_path / "log.1"

    async def work(log: LogFile) -> None:
        take(log, *range(100))
        path.rename(moved)
        take(log, *range(100, 150))
        log.reopen()
        take(log, *range(150, 300))

    assert run(path, work) == []
    assert moved.read_text().split() == [str(number) for number in range(150)]
    assert path.read_text().split() == [str(number) for number in range(150, 300)]


def test_a_name_that_cannot_be_opened_again_keeps_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    directory = tmp_path / "logs"
    directory.mkdir()
    path, moved = directory / "log", tmp_path / "moved"

    async def work(log: LogFile) -> None:
        take(log, "one")
        path.rename(moved)
        directory.rmdir()
        log.reopen()
        take(log, "two")

    assert run(path, work) == []
    assert moved.read_text() == "one\ntwo\n"
    assert "cannot be opened again" in caplog.text


def test_a_log_that_cannot_be_opened_stops_nobody_and_begins_when_it_can(tmp_path: Path, caplog):
    """A worker that dies is replaced also while the directory of its log is not there."""
    directory = tmp_path / "logs"

    async def work(log: LogFile) -> None:
        take(log, "one", "two")
        log.flush()
        await asyncio.to_thread(log._thread.submit(lambda: None).result)  # the batch before it is done
        directory.mkdir()
        take(log, "three")

    assert run(directory / "log", work) == [2]
    assert (directory / "log").read_text() == "three\n"
    assert caplog.text.count("cannot be opened: No such file or directory") == 1


def test_a_log_that_was_never_opened_is_closed_and_opened_again(tmp_path: Path):
    directory = tmp_path / "logs"

    async def work(log: LogFile) -> None:
        log.reopen()
        await asyncio.to_thread(log._thread.submit(lambda: None).result)
        directory.mkdir()
        log.reopen()

    assert run(directory / "log", work) == []
    assert (directory / "log").read_text() == ""
    assert run(tmp_path / "none/log", lambda log: asyncio.sleep(0)) == []


def test_lines_that_cannot_be_made_are_lost_and_those_after_them_are_not(tmp_path: Path, caplog):
    def picky(requests: Sequence[Served]) -> bytes:
        if any(request.request_id == "bad" for request in requests):
            raise UnicodeError("bad")
        return render(requests)

    async def work(log: LogFile) -> None:
        take(log, "one", "bad")
        log.flush()
        take(log, "two")

    assert run(tmp_path / "log", work, picky) == [2]
    assert (tmp_path / "log").read_text() == "two\n"
    assert "2 lines of the log" in caplog.text


def test_lines_of_several_processes_stay_whole(tmp_path: Path):
    path = tmp_path / "log"
    children = []
    for worker in "abcd":
        child = os.fork()
        if not child:

            async def work(log: LogFile, worker: str = worker) -> None:
                take(log, *(worker * (number % 200 + 1) for number in range(400)))

            os._exit(len(run(path, work)))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    wanted = sorted(worker * (number % 200 + 1) for worker in "abcd" for number in range(400))
    assert sorted(path.read_text().split("\n")) == ["", *wanted]


def test_a_pipe_gets_each_line_in_one_write(monkeypatch: pytest.MonkeyPatch):
    """What another process writes to the same pipe never stands inside a line: writes up to PIPE_BUF are not mixed."""
    reader, writer = os.pipe()
    written: list[int] = []
    write = os.write

    def noted(fd: int, data: bytes) -> int:
        written.append(len(data))
        return write(fd, data)

    got: list[bytes] = []

    def read() -> None:
        while piece := os.read(reader, 65536):
            got.append(piece)

    listener = threading.Thread(target=read)
    listener.start()
    kept = os.dup(1)
    os.dup2(writer, 1)
    os.close(writer)
    try:

        async def work(log: LogFile) -> None:
            monkeypatch.setattr(os, "write", noted)
            take(log, *("x" * 900 for _ in range(50)))

        run(STDOUT, work)
    finally:
        monkeypatch.undo()
        os.dup2(kept, 1)
        os.close(kept)
    listener.join()
    os.close(reader)
    assert b"".join(got) == (b"x" * 900 + b"\n") * 50
    assert max(written) <= select.PIPE_BUF
    assert all(size % 901 == 0 for size in written)


def test_a_full_disk_loses_lines_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """What stands of a line that an error cut off is not joined with the next one."""
    path = tmp_path / "log"
    write, room = os.write, [7]

    def short(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        size = min(room[0], len(data))
        room[0] -= size
        return write(fd, bytes(data)[:size])

    async def work(log: LogFile) -> None:
        monkeypatch.setattr(os, "write", short)
        take(log, "one", "two", "three")
        log.flush()
        await asyncio.get_running_loop().run_in_executor(log._thread, int)
        monkeypatch.undo()
        take(log, "four")

    assert run(path, work) == [2]
    assert path.read_text() == "one\ntwo\nfour\n"[:4] + "two\nfour\n"[:3] + "\nfour\n"
    assert "No space left" in caplog.text


def test_a_reader_that_takes_nothing_loses_lines_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(log_file, "_MOST_WAITING", 1000)
    release = threading.Event()
    append = LogFile._append

    def held(self: LogFile, lines: bytes) -> None:
        release.wait(20)
        append(self, lines)

    monkeypatch.setattr(LogFile, "_append", held)

    async def work(log: LogFile) -> None:
        for _ in range(4):
            take(log, *("x" * 99 for _ in range(8)))
            log.flush()
        release.set()

    assert run(tmp_path / "log", work) == [8, 8]
    assert (tmp_path / "log").read_text().count("\n") == 16
    assert "fast enough" in caplog.text


def test_what_comes_after_the_end_is_lost_and_counted(tmp_path: Path):
    lost: list[int] = []

    async def whole() -> None:
        log = LogFile(str(tmp_path / "log"), render, lost.append)
        await log.start()
        take(log, "one")
        await log.stop()
        take(log, "two")
        log.flush()

    asyncio.run(whole())
    assert lost == [1]
    assert (tmp_path / "log").read_text() == "one\n"


def test_a_pipe_that_nobody_reads_is_told_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device or address"):
        open_log(str(tmp_path / "pipe"))
