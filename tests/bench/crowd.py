"""`python -m bench crowd`: what idle connections and stalled transfers cost, and whether others wait for them."""

from __future__ import annotations

import argparse
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.disk import disk_at
from bench.machine import describe_machine
from bench.measure import Quiet, proportional_bytes
from bench.output import put_out
from bench.programs import gateway
from bench.replay import MissingProgram, Outcome, Replay, Unfit
from bench.servers import BUCKET, Server
from bench.signing import Request, Signer

__all__ = ["main"]

_LOAD_CONNECTIONS = 32
_OBJECT_BYTES = 64 << 20  # of a stalled transfer: more than any buffer takes
_BEGUN_BYTES = 256 << 10  # of it are sent or taken before it stalls
_SETTLE_SECONDS = 1.5  # for what stalled clients sent to be stored
_SPARE_DESCRIPTORS = 200

Join = Callable[[Server], socket.socket]


@dataclass(slots=True)
class Row:
    """A crowd, and what each round with it gave."""

    name: str
    size: int
    join: Join
    outcomes: list[Outcome] = field(default_factory=list)
    bytes_each: list[float] = field(default_factory=list)


def _connect(server: Server, request: Request) -> socket.socket:
    """A connection that has sent the head of a request."""
    connection = socket.create_connection(("127.0.0.1", server.place.port), timeout=30)
    connection.sendall(Signer(server.place.address, datetime.now(UTC)).head(request))
    return connection


def _idle(server: Server) -> socket.socket:
    """A keep-alive connection that has had an answer."""
    connection = _connect(server, Request("HEAD", f"/{BUCKET}/key0"))
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise Unfit("an idle connection got no answer")
    return connection


def _reader(server: Server) -> socket.socket:
    """A download that stalls after its first bytes."""
    connection = _connect(server, Request("GET", f"/{BUCKET}/large"))
    taken = 0
    while taken < _BEGUN_BYTES:
        piece = connection.recv(64 << 10)
        if not piece:
            raise Unfit("a download was broken off")
        taken += len(piece)
    return connection


def _writer(server: Server) -> socket.socket:
    """An upload that stalls after its first bytes."""
    connection = _connect(server, Request("PUT", f"/{BUCKET}/stalled", filler=_OBJECT_BYTES))
    connection.sendall(bytes(_BEGUN_BYTES))
    return connection


@contextmanager
def _joined(row: Row, server: Server) -> Iterator[None]:
    """The crowd is there, and the memory that each member takes is noted."""
    before = proportional_bytes(server.session)
    members: list[socket.socket] = []
    try:
        members.extend(row.join(server) for _ in range(row.size))
        if members:
            time.sleep(_SETTLE_SECONDS)
            row.bytes_each.append((proportional_bytes(server.session) - before) / len(members))
        yield
    finally:
        for member in members:
            member.close()
        if members:
            time.sleep(_SETTLE_SECONDS)


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments behind `crowd`; the exit status."""
    given = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    rows = [Row("nobody else", 0, _idle)]
    rows += [Row(f"{size:,} idle connections", size, _idle) for size in given.idle]
    rows += [Row(f"{given.stalled:,} stalled downloads", given.stalled, _reader)]
    rows += [Row(f"{given.stalled:,} stalled uploads", given.stalled, _writer)]
    _raise_limit(max(row.size for row in rows))
    try:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3gate-bench-home-")))
            client = Replay.build(home, 10)
            disk = stack.enter_context(disk_at(given.dir, 0))
            server = Server.start(gateway("full", reads=True), disk.root, workers=given.workers, home=home)
            stack.callback(server.stop)
            _measure(rows, server, client, given)
    except (MissingProgram, Unfit) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = _markdown(rows, given)
    put_out(text, given.markdown)
    return 0


def _measure(rows: Sequence[Row], server: Server, client: Replay, given: argparse.Namespace) -> None:
    keys = [f"/{BUCKET}/key{number}" for number in range(256)]
    port, quiet = server.place.port, Quiet(given.wait)
    client.run(client.script([Request("PUT", key, body=bytes(1024)) for key in keys], port), port, connections=1)
    large = Request("PUT", f"/{BUCKET}/large", filler=_OBJECT_BYTES)
    client.run(client.script([large], port), port, connections=1)
    for _ in range(given.rounds):
        for row in rows:
            with _joined(row, server):
                quiet.wait()
                script = client.script([Request("GET", key) for key in keys], port)
                row.outcomes.append(client.run(script, port, connections=_LOAD_CONNECTIONS, seconds=given.seconds))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench crowd", description=__doc__)
    add = parser.add_argument
    add("--idle", type=_sizes, default="1000,10000", help="numbers of idle connections (default: %(default)s)")
    add("--stalled", type=int, default=500, help="downloads, and uploads, that stall (default: %(default)s)")
    add("--rounds", type=int, default=3, help="with each crowd, in turn (default: %(default)s)")
    add("--seconds", type=float, default=1.0, help="of a round (default: %(default)s)")
    add("--wait", type=float, default=0.0, help="seconds in all to wait for a quiet machine (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes of s3gate (default: %(default)s)")
    add("--dir", type=Path, help="where data are kept (default: an ext4 made for the run, as root, else temporary)")
    add("--markdown", type=Path, help="write the table to this file (default: to the standard output)")
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[int]:
    return [int(item) for item in text.split(",") if item]


def _raise_limit(members: int) -> None:
    """Let this process, and the server that it starts, have a descriptor for each member of the crowd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = members + _SPARE_DESCRIPTORS
    if soft < needed:
        if hard < needed:
            raise SystemExit(f"bench: {needed} descriptors are needed, and {hard} allowed: ulimit -Hn {needed}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _markdown(rows: Sequence[Row], given: argparse.Namespace) -> str:
    lines = [f"- {name}: {value}" for name, value in describe_machine().items()]
    lines += [
        f"- {given.workers} processes of s3gate, signed GET of 1 KiB by {_LOAD_CONNECTIONS} connections meanwhile",
        f"- rounds: {given.rounds} of {given.seconds:g} s, in turn; medians",
        "",
        "| with | KiB of memory each | GET/s | of alone | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    alone = median(each.requests / each.seconds for each in rows[0].outcomes)
    for row in rows:
        rate = median(each.requests / each.seconds for each in row.outcomes)
        p50, p99 = (median(getattr(each, name) / 1000 for each in row.outcomes) for name in ("p50", "p99"))
        # The most: what a crowd has left is used by the next one.
        memory = f"{max(row.bytes_each) / 1024:.1f}" if row.bytes_each else ""
        lines.append(f"| {row.name} | {memory} | {rate:,.0f} | {rate / alone:.2f} | {p50:.2f} | {p99:.2f} |")
    return "\n".join(lines) + "\n"
