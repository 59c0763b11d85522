"""A gateway clears away by itself what its killed workers have left, and nothing else."""

from __future__ import annotations

import os
import signal

from support.disk import staged
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import wait_for, workers
from support.wire_client import answer_of, ask, begin_put


def test_the_stage_of_a_killed_worker_goes_and_that_of_a_slow_upload_stays(tmp_path):
    body = payload(2 * MIB)
    options = ["--no-auth", "--create-bucket", "bucket", "--janitor-interval-secs", "1"]
    with Gateway(tmp_path, *options) as gateway:
        broken = begin_put(gateway, "/bucket/broken", len(body), body[:MIB])
        (dead,) = wait_for(lambda: staged(tmp_path), "a stage")
        killed = int(dead.split("/")[3].split("-")[0])
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len({*workers(gateway.pid)} - {killed}) == 2, "a new worker")
        slow = begin_put(gateway, "/bucket/slow", len(body), body[:MIB])

        wait_for(lambda: dead not in staged(tmp_path), "the end of the stage")
        wait_for(lambda: "the janitor cleared away: 1 x stage" in gateway.log, "a word about it")
        slow.send(body[MIB:])
        assert answer_of(slow).status == 200
        assert ask(gateway, "GET", "/bucket/slow").body == body
        assert ask(gateway, "GET", "/bucket/broken").status == 404
        broken.close()
    assert staged(tmp_path) == []


def test_a_gateway_without_a_janitor_leaves_everything(tmp_path):
    (tmp_path / "bucket/.s3gate/tmp/gone").mkdir(parents=True)
    with Gateway(tmp_path, "--no-auth", "--janitor-interval-secs", "0") as gateway:
        assert ask(gateway, "PUT", "/bucket/key", b"data").status == 200
    assert (tmp_path / "bucket/.s3gate/tmp/gone").exists()
