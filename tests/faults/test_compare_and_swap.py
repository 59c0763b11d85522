"""Conditional writes are a true compare-and-swap: between clients, worker processes, and gateways on one directory."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.disk import staged
from support.gateway import Gateway
from support.torture import MINUTES
from support.wire_client import Answer, ask, connect

CLIENTS = 8
# By how many gateways with how many workers each, by which locks, and for how many rounds; `make torture` has more.
SETUPS = [([2], "ofd", 300), ([1, 1], "ofd", 300), ([2], "posix", 150), ([1, 1], "flock", 150)]
# So often each client opens a new connection: another worker may take it.
CONNECTION_ROUNDS = 10
LOST = {(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")}

# By number of the round: the method, the path and the headers of what all clients send at the same time.
Request = Callable[[int], tuple[str, str, dict[str, str]]]


@pytest.fixture(params=SETUPS, ids=lambda setup: f"{len(setup[0])} gateway(s) with {setup[0][0]} worker(s), {setup[1]}")
def setup(request: pytest.FixtureRequest) -> tuple[list[int], str, int]:
    chosen: tuple[list[int], str, int] = request.param
    return chosen


@pytest.fixture
def rounds(setup: tuple[list[int], str, int]) -> int:
    return setup[2] * (10 if MINUTES else 1)


@pytest.fixture
def gateways(setup: tuple[list[int], str, int], tmp_path: Path) -> Iterator[list[Gateway]]:
    """Gateways over one directory with the bucket `bucket`."""
    workers, locks, _ = setup
    settings = ("--no-auth", "--create-bucket", "bucket", "--durability", "none", "--locks", locks)
    with ExitStack() as stack:
        yield [stack.enter_context(Gateway(tmp_path, *settings, workers=count)) for count in workers]
        assert staged(tmp_path) == []


def body_of(client: int, turn: int) -> bytes:
    return b"client %d in round %d" % (client, turn)


def race(
    gateways: list[Gateway], rounds: int, request: Request, settle: Callable[[int, list[Answer]], None]
) -> set[str]:
    """Send the request of each round from all clients at once, and have the round's answers settled by `settle`.

    Gives the worker processes that answered, by their x-amz-id-2.
    """
    answers: dict[int, Answer] = {}
    failed: list[BaseException] = []
    seen: set[str] = set()
    turn = 0

    def end_round() -> None:
        nonlocal turn
        settle(turn, [answers[client] for client in range(CLIENTS)])
        seen.update(answer.headers["x-amz-id-2"] for answer in answers.values())
        turn += 1

    start = threading.Barrier(CLIENTS, timeout=60)
    end = threading.Barrier(CLIENTS, end_round, timeout=60)

    def run(client: int) -> None:
        connection: http.client.HTTPConnection | None = None
        try:
            for number in range(rounds):
                if connection is None or number % CONNECTION_ROUNDS == 0:
                    if connection is not None:
                        connection.close()
                    connection = connect(gateways[client % len(gateways)])
                method, path, headers = request(number)
                start.wait()
                answers[client] = ask(connection, method, path, body_of(client, number), headers)
                end.wait()
        except threading.BrokenBarrierError:
            return  # another client, or the settling of a round, has failed
        except BaseException as error:
            failed.append(error)
            start.abort()
            end.abort()
        finally:
            if connection is not None:
                connection.close()

    threads = [threading.Thread(target=run, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    assert turn == rounds
    return seen


def winner(answers: list[Answer]) -> int:
    """The one client whose write was done; every other one was told that it was not."""
    won = [client for client, answer in enumerate(answers) if answer.status == 200]
    others = {(answer.status, answer.code) for answer in answers if answer.status != 200}
    assert others <= LOST
    assert len(won) == 1
    return won[0]


def test_of_clients_that_create_a_key_at_once_exactly_one_wins(gateways, rounds):
    def settle(turn: int, answers: list[Answer]) -> None:
        won = winner(answers)
        stored = ask(gateways[-1], "GET", f"/bucket/dir-{turn % 10}/{turn}")
        assert stored.body == body_of(won, turn)
        assert stored.etag == answers[won].etag

    seen = race(
        gateways, rounds, lambda turn: ("PUT", f"/bucket/dir-{turn % 10}/{turn}", {"If-None-Match": "*"}), settle
    )

    assert len(seen) == 2


def test_of_clients_that_replace_the_same_version_at_once_exactly_one_wins(gateways, rounds):
    etag = ask(gateways[0], "PUT", "/bucket/key", b"first").etag

    def settle(turn: int, answers: list[Answer]) -> None:
        nonlocal etag
        won = winner(answers)
        etag = answers[won].etag
        assert ask(gateways[-1], "GET", "/bucket/key").body == body_of(won, turn)

    seen = race(gateways, rounds, lambda _turn: ("PUT", "/bucket/key", {"If-Match": etag}), settle)

    assert len(seen) == 2
