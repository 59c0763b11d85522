"""Large objects: whole ones one at a time, and ranges of one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.loads.load import Load, Target, Unit, object_path
from bench.replay import Outcome, Unfit
from bench.signing import Request
from bench.sizes import size_name

__all__ = ["Large", "Ranges"]

_RANGE_CONNECTIONS, _RANGE_COUNT = 32, 1000


@dataclass(frozen=True)
class Large(Load):
    """GET or PUT of one large object, again and again over one connection."""

    name: str
    method: str
    size: int

    @property
    def unit(self) -> Unit:  # type: ignore[override]
        return "sent" if self.writes else "received"

    @property
    def writes(self) -> bool:  # type: ignore[override]
        return self.method == "PUT"

    @property
    def title(self) -> str:
        return f"{self.method} {size_name(self.size)}, 1 connection"

    def prepare(self, target: Target) -> str:
        target.fill([target.put(self._path, self.size)])
        target.expect_object(self._path, self.size)
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        request = target.put(self._path, self.size) if self.writes else Request("GET", self._path)
        return target.replay([request], connections=1, seconds=target.seconds)

    def clean(self, target: Target) -> None:
        target.delete(self._path)

    @property
    def _path(self) -> str:
        return object_path(self.name)


@dataclass(frozen=True)
class Ranges(Load):
    """GET of ranges of one object, at random places."""

    name: str
    span: int
    size: int
    unit: Unit = "received"

    @property
    def title(self) -> str:
        return f"GET {size_name(self.span)} of {size_name(self.size)}, {_RANGE_CONNECTIONS} connections"

    def prepare(self, target: Target) -> str:
        target.fill([target.put(self._path, self.size)])
        target.expect_object(self._path, self.size)
        found = target.expect(Request("GET", self._path, headers=(("Range", f"bytes=0-{self.span - 1}"),)), 200, 206)
        if found.body != target.content(self.span):
            raise Unfit(f"a range of {self.span} bytes is answered by {len(found.body)}")
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        place = random.Random(1)
        starts = (place.randrange(self.size - self.span + 1) for _ in range(_RANGE_COUNT))
        ranges = (("Range", f"bytes={start}-{start + self.span - 1}") for start in starts)
        requests = (Request("GET", self._path, headers=(header,)) for header in ranges)
        return target.replay(requests, connections=_RANGE_CONNECTIONS, seconds=target.seconds)

    def clean(self, target: Target) -> None:
        target.delete(self._path)

    @property
    def _path(self) -> str:
        return object_path(self.name)
