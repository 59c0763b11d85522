"""/metrics of a live gateway: the workers' counts add up, outlive a worker, and say what clients really got."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3gate.core.errors import CODES
from s3gate.operations import ROUTES
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import wait_for, workers
from support.raw_http import Connection, Request, ask
from support.signed import signed
from support.telemetry import Samples

pytestmark = pytest.mark.xdist_group("telemetry")

WORKERS = 3


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own, so that nobody else makes requests."""
    with Gateway(tmp_path_factory.mktemp("counted"), "--durability", "full", workers=WORKERS) as running:
        running.boto3().create_bucket(Bucket="bucket")
        yield running


def page(gateway: Gateway, accept: str = "text/plain") -> str:
    asked = urllib.request.Request(f"{gateway.endpoint}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def samples(gateway: Gateway) -> Samples:
    return Samples(page(gateway))


def spread(gateway: Gateway, times: int, request: Request) -> None:
    """Ask many times, each on a connection of its own: the kernel deals them out to the workers."""
    with ThreadPoolExecutor(4) as pool:
        assert {answer.status for answer in pool.map(lambda _: ask(gateway, request), range(times))} == {200}


def test_the_counts_of_all_workers_add_up(counted: Gateway):
    before = samples(counted)
    spread(counted, 60, signed(counted, "PUT", "/bucket/k", body=b"x" * 100))
    spread(counted, 60, signed(counted, "GET", "/bucket/k"))
    after = samples(counted)

    def grown(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert grown("requests_total", operation="PutObject", status="200") == 60
    assert grown("requests_total", operation="GetObject", status="200") == 60
    assert grown("received_bytes_total", operation="PutObject") == 6000
    assert grown("sent_bytes_total", operation="GetObject") == 6000
    assert grown("request_duration_seconds_count", operation="GetObject") == 60
    assert grown("request_duration_seconds_bucket", operation="GetObject", le="+Inf") == 60
    assert grown("stages_total", end="committed") == 60
    assert grown("connections_total") >= 120
    assert grown("fsync_seconds_count", what="file") >= 60
    assert after("requests_in_flight") == 0


def test_every_worker_shows_the_same(counted: Gateway):
    pages = [samples(counted) for _ in range(12)]
    assert len({each("requests_total", operation="PutObject", status="200") for each in pages}) == 1
    assert {each("workers") for each in pages} == {WORKERS}


def test_no_request_makes_a_label(counted: Gateway):
    s3: Any = counted.boto3()
    for key in ("nope", "n" * 900, "ünïcode"):
        with pytest.raises(ClientError):
            s3.get_object(Bucket="bucket", Key=key)
    for number in range(20):
        ask(counted, Request("GET", f"/no-bucket-{number}/k?x-{number}", {"Host": counted.address}))
        ask(counted, Request("PATCH", f"/bucket/{number}", {"Host": counted.address}))
    seen = samples(counted)
    assert seen.labels("requests_total", "operation") <= {op.name for op in ROUTES.operations} | {"none"}
    assert seen.labels("errors_total", "code") <= set(CODES)
    assert seen.labels("bucket_objects", "bucket") <= {"bucket"}
    assert seen("requests_total", operation="none", status="405") == 20


def test_what_is_no_request_is_counted_too(counted: Gateway):
    before = samples(counted)("refused_total")
    with Connection(counted) as connection:
        connection.socket.sendall(b"NONSENSE\r\n\r\n")
        assert connection.socket.recv(100).startswith(b"HTTP/1.1 400")
    assert samples(counted)("refused_total") == before + 1


def test_a_killed_worker_takes_no_counts_along(tmp_path: Path):
    with Gateway(tmp_path, "--durability", "none") as gateway:
        gateway.boto3().create_bucket(Bucket="bucket")
        spread(gateway, 40, signed(gateway, "PUT", "/bucket/k", body=b"x" * 100))
        held = [Connection(gateway).__enter__() for _ in range(8)]
        before = samples(gateway)
        started = {worker: before("worker_start_time_seconds", worker=worker) for worker in "01"}
        for pid in workers(gateway.pid):
            os.kill(pid, signal.SIGKILL)
        for connection in held:
            connection.__exit__(None, None, None)

        def both_anew() -> Samples | None:
            try:
                seen = samples(gateway)
            except OSError:
                return None
            anew = all(seen("worker_start_time_seconds", worker=worker) > started[worker] for worker in "01")
            return seen if anew else None

        after = wait_for(both_anew, "two other workers")
        assert after("requests_total", operation="PutObject", status="200") == 40
        assert after("connections_total") >= before("connections_total")
        assert after("requests_in_flight") == 0
        spread(gateway, 10, signed(gateway, "PUT", "/bucket/k", body=b"x" * 100))
        wait_for(  # a request is counted once its answer is sent, and another worker may be asked meanwhile
            lambda: samples(gateway)("requests_total", operation="PutObject", status="200") == 50, "the last count"
        )


@pytest.mark.parametrize(
    "ways", [(), ("--no-zero-copy",), ("--no-join-answers", "--no-overlap-uploads", "--no-zero-copy")]
)
def test_a_download_that_is_broken_off_counts_what_was_sent(tmp_path: Path, ways: tuple[str, ...]):
    """More than the client has read, because the kernel holds some of it; far less than the object."""
    size, wanted = 64 * MIB, MIB
    log = tmp_path / "access.log"
    data = tmp_path / "data"
    with Gateway(data, "--durability", "none", "--access-log", str(log), *ways, workers=1) as gateway:
        s3 = gateway.boto3()
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="large", Body=payload(size))
        with Connection(gateway) as connection:
            connection.send(signed(gateway, "GET", "/bucket/large").bytes)
            got = 0
            while got < wanted:
                got += len(connection.socket.recv(64 << 10))

        def done() -> Samples | None:
            seen = samples(gateway)
            return seen if seen("requests_total", operation="GetObject", status="200") else None

        sent = wait_for(done, "the end of the download")("sent_bytes_total", operation="GetObject")
    assert wanted - (64 << 10) <= sent < size // 2
    (line,) = [line for line in map(json.loads, log.read_text().splitlines()) if line["operation"] == "GetObject"]
    assert (line["bytes_sent"], line["object_size"], line["status"]) == (sent, size, 200)


def test_a_whole_download_counts_all_of_it(counted: Gateway):
    s3 = counted.boto3()
    s3.put_object(Bucket="bucket", Key="large", Body=payload(9 * MIB))
    before = samples(counted)("sent_bytes_total", operation="GetObject")
    assert len(s3.get_object(Bucket="bucket", Key="large")["Body"].read()) == 9 * MIB
    wait_for(
        lambda: samples(counted)("sent_bytes_total", operation="GetObject") == before + 9 * MIB, "the whole download"
    )


def test_buckets_are_measured(tmp_path: Path):
    ways = ("--metrics-scan-interval-secs", "1", "--metrics-buckets", "2")
    with Gateway(tmp_path, "--durability", "none", *ways) as gateway:
        s3 = gateway.boto3()
        for name, size in (("small", 1), ("middle", 10), ("large", 100)):
            s3.create_bucket(Bucket=name)
            for key in ("a", "b/c"):
                s3.put_object(Bucket=name, Key=key, Body=b"x" * size)

        def measured() -> Samples | None:
            seen = samples(gateway)
            return seen if seen.total("bucket_objects") == 6 else None

        seen = wait_for(measured, "the scan")
    assert seen("bucket_size_bytes", bucket="large") == 200
    assert seen("bucket_size_bytes", bucket="middle") == 20
    assert seen("bucket_size_bytes", bucket="(other)") == 2
    assert (seen("buckets"), seen("bucket_objects", bucket="(other)")) == (3, 2)


def test_openmetrics_is_served_to_who_asks_for_it(counted: Gateway):
    assert page(counted, "application/openmetrics-text; version=1.0.0").endswith("# EOF\n")


def test_the_page_is_for_this_machine_and_not_for_what_a_proxy_passes_on(counted: Gateway):
    proxied = Request("GET", "/metrics", {"Host": counted.address, "X-Forwarded-For": "192.0.2.1"})
    answer = ask(counted, proxied)
    assert (answer.status, answer.code) in ((404, "NoSuchBucket"), (403, "AccessDenied"))


def test_without_metrics_the_path_is_a_bucket(tmp_path: Path):
    with Gateway(tmp_path, "--durability", "none", "--metrics", "off", workers=1) as gateway:
        gateway.boto3().create_bucket(Bucket="metrics")
        answer = ask(gateway, signed(gateway, "GET", "/metrics"))
        assert (answer.status, b"<Name>metrics</Name>" in answer.body) == (200, True)
