"""Requests that come together: their order, and that of their answers."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.server import turns
from s3gate.server.turns import Turns


class Transport:
    """A connection that writes down what it is given; one that `fails` does so because it is `closed`, or broken."""

    def __init__(self, log: list[str], fails: bool = False, closed: bool = True) -> None:
        self._log = log
        self._fails = fails
        self._closed = closed

    def is_closing(self) -> bool:
        return self._fails and self._closed

    def write(self, piece: bytes) -> None:
        if self._fails:
            raise RuntimeError("closed")
        self._log.append(f"wrote {piece.decode()}")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request counts as come with the one before."""
    monkeypatch.setattr(turns, "_TOGETHER_SECONDS", float("inf"))


def served(names: list[str], *, fails: str = "", closed: bool = True) -> list[str]:
    """What happens where these come in one turn of the loop; each request answers with its own name."""
    log: list[str] = []

    async def run() -> None:
        loop, group = asyncio.get_running_loop(), Turns()

        def answer(name: str) -> None:
            log.append(f"ran {name}")
            group.write(Transport(log, name == fails, closed), [name.encode()])

        for name in names:
            group.run(loop, answer, name)
        log.append("read")
        await asyncio.sleep(0)

    asyncio.run(run())
    return log


def test_who_comes_alone_is_served_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_TOGETHER_SECONDS", -1.0)
    assert served(["a", "b"]) == ["ran a", "wrote a", "ran b", "wrote b", "read"]


@pytest.mark.usefixtures("together")
def test_those_who_come_together_are_run_when_all_are_read_and_answered_when_all_are_run() -> None:
    assert served(["a", "b"]) == ["read", "ran a", "ran b", "wrote a", "wrote b"]


@pytest.mark.usefixtures("together")
def test_no_more_than_a_group_is_run_before_its_answers_are_written() -> None:
    names = [str(number) for number in range(turns._AT_ONCE + 1)]
    log = served(names)
    assert log.index("wrote 0") == log.index(f"ran {turns._AT_ONCE}") - turns._AT_ONCE
    assert [line for line in log if line.startswith("wrote")] == [f"wrote {name}" for name in names]


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.usefixtures("together")
def test_a_connection_that_cannot_be_written_to_costs_no_other_its_answer(
    closed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """That a client has gone is nothing to tell; that one which is there gets no answer is."""
    assert served(["a", "b", "c"], fails="b", closed=closed)[-2:] == ["wrote a", "wrote c"]
    assert ("an answer could not be written" in caplog.text) is not closed


@pytest.mark.usefixtures("together")
def test_who_comes_while_others_are_run_waits_for_the_next_turn() -> None:
    log: list[str] = []

    async def run() -> None:
        loop, group = asyncio.get_running_loop(), Turns()

        def work(name: str) -> None:
            log.append(name)
            if name == "a":
                group.run(loop, work, "c")

        group.run(loop, work, "a")
        group.run(loop, work, "b")
        await asyncio.sleep(0)
        log.append("next turn")
        await asyncio.sleep(0)

    asyncio.run(run())
    assert log == ["a", "b", "next turn", "c"]


def test_flush_writes_what_waits_before_what_is_written_now(together: None) -> None:
    log: list[str] = []

    async def run() -> None:
        loop, group = asyncio.get_running_loop(), Turns()
        transport = Transport(log)

        def work(name: str) -> None:
            group.write(transport, [b"answer"])
            group.flush()
            transport.write(b"refusal")

        group.run(loop, work, "a")
        await asyncio.sleep(0)

    asyncio.run(run())
    assert log == ["wrote answer", "wrote refusal"]


@pytest.mark.usefixtures("together")
def test_a_request_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    async def run() -> None:
        loop, group = asyncio.get_running_loop(), Turns()

        def work(name: str) -> None:
            if name == "broken":
                raise RuntimeError(name)
            group.write(Transport(log), [name.encode()])

        for name in ("a", "broken", "b"):
            group.run(loop, work, name)
        await asyncio.sleep(0)
        group.write(Transport(log), [b"later"])

    asyncio.run(run())
    assert log == ["wrote a", "wrote b", "wrote later"]
    assert "could not be run" in caplog.text


def test_an_answer_never_goes_by_writelines() -> None:
    pieces: list[bytes] = []

    class Old:
        """One whose writelines() knows neither flow control nor a lost connection, as asyncio has had it."""

        def write(self, data: bytes) -> None:
            pieces.append(data)

        def writelines(self, _: object) -> None:
            raise AttributeError("'NoneType' object has no attribute 'send'")

    Turns().write(Old(), [b"head", b"body"])
    assert pieces == [b"head", b"body"]
