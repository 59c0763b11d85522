"""Two gateways on one directory behind nginx and behind HAProxy, with the files of conf/; one of them is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from support.balancers import BALANCERS, Balancer
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import is_gone, wait_for, workers

CLIENTS = 8
BEFORE = 200
AFTER = 400


@pytest.fixture(params=BALANCERS)
def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Balancer]:
    """A balancer in front of two gateways on one directory, in which there is a bucket."""
    with ExitStack() as stack:
        root = tmp_path / "served"
        gateways = [stack.enter_context(Gateway(root, "--create-bucket", "bucket")) for _ in range(2)]
        yield stack.enter_context(BALANCERS[request.param](tmp_path, gateways))


def worker_behind(endpoint: str) -> str:
    """The worker that answers on a new connection."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{endpoint}/bucket")
    with refused.value as answer:
        return answer.headers["x-amz-id-2"]


def test_both_gateways_are_asked(balancer: Balancer):
    asked = {worker_behind(balancer.endpoint) for _ in range(100)}
    for gateway in balancer.gateways:
        assert asked & {worker_behind(gateway.endpoint) for _ in range(100)}


def test_probes_pass_through(balancer: Balancer):
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(balancer.endpoint + path) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("key", ["plain", "a b+c%2F/ä//x?&=;.txt", "dir/", "~!*'()"])
def test_a_key_arrives_as_it_was_signed(balancer: Balancer, key: str):
    s3 = balancer.boto3()
    s3.put_object(Bucket="bucket", Key=key, Body=b"content", Metadata={"colour": "blue"})
    got = s3.get_object(Bucket="bucket", Key=key, Range="bytes=2-3")
    assert (got["Body"].read(), got["Metadata"]) == (b"nt", {"colour": "blue"})
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"content"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="bucket")["Contents"]] == [key]


def test_large_objects_pass_through_in_parts_and_whole(balancer: Balancer):
    s3 = balancer.boto3()
    whole = payload(48 * MIB)
    s3.put_object(Bucket="bucket", Key="whole", Body=whole)
    upload = s3.create_multipart_upload(Bucket="bucket", Key="joined")["UploadId"]
    parts = []
    for number in range(1, 4):
        body = whole[(number - 1) * 16 * MIB : number * 16 * MIB]
        where = {"Bucket": "bucket", "Key": "joined", "UploadId": upload}
        parts.append({"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=body)["ETag"]})
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    for key in ("whole", "joined"):
        assert hashlib.sha256(s3.get_object(Bucket="bucket", Key=key)["Body"].read()).digest() == (
            hashlib.sha256(whole).digest()
        )


@dataclass
class Request:
    """A request of the load: when it began and ended, by the monotonic clock, and what became of it."""

    began: float
    ended: float
    key: str
    fault: str = ""


class Load:
    """Clients that put, get, list and delete, each as fast as it can."""

    def __init__(self, balancer: Balancer) -> None:
        self.requests: list[Request] = []
        self.acknowledged: dict[str, bytes] = {}
        self._balancer = balancer
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        s3 = self._balancer.boto3()
        turn = 0
        while not self._over.is_set():
            turn += 1
            key = f"client-{number}/{turn}"
            body = payload(2000 + turn % 7 * 30_000, seed=turn)
            if self._done(key, lambda: s3.put_object(Bucket="bucket", Key=key, Body=body)):  # noqa: B023  # at once
                self.acknowledged[key] = body
                self._done(key, lambda: self._compare(s3, key, body))  # noqa: B023
            self._done(key, lambda: s3.list_objects_v2(Bucket="bucket", Prefix=key))  # noqa: B023

    def _compare(self, s3: Any, key: str, body: bytes) -> None:
        got = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        if got != body:
            raise AssertionError(f"{key} has other bytes than were put")

    def _done(self, key: str, work: Any) -> bool:
        request = Request(time.monotonic(), 0.0, key)
        try:
            work()
        except (BotoCoreError, ClientError, OSError) as error:
            request.fault = repr(error)
        except BaseException as error:
            request.fault = f"wrong: {error!r}"
        request.ended = time.monotonic()
        self.requests.append(request)
        return not request.fault


def test_one_gateway_is_killed_under_load_and_nothing_fails_but_what_it_was_answering(balancer: Balancer):
    with Load(balancer) as load:
        wait_for(lambda: len(load.requests) >= BEFORE, "the load")
        processes = workers(balancer.gateways[0].pid)
        os.killpg(balancer.gateways[0].pid, signal.SIGKILL)
        balancer.gateways[0].forget()
        wait_for(lambda: all(map(is_gone, processes)), "the end of its workers")
        killed = time.monotonic()
        wait_for(lambda: len([each for each in load.requests if each.began > killed]) >= AFTER, "the load that goes on")

    failed = [each for each in load.requests if each.fault]
    assert [each for each in failed if each.began > killed or each.fault.startswith("wrong")] == []
    assert len(failed) <= CLIENTS
    direct = balancer.gateways[1].boto3()
    for key, body in load.acknowledged.items():
        assert direct.get_object(Bucket="bucket", Key=key)["Body"].read() == body


def test_a_gateway_that_is_stopped_under_load_fails_no_request(balancer: Balancer):
    with Load(balancer) as load:
        wait_for(lambda: len(load.requests) >= BEFORE, "the load")
        balancer.gateways[0].stop()
        stopped = time.monotonic()
        wait_for(
            lambda: len([each for each in load.requests if each.began > stopped]) >= AFTER, "the load that goes on"
        )

    assert [each for each in load.requests if each.fault] == []
