"""Processes that are killed outright: what was answered is there, what was not is there whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import signal
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.disk import staged
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import is_gone, wait_for, workers
from support.wire_client import answer_of, ask, begin_put, connect

OLD = payload(MIB, seed=1)
STORM_SECONDS = 2.0
CLIENTS = 4
SHARED_KEYS = 3


def open_gateway(root: Path) -> Gateway:
    return Gateway(root, "--no-auth", "--create-bucket", "bucket")


def keys_of(gateway: Gateway) -> list[str]:
    pages = (
        gateway.boto3().get_paginator("list_objects_v2").paginate(Bucket="bucket", PaginationConfig={"PageSize": 50})
    )
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def kill_all(gateway: Gateway) -> None:
    """End every process of the gateway at the same instant."""
    pids = [gateway.pid, *workers(gateway.pid)]
    os.killpg(gateway.pid, signal.SIGKILL)
    for pid in pids:
        wait_for(lambda pid=pid: is_gone(pid), f"the end of process {pid}")


def ends_by_kill() -> AbstractContextManager[object]:
    """Expects the gateway inside it to end by SIGKILL, where leaving its block would be a failure."""
    return pytest.raises(AssertionError, match="ended with status -9")


class SamePortGateway(Gateway):
    """A gateway on the port of an earlier one."""

    def __init__(self, earlier: Gateway) -> None:
        super().__init__(earlier.root, *earlier.arguments)
        self._earlier = earlier

    def command(self) -> list[str]:
        self.port = self._earlier.port
        return super().command()


def worker_of_upload(root: Path) -> int:
    """The process that stages the one upload under way: its staging directory is named after it."""
    (stage,) = wait_for(lambda: staged(root), "a stage")
    return int(Path(stage).parent.name.split("-")[0])


def test_a_worker_killed_in_mid_upload_is_replaced_and_nothing_of_the_upload_is_seen(tmp_path):
    with open_gateway(tmp_path) as gateway:
        assert ask(gateway, "PUT", "/bucket/object", OLD).status == 200
        first = workers(gateway.pid)
        overwriting = begin_put(gateway, "/bucket/object", 2 * MIB, payload(MIB + 500_000, seed=2))
        killed = worker_of_upload(tmp_path)
        assert killed in first
        os.kill(killed, signal.SIGKILL)

        with pytest.raises((http.client.HTTPException, OSError)):
            answer_of(overwriting)
        for number in range(20):
            assert ask(gateway, "PUT", f"/bucket/later-{number}", b"later").status == 200
            assert ask(gateway, "GET", "/bucket/object").body == OLD

        second = wait_for(
            lambda: {*workers(gateway.pid)} - {killed} if len(workers(gateway.pid)) == 2 else (), "a new worker"
        )
        assert len(second) == 2
        assert len(second & {*first}) == 1
        assert keys_of(gateway) == [*sorted(f"later-{number}" for number in range(20)), "object"]
        for key in keys_of(gateway):
            assert ask(gateway, "DELETE", f"/bucket/{key}").status == 204
        assert ask(gateway, "DELETE", "/bucket").status == 204
        assert "was ended by SIGKILL" in gateway.log


@dataclass
class StormClient:
    """One client that writes without a pause: keys of its own, each once, and keys that it writes again and again.

    `last` has, by key, what was answered last and everything that was sent since then.
    """

    number: int
    own: dict[str, bytes] = field(default_factory=dict)
    last: dict[str, list[bytes]] = field(default_factory=dict)
    unanswered: str = ""
    strange: list[tuple[int, bytes]] = field(default_factory=list)

    def run(self, gateway: Gateway) -> None:
        chance = random.Random(self.number)
        connection = connect(gateway)
        try:
            for turn in range(1_000_000):
                body = chance.randbytes(chance.choice([0, 10, 3_000, 100_000, 700_000]))
                again = chance.random() < 0.3
                key = (
                    f"again/{self.number}-{chance.randrange(SHARED_KEYS)}"
                    if again
                    else f"dir-{turn % 7}/{self.number}-{turn}"
                )
                self.unanswered = key
                self.last.setdefault(key, []).append(body)
                answer = ask(connection, "PUT", f"/bucket/{key}", body)
                if answer.status != 200:
                    self.strange.append((answer.status, answer.body))
                    continue
                self.last[key] = [body]
                self.unanswered = ""
        except (http.client.HTTPException, OSError):
            return  # the gateway is gone: that is the end of the storm
        finally:
            connection.close()


def test_what_was_answered_in_a_storm_of_puts_outlives_a_kill_of_every_process(tmp_path):
    clients = [StormClient(number) for number in range(CLIENTS)]
    with ends_by_kill(), open_gateway(tmp_path) as gateway:
        threads = [threading.Thread(target=client.run, args=(gateway,)) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(STORM_SECONDS)
        kill_all(gateway)
        for thread in threads:
            thread.join()
    assert [client.strange for client in clients] == [[]] * CLIENTS

    written = {key: bodies for client in clients for key, bodies in client.last.items()}
    unanswered = {client.unanswered for client in clients}
    with open_gateway(tmp_path) as again:
        there = keys_of(again)
        assert there == sorted(there)
        assert {*written} - {*there} <= unanswered
        assert {*there} <= {*written}
        assert len(there) > 10 * CLIENTS
        connection = connect(again)
        for key in there:
            answer = ask(connection, "GET", f"/bucket/{key}")
            assert answer.body in written[key]
            assert answer.etag == f'"{hashlib.md5(answer.body).hexdigest()}"'
        assert ask(again, "DELETE", "/bucket").status == 409
        for key in there:
            assert ask(connection, "DELETE", f"/bucket/{key}").status == 204
        connection.close()
        assert keys_of(again) == []
        assert ask(again, "DELETE", "/bucket").status == 204
        assert not (tmp_path / "bucket").exists()


def test_workers_end_when_their_parent_is_killed_and_the_gateway_can_be_started_again_on_its_port(tmp_path):
    with ends_by_kill(), open_gateway(tmp_path) as gateway:
        assert ask(gateway, "PUT", "/bucket/object", OLD).status == 200
        left = workers(gateway.pid)
        os.kill(gateway.pid, signal.SIGKILL)
        for pid in left:
            wait_for(lambda pid=pid: is_gone(pid), f"the end of worker {pid}")

    with SamePortGateway(gateway) as again:
        assert again.port == gateway.port
        assert ask(again, "GET", "/bucket/object").body == OLD
