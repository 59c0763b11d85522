"""What a load is, and the server it is put on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from bench.replay import FILLER_SIZE, Outcome, Replay, Unfit
from bench.servers import BUCKET, Answer, Server
from bench.signing import Request

__all__ = ["Load", "Target", "Unit", "object_path"]

Unit = Literal["requests", "received", "sent"]

_FILL_CONNECTIONS = 16
_INLINE_BYTES = 4096


def object_path(key: str) -> str:
    """The path of an object of the bucket; the key has nothing in it that wants encoding."""
    return f"/{BUCKET}/{key}"


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load, the client that loads it, and the seconds that one round may take."""

    server: Server
    client: Replay
    seconds: float

    def content(self, size: int) -> bytes:
        """What objects of this size hold."""
        filler = self.client.filler
        return (filler * -(-size // FILLER_SIZE))[:size]

    def put(self, path: str, size: int) -> Request:
        """PutObject of so many bytes: small ones go with the head, others by sendfile."""
        if size <= _INLINE_BYTES:
            return Request("PUT", path, body=self.content(size))
        return Request("PUT", path, filler=size)

    def replay(self, requests: Iterable[Request], *, connections: int, seconds: float = 0) -> Callable[[], Outcome]:
        """Sign the requests now, and send them when called: once, or for some seconds."""
        port = self.server.place.port
        script = self.client.script(requests, port)
        return lambda: self.client.run(script, port, connections=connections, seconds=seconds)

    def fill(self, requests: Iterable[Request]) -> None:
        """Put objects, each once; a second time if one fails, as with rclone where many make the same directory."""
        work = self.replay(requests, connections=_FILL_CONNECTIONS)
        try:
            work()
        except Unfit:
            work()

    def expect(self, request: Request, *statuses: int) -> Answer:
        """Send one request; Unfit unless its status is among those, or 200 when none are given."""
        answer = self.server.ask(request, self.client.patience)
        if answer.status not in (statuses or (200,)):
            raise Unfit(f"{request.method} {request.target} is answered by {answer.status}: {answer.excerpt}")
        return answer

    def expect_object(self, path: str, size: int) -> None:
        """Unfit unless the object is that long, and its last bytes are those that were put.

        A server may send all of it where the last bytes are asked for.
        """
        length = self.expect(Request("HEAD", path)).headers["Content-Length"]
        if length != str(size):
            raise Unfit(f"{path} has {length} bytes in place of {size}")
        span = min(size, FILLER_SIZE)
        last = Request("GET", path, headers=(("Range", f"bytes={size - span}-{size - 1}"),))
        filler = self.client.filler
        start = (size - span) % FILLER_SIZE
        if self.expect(last, 200, 206).body[-span:] != (filler[start:] + filler[:start])[:span]:
            raise Unfit(f"{path} does not hold what was put")

    def delete(self, *paths: str) -> None:
        """Remove objects."""
        for path in paths:
            self.expect(Request("DELETE", path), 200, 204)


class Load(ABC):
    """A kind of work for servers.

    `unit` is what its rate counts: requests, or bytes that the client received or sent. Loads that are not `writes`
    leave the data as it is; those that are `s3` need a server that speaks S3.
    """

    name: str
    unit: Unit = "requests"
    writes = False
    s3 = False

    @property
    @abstractmethod
    def title(self) -> str:
        """What is measured, with the concurrency."""

    @abstractmethod
    def prepare(self, target: Target) -> str:
        """Make what the rounds need, and see that the server answers rightly; a remark for the report, or none.

        Unfit where it does not.
        """

    @abstractmethod
    def begin(self, target: Target) -> Callable[[], Outcome]:
        """Make one round ready, which is done when the result is called: only that is measured."""

    def clean(self, target: Target) -> None:  # noqa: B027  # most leave nothing behind that matters
        """Remove what takes up much space."""
