"""Spans of requests, with the real SDK."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from s3gate.telemetry.served import Served
from s3gate.telemetry.traces import Traces, otlp_exporter
from support.telemetry import served

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def spans_of(*requests: Served) -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()

    async def run() -> None:
        traces = Traces(exporter)
        await traces.start()
        for request in requests:
            traces.take(request)
        await traces.stop()

    asyncio.run(run())
    return exporter.get_finished_spans()


def test_a_request_is_a_span_with_what_it_was():
    (span,) = spans_of(served(error_code="NoSuchKey", status=404))
    attributes = span.attributes or {}
    assert (span.name, span.kind) == ("S3.GetObject", SpanKind.SERVER)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 10_000_000
    assert {name: attributes[name] for name in ("aws.s3.bucket", "aws.s3.key", "rpc.method", "error.type")} == {
        "aws.s3.bucket": "bucket",
        "aws.s3.key": "key",
        "rpc.method": "GetObject",
        "error.type": "NoSuchKey",
    }
    assert attributes["http.response.status_code"] == 404
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None


def test_a_span_is_below_the_one_that_the_client_names():
    (span,) = spans_of(served(headers={"traceparent": PARENT}))
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert f"{span.get_span_context().trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("nonsense", ["", "00-x-y-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_parent_that_is_none_begins_a_trace(nonsense: str):
    (span,) = spans_of(served(headers={"traceparent": nonsense}))
    assert span.parent is None


def test_a_fault_of_the_gateway_is_an_error_and_one_of_the_client_is_not():
    first, second = spans_of(served(status=500, error_code="InternalError"), served(status=403))
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "InternalError")
    assert second.status.status_code is StatusCode.UNSET


def test_no_secret_is_told():
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=A/b, Signature=secret"}
    (span,) = spans_of(served(headers=headers, scope_query_string=b"X-Amz-Signature=secret"))
    assert "secret" not in str(span.attributes)


@pytest.mark.parametrize(("variable", "value", "name"), [("OTEL_SERVICE_NAME", "mine", "mine"), ("X", "x", "s3gate")])
def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str):
    monkeypatch.setenv(variable, value)
    (span,) = spans_of(served())
    assert span.resource.attributes["service.name"] == name


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector that takes OTLP over HTTP, and what it was sent."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is to be printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("path", "asked"), [("", "/v1/traces"), ("/", "/v1/traces"), ("/otlp/v1/traces",) * 2])
def test_spans_reach_a_collector(collector: tuple[str, list[tuple[str, bytes]]], path: str, asked: str):
    endpoint, got = collector

    async def run() -> None:
        traces = Traces(otlp_exporter(endpoint + path))
        await traces.start()
        traces.take(served())
        await traces.stop()

    asyncio.run(run())
    ((where, body),) = got
    assert where == asked
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert [span.name for scope in resource.scope_spans for span in scope.spans] == ["S3.GetObject"]
    named = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert named["service.name"] == "s3gate"
