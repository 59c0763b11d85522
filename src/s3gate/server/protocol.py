"""uvicorn's HTTP/1.1 protocol with what it leaves open: a bounded header section, and refusals in S3's words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Executor

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from s3gate.core.errors import S3Error
from s3gate.server.body_receiver import LARGE_BODY, BodyReceiver, ReceiveBuffer
from s3gate.server.connections import CONNECTIONS, UNOBSERVED, ConnectionObserver, encrypted
from s3gate.server.cycle import PiecesCycle, SendingCycle
from s3gate.server.eager import Waiting, go_on, start
from s3gate.server.file_sender import STEP_BYTES, FileSender
from s3gate.server.header_names import keep
from s3gate.server.idle_timer import IdleTimer
from s3gate.server.refusal import refusal
from s3gate.server.request_target import split_target
from s3gate.server.turns import Turns
from s3gate.server.uvicorn_parts import missing_from_protocol

__all__ = ["MAX_HEAD", "GatewayProtocol"]

_log = logging.getLogger(__name__)

# Bytes of request line and headers together. AWS takes 8 KB of headers; 16 KiB leave room for what proxies add.
MAX_HEAD = 16 << 10
# A head that is still incomplete after this many bytes is not waited for: one read of the loop beyond the limit.
_MAX_PENDING = MAX_HEAD + (256 << 10)
# How much and how long a refused client that is still sending is listened to, so that it gets to read the answer.
_LINGER_BYTES = 1 << 20
_LINGER_SECONDS = 1.0


# How long a client may take from the first byte of a connection or a head to the end of the head.
_HEAD_SECONDS = 30.0

_others: dict[bytes, bytes] = {}  # names of headers that say nothing to the connection, in lower case
_FRAMING = (b"content-length", b"transfer-encoding")
# What is run as soon as it has come whole, in the same turn of the loop and without a task, as long as it never waits.
# What it runs before its first wait must need no task: asyncio.timeout is for one.
_AT_ONCE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_AT_ONCE_BYTES = 64 << 10


class GatewayProtocol(HttpToolsProtocol):
    """A connection. What it refuses by itself is answered with an S3 error and ends the connection.

    Requests that came whole before get their own answers first, in order. The class attributes choose the ways of large
    bodies, see `protocol_class`.
    """

    cycle_class: type[SendingCycle] | None = None
    extensions: Mapping[str, object] = {}
    executor: Executor
    step_bytes = STEP_BYTES
    receive_buffer: ReceiveBuffer
    sender: FileSender | None = None
    turns: Turns | None = None
    observer: ConnectionObserver = UNOBSERVED

    _in_head = False
    _in_body = False
    _large: PiecesCycle | None = None  # whose head has come with this read, and a body that may not be here yet
    _body_bytes: int | None = 0  # as the head says; None where it does not
    _begun: SendingCycle | None = None  # what is run as soon as it has come whole
    _idle: IdleTimer | None = None
    _head_bytes = 0
    _trailer_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _refused = False
    _deferred = False
    _discarded = 0
    _fault: S3Error | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected; it does not get the connection for nothing."""
        super().connection_made(transport)
        if self.cycle_class is not None:
            self._idle = IdleTimer(self.loop, self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if self.scheme != "http":
            # What is encrypted passes through this process.
            self.extensions = encrypted(self.extensions, transport)
        self.observer = self.app_state.get(CONNECTIONS, UNOBSERVED)
        self.observer.connection_made()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._head_has_come()
        if self.sender is not None:
            self.sender.abandon()
        self.observer.connection_lost()
        if self._idle is not None:
            self._idle.stop()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _head_has_come(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        """Close a connection whose head does not come; answers to earlier requests are never cut off by it."""
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._refused:
            self._discard(len(data))
            return
        # An upper bound of the head's size: the read in which it begins may hold the end of another request.
        self._head_bytes = len(data) + (self._head_bytes if self._in_head else 0)
        if self._idle is not None:
            self._idle.end()
        super().data_received(data)
        if self._begun is not None:
            self._start_with_task(self._begun)
        if self._large is not None:
            self._receive_large(self._large)
        if self._in_head:
            self._expect_head()  # nearly every head comes whole, and needs no timer
            if self._head_bytes > _MAX_PENDING and not self._refused:
                self._fault = S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=MAX_HEAD)
                self.send_400_response("")

    def _receive_large(self, cycle: PiecesCycle) -> None:
        """Have the rest of a body read into memory past the parser, where much of it is still to come.

        Nobody has taken of it yet: the request is run in the next turn of the loop.
        """
        self._large = None
        left = (self._body_bytes or 0) - cycle.held
        if left >= LARGE_BODY and cycle is self.cycle and self._in_body and not self._refused:
            self._read_by(BodyReceiver(self, cycle, left))

    def _read_by(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes from now on to another protocol; uvloop looks how that wants it when reading begins."""
        self.transport.set_protocol(protocol)
        if not (self.flow.read_paused or self.transport.is_closing()):
            self.transport.pause_reading()
            self.transport.resume_reading()

    def rest_received(self) -> None:
        """See Receiving."""
        if self._idle is not None:
            self._idle.end()

    def body_received(self) -> None:
        """See Receiving."""
        self.parser = httptools.HttpRequestParser(self)  # the one before still waits for this body
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self._read_by(self)
        self.on_message_complete()

    def _discard(self, size: int) -> None:
        """Take no notice of what a refused client still sends, within bounds."""
        self._discarded += size
        if self._discarded <= _LINGER_BYTES:
            return
        if self._deferred:
            self.flow.pause_reading()  # until the answers before the refusal are sent
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        """The parser: a request begins."""
        self._in_head = True
        self._body_bytes = 0
        self._trailer_bytes = 0
        if self.cycle_class is None:
            super().on_message_begin()
        else:
            self.url = b""
            self.expect_100_continue = False
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser: a header, or a field behind a body in chunks.

        HTTP's own trailer fields are no headers: S3's trailers stand inside the aws-chunked body. They are dropped, so
        that nothing slips past a proxy in them, and bounded.
        """
        if self._in_head:
            self.headers.append((_others.get(name) or self._looked_at(name, value), value))
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > MAX_HEAD:
            self._fault = S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=MAX_HEAD)
            raise self._fault

    def _looked_at(self, name: bytes, value: bytes) -> bytes:
        """The lower-case name of a header, once the connection knows what it says to it."""
        lower = name.lower()
        if lower == b"content-length":
            self._body_bytes = int(value) if value.isdigit() else None
        elif lower == b"transfer-encoding":
            self._body_bytes = None
        elif lower == b"expect":
            self.expect_100_continue |= value.lower() == b"100-continue"
        else:
            keep(_others, name, lower)
        return lower

    def on_headers_complete(self) -> None:
        """The parser: the head of a request is there. What is raised here becomes `send_400_response`."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_has_come()
        version, upgrades = self.parser.get_http_version(), self.parser.should_upgrade()
        self._fault = self._head_fault(version, upgrades)
        if self._fault is not None:
            raise self._fault
        if self.cycle_class is None:
            super().on_headers_complete()
            self.scope["extensions"] = self.extensions  # type: ignore[typeddict-item]  # it is run in the next turn
        else:
            self._begin_cycle(self.cycle_class, version)
        self._in_body = True
        if upgrades:
            # No other protocol is spoken here, and the parser stops behind a request that asks for one.
            self.cycle.keep_alive = False

    def _begin_cycle(self, kind: type[SendingCycle], version: str) -> None:
        """A request begins, as uvicorn's own on_headers_complete has it, with fewer steps."""
        method = self.parser.get_method().decode("ascii")
        path, raw_path, query = split_target(self.url)
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": method,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "extensions": self.extensions,  # type: ignore[typeddict-item]
        }
        before = self.cycle
        cycle = kind(self, self.scope, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        self.cycle = cycle
        if before is not None and not before.response_complete:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        elif self._may_come_whole(method):
            self._begun = cycle
        else:
            self._start_asgi_task(cycle, self.app)
            if isinstance(cycle, PiecesCycle) and (self._body_bytes or 0) >= LARGE_BODY:
                self._large = cycle

    def _may_come_whole(self, method: str) -> bool:
        """Whether a request is so small that it is there with its head, mostly."""
        size = self._body_bytes
        return method in _AT_ONCE and size is not None and size <= _AT_ONCE_BYTES and not self.expect_100_continue

    def on_body(self, body: bytes) -> None:
        """The parser: bytes of a body."""
        if not isinstance(self.cycle, PiecesCycle):
            super().on_body(body)
        elif not self.cycle.response_complete:
            self.cycle.take(body, wakes=self._begun is None)

    def on_message_complete(self) -> None:
        """The parser: a request has come whole."""
        self._in_body = False
        if self.cycle_class is None:
            super().on_message_complete()
        elif not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        if self._begun is not None:
            begun, self._begun = self._begun, None
            if self.turns is None:
                self._run(begun)
            else:
                self.turns.run(self.loop, self._run, begun)

    def _start_with_task(self, cycle: SendingCycle) -> None:
        """The rest of a request has not come with its head."""
        self._begun = None
        self._start_asgi_task(cycle, self.app)

    def _run(self, cycle: SendingCycle) -> None:
        """Run a request here and now, as far as it goes without waiting; uvicorn's cycle lets nothing through."""
        coroutine = cycle.run_asgi(self.app)
        try:
            start(coroutine)
        except Waiting as waiting:
            task = self.loop.create_task(go_on(coroutine, waiting.future))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def on_response_complete(self) -> None:
        """A cycle: an answer has been sent. Goes on as uvicorn's own does, without a timer for each request."""
        last, closing = not self.pipeline, self.transport.is_closing()
        if self._idle is None:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            if not closing:
                if self.flow.read_paused:
                    self.flow.resume_reading()
                if last:
                    self._idle.begin()
                else:
                    self._start_asgi_task(*self.pipeline.pop())
        if self._deferred and last and not closing:
            self._deferred = False
            self._discarded = 0
            if self.turns is not None:
                self.turns.flush()  # the refusal goes behind the answer
            self._refuse()

    def _head_fault(self, version: str, upgrades: bool) -> S3Error | None:
        """What is wrong with a head that could be parsed."""
        if self._head_bytes > MAX_HEAD:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD:
                return S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=MAX_HEAD)
        if version not in ("1.0", "1.1"):
            return S3Error("BadRequest")
        if b"#" in self.url:
            # It would be cut off as a fragment, and another object taken for the one that was meant.
            return S3Error("InvalidURI")
        if upgrades and any(name in _FRAMING for name, _ in self.headers):
            # The parser takes the body for the other protocol: the object would be stored empty.
            return S3Error("NotImplemented", Header="Upgrade")
        return None

    def _unsupported_upgrade_warning(self) -> None:
        _log.debug("a client asked for another protocol than HTTP/1.1")

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, once every request before it has its answer."""
        if self._refused:
            return
        self._refused = True
        self._begun = None
        answers_body = self._in_body and not self.cycle.response_complete
        if answers_body and self.pipeline:
            self.pipeline.popleft()  # the request whose body is broken: it has not begun, nor will it
            answers_body = False
        if answers_body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._refuse(silently=self.cycle.response_started)
        elif self.pipeline or (self.cycle is not None and not self.cycle.response_complete):
            self._deferred = True
        else:
            self._refuse(silently=self._in_body)

    def _refuse(self, *, silently: bool = False) -> None:
        """Tell the refusal, unless its request has an answer already, and close when the client could read that."""
        if not silently:
            fault = self._fault or S3Error("BadRequest")
            self.observer.refused(fault.code)
            self.transport.write(refusal(fault))
            if self.transport.can_write_eof():
                self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)


if missing_from_protocol():
    _log.warning("uvicorn has changed (%s): header sections are not bounded", ", ".join(missing_from_protocol()))
    GatewayProtocol = HttpToolsProtocol  # type: ignore[misc,assignment]
