"""Who may read /metrics, and what a request is told to have been."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3gate.core.clock import http_date, now_ns
from s3gate.core.errors import S3Error
from s3gate.identity.model import Credential
from s3gate.operations import ROUTES
from s3gate.server.addressing import Addressing
from s3gate.server.app import create_app
from s3gate.server.metrics import MetricsPage
from s3gate.telemetry.board import Board
from s3gate.telemetry.counters import Counters
from s3gate.telemetry.exposition import BoardCollector, Exposition
from s3gate.telemetry.layout import Layout
from s3gate.telemetry.served import Served
from s3gate.telemetry.telemetry import Telemetry
from support.asgi import OWNER, Answer, Credentials, ask, sample_gateway, scope_of
from support.telemetry import Samples

HOSTS = Addressing(["s3.example.com"])


def exposition() -> Exposition:
    return Exposition(BoardCollector(Board(Layout(["GetObject"]), 1), version="1"))


def is_asked(access: Any, *, peer: Any = ("127.0.0.1", 1), path: str = "/metrics", method: str = "GET", **headers: str):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {**scope_of(method, path, given), "client": peer}
    return MetricsPage(exposition(), access).is_asked(scope, HOSTS)


@pytest.mark.parametrize(
    ("peer", "is_here"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (("192.0.2.1", 1), False),
        (("::ffff:192.0.2.1", 1), False),
        (("", 0), False),
        (("localhost", 1), False),
        (None, False),
    ],
)
def test_loopback_is_for_programs_of_this_machine(peer: Any, is_here: bool):
    assert is_asked("loopback", peer=peer) is is_here
    assert is_asked("on", peer=peer)
    assert not is_asked("off", peer=peer)


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "via", "x_real_ip"])
def test_what_a_proxy_of_this_machine_passes_on_does_not_come_from_it(header: str):
    assert not is_asked("loopback", **{header: "192.0.2.1"})
    assert is_asked("on", **{header: "192.0.2.1"})


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/metrics/"},
        {"path": "/metrics/key"},
        {"path": "/metrics?list-type=2"},
        {"path": "/metrics?"[:-1] + "?x"},
        {"method": "HEAD"},
        {"method": "PUT"},
        {"authorization": "AWS4-HMAC-SHA256 Credential=A/b"},
        {"authorization": "AWS A:b"},
        {"host": "bucket.s3.example.com"},
    ],
)
def test_a_bucket_of_that_name_is_reached_by_every_other_request(request_: dict[str, str]):
    assert not is_asked("on", **request_)


def test_without_a_page_there_is_nothing_to_ask_for():
    page = MetricsPage(None, "on")
    assert not page.is_asked(scope_of("GET", "/metrics"), HOSTS)
    assert page.routes() == []
    assert MetricsPage(exposition(), "off").routes() == []


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[Served] = []

    def take(self, served: Served) -> None:
        self.requests.append(served)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def reopen(self) -> None: ...


def tell(
    method: str, path: str, *args: Any, gateway: dict[str, Any] | None = None, **kwargs: Any
) -> tuple[Served, Answer]:
    """What is told of a request of a real operation, and its answer; `kwargs` as those of `ask`."""
    kept = Kept()

    async def run() -> Answer:
        made = sample_gateway(**{"routes": ROUTES, "telemetry": Telemetry(sinks=[kept]), **(gateway or {})})
        bucket = await made.storage.create_bucket("bucket", OWNER, "us-east-1")
        del bucket
        app = create_app(made)
        await ask(app, "PUT", "/bucket/there", body=[b"x" * 1000])
        kept.requests.clear()
        return await ask(app, method, path, *args, **kwargs)

    answer = asyncio.run(run())
    (served,) = kept.requests
    return served, answer


def test_a_read_is_told_with_all_that_is_known_of_it():
    served, answer = tell("GET", "/bucket/there")
    assert (served.operation, served.action, served.bucket, served.key) == (
        "GetObject",
        "s3:GetObject",
        "bucket",
        "there",
    )
    assert (served.status, served.sent, served.size, served.received) == (200, 1000, 1000, 0)
    assert served.bucket_owner == OWNER
    assert served.request_id == answer.headers["x-amz-request-id"]
    assert served.host_id == answer.headers["x-amz-id-2"]
    assert served.began_ns <= served.turned_ns <= served.ended_ns
    assert served.error_code == ""


def test_a_range_is_told_with_the_size_of_the_object():
    served, _ = tell("GET", "/bucket/there", {"range": "bytes=0-9"})
    assert (served.status, served.sent, served.size) == (206, 10, 1000)


def test_a_head_sends_nothing():
    served, _ = tell("HEAD", "/bucket/there")
    assert (served.operation, served.status, served.sent) == ("HeadObject", 200, 0)


def test_a_write_is_told_with_the_bytes_that_came():
    served, _ = tell("PUT", "/bucket/new", body=[b"a" * 10, b"b" * 20])
    assert (served.operation, served.received, served.sent, served.status) == ("PutObject", 30, 0, 200)
    assert served.began_ns <= served.read_ns <= served.turned_ns


def test_an_error_is_told_by_its_code():
    served, answer = tell("GET", "/bucket/missing")
    assert (served.status, served.error_code, served.sent) == (404, "NoSuchKey", len(answer.body))


def test_what_has_not_changed_is_no_error():
    _, first = tell("HEAD", "/bucket/there")
    served, _ = tell("GET", "/bucket/there", {"if-none-match": first.headers["etag"]})
    assert (served.status, served.error_code) == (304, "")


def test_what_no_operation_claims_is_none():
    served, _ = tell("PATCH", "/bucket/there")
    assert (served.operation, served.action, served.status) == ("none", "", 405)
    assert (served.bucket, served.key) == ("bucket", "there")


def test_a_fault_inside_is_told_as_what_is_answered(caplog: pytest.LogCaptureFixture):
    class Broken(Credentials):
        def find(self, access_key: str) -> Credential | None:
            raise ZeroDivisionError

    headers = {"authorization": "AWS AKID:sig", "date": http_date(now_ns())}
    served, _ = tell("GET", "/bucket/there", headers, gateway={"credentials": Broken()})
    assert (served.status, served.error_code) == (500, "InternalError")


def test_who_is_not_known_is_nobody():
    served, _ = tell("GET", "/bucket/there", {"authorization": "AWS NOBODY:sig"}, gateway={"open_access": False})
    assert (served.requester, served.access_key, served.status) == (None, "", 403)


def test_a_client_that_leaves_before_an_answer_gets_none():
    async def run() -> Served:
        kept = Kept()
        made = sample_gateway(routes=ROUTES, telemetry=Telemetry(sinks=[kept]))
        await made.storage.create_bucket("bucket", OWNER, "us-east-1")
        pieces: list[dict[str, Any]] = [{"type": "http.request", "body": b"abc", "more_body": True}]

        async def receive() -> dict[str, Any]:
            return pieces.pop() if pieces else {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            raise AssertionError("there is nobody to answer")

        await create_app(made)(scope_of("PUT", "/bucket/k", {"content-length": "9"}), receive, send)
        return kept.requests[0]

    served = asyncio.run(run())
    assert (served.status, served.received, served.sent, served.turned_ns) == (0, 3, 0, 0)


def test_no_error_is_kept_alive_by_what_is_told_of_it():
    """The frames of an error hold the request: kept in it they would be garbage that only a collector finds."""
    served, _ = tell("GET", "/bucket/missing")
    assert not [name for name in served.__struct_fields__ if isinstance(getattr(served, name), S3Error)]


def test_the_page_is_served_beside_s3_and_is_no_request_of_it():
    board = Board(Layout(op.name for op in ROUTES.operations), 1)
    telemetry = Telemetry(counters=Counters(board, 0), page=Exposition(BoardCollector(board, version="1")))

    async def run() -> tuple[Answer, Answer]:
        app = create_app(sample_gateway(routes=ROUTES, telemetry=telemetry, metrics_access="on"))
        await ask(app, "GET", "/")
        await ask(app, "GET", "/metrics")
        return await ask(app, "GET", "/metrics"), await ask(app, "GET", "/metrics/")

    page, bucket = asyncio.run(run())
    seen = Samples(page.text)
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/plain")
    assert (seen.total("requests_total"), seen("requests_in_flight")) == (1, 0)
    assert (bucket.status, "NoSuchBucket" in bucket.text) == (404, True)
