"""Servers as processes: started over data of their own, asked, stopped."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import proportional_bytes, session_processes
from bench.programs import Place, Program
from bench.replay import Unfit
from bench.signing import Request, Signer

__all__ = ["BUCKET", "Answer", "Server"]

BUCKET = "bench"

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_IDLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def excerpt(self) -> str:
        """The beginning of the body, where it is text."""
        return self.body[:300].decode() if self.body[:300].isascii() else f"{len(self.body)} bytes"


@dataclass(slots=True)
class Server:
    """A server of the measurement, in a session of its own.

    `start_seconds` is the time from its start to its first answer, `idle_bytes` the memory of all its processes (PSS)
    before the first load.
    """

    program: Program
    place: Place
    start_seconds: float = 0.0
    idle_bytes: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def start(cls, program: Program, root: Path, *, workers: int, home: Path) -> Server:
        """Start a program over a new directory in `root`, with a bucket; RuntimeError where it does not answer."""
        name = program.name.replace(" ", "-")
        place = Place(_free_port(), root / name, home / name, workers)
        place.data.mkdir()
        place.home.mkdir()
        server = cls(program, place)
        try:
            server.start_seconds = server.run()
            server.make_bucket()
            time.sleep(_IDLE_SECONDS)
            server.idle_bytes = proportional_bytes(server.session)
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def session(self) -> int:
        """The session of its processes."""
        assert self._process is not None
        return self._process.pid

    def run(self) -> float:
        """Start the process; the seconds until it answers."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.place.home), **(self.program.environ or {})}
        log = self.place.home / "log"
        begin = time.monotonic()
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                self.program.argv(self.place), cwd=self.place.home, env=environ, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - begin > _START_SECONDS:
                raise RuntimeError(f"{self.program.name} does not serve:\n{log.read_text(errors='replace')}")
            time.sleep(0.005)
        return time.monotonic() - begin

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket, waiting for those servers that listen before they can."""
        if not self.program.s3:
            (self.place.data / name).mkdir()
            return
        deadline = time.monotonic() + _START_SECONDS
        while (answer := self.ask(Request("PUT", f"/{name}"))).status != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.program.name} makes no bucket: {answer.status} {answer.excerpt}")
            time.sleep(0.1)

    def ask(self, request: Request, patience: float = _START_SECONDS) -> Answer:
        """Send one request; Unfit when no answer comes in time."""
        headers = Signer(self.place.address, datetime.now(UTC)).headers(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=patience)
        try:
            connection.request(request.method, request.target, request.body or None, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except OSError as error:
            raise Unfit(f"{request.method} {request.target}: {error}") from error
        except http.client.HTTPException as error:
            raise Unfit(f"{request.method} {request.target}: {error!r}") from error
        finally:
            connection.close()

    def restart(self) -> None:
        """Stop and start over the same data, so that work which nobody waits for any more ends."""
        self.stop()
        self.run()

    def stop(self) -> None:
        """Stop all its processes."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        for left in session_processes(process.pid):
            try:
                os.kill(left, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended meanwhile
        process.wait()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
