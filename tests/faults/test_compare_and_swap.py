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
from support.wire_client import Answer, ask, connect

CLIENTS = 8
ROUNDS = 300
# So often each client opens a new connection: another worker may take it.
CONNECTION_ROUNDS = 10
LOST = {(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")}

# By number of the round: the method, the path and the headers of what all clients send at the same time.
Request = Callable[[int], tuple[str, str, dict[str, str]]]


@pytest.fixture(params=["one gateway with two workers", "two gateways"])
def gateways(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Gateway]]:
    """Gateways over one directory with the bucket `bucket`."""
    workers = [2] if request.param.startswith("one") else [1, 1]
    settings = ("--no-auth", "--create-bucket", "bucket", "--durability", "none")
    with ExitStack() as stack:
        yield [stack.enter_context(Gateway(tmp_path, *settings, workers=count)) for count in workers]
        assert staged(tmp_path) == []


def body_of(client: int, turn: int) -> bytes:
    return b"client %d in round %d" % (client, turn)


def race(gateways: list[Gateway], request: Request, settle: Callable[[int, list[Answer]], None]) -> set[str]:
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
            for number in range(ROUNDS):
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
    assert turn == ROUNDS
    return seen


def winner(answers: list[Answer]) -> int:
    """The one client whose write was done; every other one was told that it was not."""
    won = [client for client, answer in enumerate(answers) if answer.status == 200]
    others = {(answer.status, answer.code) for answer in answers if answer.status != 200}
    assert others <= LOST
    assert len(won) == 1
    return won[0]


def test_of_clients_that_create_a_key_at_once_exactly_one_wins(gateways):
    def settle(turn: int, answers: list[Answer]) -> None:
        won = winner(answers)
        stored = ask(gateways[-1], "GET", f"/bucket/dir-{turn % 10}/{turn}")
        assert stored.body == body_of(won, turn)
        assert stored.etag == answers[won].etag

    seen = race(gateways, lambda turn: ("PUT", f"/bucket/dir-{turn % 10}/{turn}", {"If-None-Match": "*"}), settle)

    assert len(seen) == 2


def test_of_clients_that_replace_the_same_version_at_once_exactly_one_wins(gateways):
    etag = ask(gateways[0], "PUT", "/bucket/key", b"first").etag

    def settle(turn: int, answers: list[Answer]) -> None:
        nonlocal etag
        won = winner(answers)
        etag = answers[won].etag
        assert ask(gateways[-1], "GET", "/bucket/key").body == body_of(won, turn)

    seen = race(gateways, lambda _turn: ("PUT", "/bucket/key", {"If-Match": etag}), settle)

    assert len(seen) == 2
