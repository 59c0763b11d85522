"""Clients that stall or vanish: they hold up nobody else, and leave nothing open behind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.disk import staged
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import descriptors, wait_for, workers
from support.wire_client import answer_of, ask, begin_get, begin_put, connect

# More than the store has threads: one that waited for its client would be one less for the others.
STALLED = 40
ABORTED = 200
LARGE = payload(8 * MIB, seed=1)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One worker, so that whoever is held up is held up in the same process."""
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket", workers=1) as running:
        assert ask(running, "PUT", "/bucket/large", LARGE).status == 200
        yield running


def test_clients_that_stall_in_mid_upload_hold_up_no_others(gateway, tmp_path):
    body = payload(2 * MIB + 100, seed=2)
    stalled = [begin_put(gateway, f"/bucket/stalled-{number}", len(body), body[:-100]) for number in range(STALLED)]
    # The first mebibyte of each is stored, the rest is on its way to the store.
    wait_for(lambda: len(staged(tmp_path)) == STALLED, "the stages of all uploads")

    for number in range(10):
        assert ask(gateway, "PUT", f"/bucket/other-{number}", body).status == 200
        assert ask(gateway, "GET", "/bucket/large").body == LARGE
    for connection in stalled:
        connection.send(body[-100:])
        assert answer_of(connection).status == 200
    assert ask(gateway, "GET", "/bucket/stalled-0").body == body


def test_a_client_that_stalls_in_the_last_bytes_of_an_overwrite_holds_no_lock_on_the_key(gateway):
    stalled = begin_put(gateway, "/bucket/key", 1000, b"x" * 999)

    assert ask(gateway, "PUT", "/bucket/key", b"other").status == 200
    assert ask(gateway, "DELETE", "/bucket/key").status == 204

    stalled.send(b"x")
    assert answer_of(stalled).status == 200
    assert ask(gateway, "GET", "/bucket/key").body == b"x" * 1000


def test_clients_that_stall_in_mid_download_hold_up_no_others(gateway):
    stalled = [begin_get(gateway, "/bucket/large") for _ in range(STALLED)]

    for number in range(10):
        assert ask(gateway, "PUT", f"/bucket/other-{number}", LARGE).status == 200
        assert ask(gateway, "GET", "/bucket/large").body == LARGE
    for connection, response in stalled:
        assert response.read() == LARGE
        connection.close()


def test_clients_that_vanish_leave_no_descriptor_open_and_no_stage(gateway, tmp_path):
    (worker,) = workers(gateway.pid)
    idle = connect(gateway)
    assert ask(idle, "PUT", "/bucket/small", b"x").status == 200
    before = Counter(kind_of(path) for path in descriptors(worker).values())
    chance = random.Random(1)
    for number in range(ABORTED):
        if number % 2:
            connection, response = begin_get(gateway, "/bucket/large")
            response.read(chance.choice([0, 1, 300_000]))
        else:
            sent = LARGE[: chance.choice([0, 1, 100_000, 1_500_000])]
            connection = begin_put(gateway, f"/bucket/aborted-{number}", len(LARGE), sent)
        connection.close()
        if number % 2:
            response.close()

    after = wait_for(
        lambda: (now := Counter(kind_of(path) for path in descriptors(worker).values())) <= before and now,
        "the descriptors of the clients that have gone to be closed",
    )
    assert after <= before
    assert staged(tmp_path) == []
    assert [each["Key"] for each in gateway.boto3().list_objects_v2(Bucket="bucket")["Contents"]] == ["large", "small"]
    assert workers(gateway.pid) == [worker]


def kind_of(path: str) -> str:
    """What a descriptor leads to, without the number of a socket or pipe."""
    return path.partition(":[")[0]
