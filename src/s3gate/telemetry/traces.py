"""Traces of requests by OpenTelemetry. Imported only when they are wanted: its packages are the extra `otel`."""

from __future__ import annotations

import asyncio
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from s3gate import __version__
from s3gate.telemetry.served import Served

__all__ = ["Traces", "attributes_of", "otlp_exporter"]

_PATH = "/v1/traces"
_STOP_MILLISECONDS = 5000


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans by OTLP over HTTP to a collector at `endpoint`, as http://127.0.0.1:4318; with a path, just there."""
    scheme, _, rest = endpoint.partition("://")
    return OTLPSpanExporter(endpoint=endpoint if "/" in rest.rstrip("/") else f"{scheme}://{rest.rstrip('/')}{_PATH}")


def attributes_of(served: Served) -> dict[str, AttributeValue]:
    """What a span says of a request, by OpenTelemetry's names for HTTP and for AWS where it has them."""
    scope = served.scope
    client = scope.get("client")
    told: dict[str, AttributeValue | None] = {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": served.operation,
        "http.request.method": scope["method"],
        "http.response.status_code": served.status or None,
        "http.request.body.size": served.received,
        "http.response.body.size": served.sent,
        "url.path": scope["raw_path"].decode("latin-1"),
        "url.scheme": scope["scheme"],
        "client.address": client[0] if client else None,
        "user_agent.original": served.headers.get("user-agent"),
        "server.address": served.headers.get("host"),
        "aws.request_id": served.request_id,
        "aws.s3.bucket": served.bucket or None,
        "aws.s3.key": served.key or None,
        "error.type": served.error_code or None,
        "s3gate.access_key": served.access_key or None,
    }
    return {name: value for name, value in told.items() if value is not None}


class Traces:
    """Implements TelemetrySink: a span for each request, below the one that its `traceparent` names.

    `exporter` is given the spans in a thread. What OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and
    OTEL_TRACES_SAMPLER say is done.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._propagator = TraceContextTextMapPropagator()

    async def start(self) -> None:
        """See TelemetrySink."""
        own = Resource({"service.name": "s3gate", "service.version": __version__})
        # What the environment says comes last, and wins.
        resource = Resource.create().merge(own).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("s3gate", __version__)

    async def stop(self) -> None:
        """Send what is left, for a few seconds."""
        await asyncio.to_thread(self._provider.force_flush, _STOP_MILLISECONDS)
        await asyncio.to_thread(self._provider.shutdown)

    def reopen(self) -> None:
        """Nothing can be moved away."""

    def take(self, served: Served) -> None:
        """See ServedSink."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"S3.{served.operation}" if served.operation != "none" else str(served.scope["method"]),
            context=self._propagator.extract(served.headers),
            kind=SpanKind.SERVER,
            attributes=attributes_of(served),
            start_time=ended - (served.ended_ns - served.began_ns),
        )
        if served.status >= 500:
            span.set_status(Status(StatusCode.ERROR, served.error_code))
        span.end(ended)
