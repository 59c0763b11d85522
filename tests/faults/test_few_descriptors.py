"""A process that has no file descriptor left says SlowDown, tells nothing wrong, and recovers by itself."""

from __future__ import annotations

import http.client
import resource
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.disk import staged
from support.gateway import Gateway
from support.processes import descriptors, wait_for, workers
from support.wire_client import Answer, answer_of, ask, begin_put, connect

LIMIT = 128
SIZE = 1000
KEYS = [f"dir-{number}/sub/object" for number in range(20)]


class FewDescriptorsGateway(Gateway):
    """A gateway whose one worker may have 128 files and sockets open."""

    def process_options(self) -> dict[str, Any]:
        return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A few objects, each in a directory of its own, so that a listing has to open many."""
    with FewDescriptorsGateway(tmp_path, "--no-auth", "--create-bucket", "bucket", workers=1) as running:
        for key in KEYS:
            assert ask(running, "PUT", f"/bucket/{key}", key.encode()).status == 200
        yield running


def take_all(gateway: Gateway) -> list[http.client.HTTPConnection]:
    """Begin uploads, each of which takes a socket and a stage, until there is no descriptor left.

    The last one given may have come too late: answered already, or closed, or waiting to be accepted.
    """
    (worker,) = workers(gateway.pid)
    held: list[http.client.HTTPConnection] = []
    while True:
        try:
            upload = begin_put(gateway, f"/bucket/held-{len(held)}", SIZE, b"x")
        except OSError:
            return held  # not even its connection could be had
        held.append(upload)

        def state(upload: http.client.HTTPConnection = upload) -> str:
            if select.select([upload.sock], [], [], 0)[0] or len(descriptors(worker)) >= LIMIT:
                return "full"
            return "held" if len(staged(gateway.root)) == len(held) else ""

        if wait_for(state, "a stage, or the limit") == "full":
            return held


def keys_in(answer: Answer) -> list[str]:
    """The keys of a listing."""
    return [part.partition("</Key>")[0] for part in answer.body.decode().split("<Key>")[1:]]


def check(answer: Answer, what: str) -> bool:
    """Whether a request was served; if it was not, it was by SlowDown."""
    assert answer.status < 300 or (answer.status, answer.code) == (503, "SlowDown"), what
    return answer.status < 300


def test_without_descriptors_requests_are_refused_with_slow_down_and_served_again_afterwards(gateway):
    connection = connect(gateway)
    assert ask(connection, "GET", f"/bucket/{KEYS[0]}").status == 200
    held = take_all(gateway)
    assert len(held) > LIMIT // 4
    stored = {key: key.encode() for key in KEYS}
    refused = 0

    for turn in range(6):  # with none left, and then with one or two more each time
        for key, body in ((KEYS[0], b"%d" % turn), (f"new-{turn}/object", b"x" * turn)):
            if check(ask(connection, "PUT", f"/bucket/{key}", body), f"PUT {key} in turn {turn}"):
                stored[key] = body
            else:
                refused += 1
        for key in (KEYS[0], KEYS[turn]):
            found = ask(connection, "GET", f"/bucket/{key}")
            if check(found, f"GET {key} in turn {turn}"):
                assert found.body == stored[key]
        listing = ask(connection, "GET", "/bucket?max-keys=15")
        if check(listing, f"listing in turn {turn}"):
            assert keys_in(listing) == sorted(stored)[:15]
        if check(ask(connection, "DELETE", f"/bucket/{KEYS[-1 - turn]}"), f"DELETE in turn {turn}"):
            del stored[KEYS[-1 - turn]]
        check(ask(connection, "PUT", f"/new-bucket-{turn}"), f"CreateBucket in turn {turn}")
        check(ask(connection, "POST", f"/bucket/joined-{turn}?uploads"), f"CreateMultipartUpload in turn {turn}")
        assert ask(connection, "GET", "/healthz").status == 200
        held.pop().close()

    assert refused
    for number, upload in enumerate(held):
        upload.send(b"x" * (SIZE - 1))
        if check(answer_of(upload), f"upload {number}"):
            stored[f"held-{number}"] = b"x" * SIZE
        upload.close()
    wait_for(lambda: ask(connection, "PUT", "/bucket/again", b"again").status == 200, "the gateway to recover")
    stored["again"] = b"again"
    assert keys_in(ask(gateway, "GET", "/bucket")) == sorted(stored)
    for key, body in stored.items():
        assert ask(gateway, "GET", f"/bucket/{key}").body == body
    assert staged(gateway.root) == []
