"""Large transfers whose client, file or gateway fails in their middle, and those beside them."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.disk import staged
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import descriptors, wait_for, workers
from support.wire_client import answer_of, ask, begin_get, begin_put

LARGE = payload(24 * MIB, seed=1)
STALLED = 150


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One worker, so that whoever is held up is held up in the same process."""
    with Gateway(tmp_path, "--no-auth", "--durability", "none", "--create-bucket", "bucket", workers=1) as running:
        assert ask(running, "PUT", "/bucket/large", LARGE).status == 200
        yield running


def kinds(gateway: Gateway) -> Counter[str]:
    (worker,) = workers(gateway.pid)
    return Counter(path.partition(":[")[0] for path in descriptors(worker).values())


def evict(path: Path) -> None:
    """Have a file read from the disk again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("cold", [False, True], ids=["in memory", "on disk"])
def test_many_readers_that_stall_hold_up_no_others(gateway: Gateway, tmp_path: Path, cold: bool):
    before = kinds(gateway)
    if cold:
        evict(tmp_path / "bucket" / "large")
    stalled = [begin_get(gateway, "/bucket/large") for _ in range(STALLED)]
    for number in range(5):
        assert ask(gateway, "GET", "/bucket/large").body == LARGE
        assert ask(gateway, "PUT", f"/bucket/other-{number}", LARGE[: 2 * MIB]).status == 200
    for number, (connection, response) in enumerate(stalled):
        if number % 10 == 0:
            assert response.read() == LARGE
        response.close()
        connection.close()
    wait_for(lambda: kinds(gateway) <= before, "the descriptors of the readers to be closed")


def test_writers_that_stall_have_what_they_sent_stored_and_not_kept_in_memory(gateway: Gateway, tmp_path: Path):
    """Less than a batch each: it is on the disk a moment after the client has paused."""
    sent = 700_000
    stalled = [begin_put(gateway, f"/bucket/slow-{n}", 2 * sent, LARGE[:sent]) for n in range(20)]

    def sizes() -> list[int]:
        return [(tmp_path / path).stat().st_size for path in staged(tmp_path)]

    wait_for(lambda: sizes() == [sent] * len(stalled), "what was sent to be stored")
    for connection in stalled:
        connection.send(LARGE[sent : 2 * sent])
        assert answer_of(connection).status == 200
    assert ask(gateway, "GET", "/bucket/slow-7").body == LARGE[: 2 * sent]


@pytest.mark.parametrize("how", ["cut short", "overwritten in place"])
def test_a_file_that_changes_while_it_is_sent_breaks_the_answer_off(gateway: Gateway, tmp_path: Path, how: str):
    path = tmp_path / "bucket" / "large"
    connection, response = begin_get(gateway, "/bucket/large")
    got = response.read(MIB)
    if how == "cut short":
        os.truncate(path, 20 * MIB)
    else:
        with path.open("r+b") as file:
            file.seek(12 * MIB)
            file.write(b"changed")
    received = bytearray(got)
    try:
        while piece := response.read1(MIB):
            received += piece
    except ConnectionResetError:
        pass
    assert len(received) < len(LARGE)
    if how == "cut short":
        assert LARGE.startswith(received)
    connection.close()
    assert ask(gateway, "PUT", "/bucket/large", LARGE).status == 200
    assert ask(gateway, "GET", "/bucket/large").body == LARGE


def test_an_object_that_is_replaced_or_deleted_while_it_is_sent_arrives_as_it_was(gateway: Gateway):
    first, of_first = begin_get(gateway, "/bucket/large")
    assert ask(gateway, "PUT", "/bucket/large", LARGE[::-1]).status == 200
    second, of_second = begin_get(gateway, "/bucket/large")
    assert ask(gateway, "DELETE", "/bucket/large").status == 204
    assert of_first.read() == LARGE
    assert of_second.read() == LARGE[::-1]
    first.close()
    second.close()


def test_clients_that_reset_their_connections_leave_nothing_open(gateway: Gateway, tmp_path: Path):
    before = kinds(gateway)
    chance = random.Random(1)
    for number in range(60):
        if number % 2:
            connection, response = begin_get(gateway, "/bucket/large")
            response.read(chance.choice([0, 1, MIB, 5 * MIB]))
        else:
            connection = begin_put(gateway, "/bucket/gone", len(LARGE), LARGE[: chance.choice([1, MIB, 5 * MIB])])
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    wait_for(lambda: kinds(gateway) <= before, "the descriptors of clients that have gone to be closed")
    wait_for(lambda: staged(tmp_path) == [], "the stages of clients that have gone to be removed")
    assert ask(gateway, "GET", "/bucket/large").body == LARGE


def test_a_client_that_closes_its_side_for_writing_is_taken_for_gone_and_leaves_nothing_open(gateway: Gateway):
    before = kinds(gateway)
    connection, response = begin_get(gateway, "/bucket/large")
    connection.sock.shutdown(socket.SHUT_WR)
    received = bytearray()
    try:
        while piece := response.read1(MIB):
            received += piece
    except ConnectionResetError:
        pass
    assert LARGE.startswith(received)
    connection.close()
    wait_for(lambda: kinds(gateway) <= before, "the descriptors of the client to be closed")


def test_uploads_at_once_are_each_stored_as_they_were_sent(gateway: Gateway):
    bodies = [payload(9 * MIB + number, seed=number) for number in range(8)]
    tags: dict[int, str] = {}

    def send(number: int) -> None:
        tags[number] = ask(gateway, "PUT", f"/bucket/at-once-{number}", bodies[number]).etag

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, body in enumerate(bodies):
        assert tags[number] == f'"{hashlib.md5(body).hexdigest()}"'
        assert ask(gateway, "GET", f"/bucket/at-once-{number}").body == body


def test_a_download_that_outlasts_the_grace_time_is_cut_off_and_the_gateway_stops(tmp_path: Path):
    with Gateway(
        tmp_path, "--no-auth", "--durability", "none", "--create-bucket", "bucket", "--grace-secs", "1", workers=1
    ) as gateway:
        assert ask(gateway, "PUT", "/bucket/large", LARGE).status == 200
        stalled = [begin_get(gateway, "/bucket/large") for _ in range(5)]
        begin = time.monotonic()
        gateway.stop()
        assert time.monotonic() - begin < 20
        for connection, _ in stalled:
            connection.close()
