"""Small objects, over many keys and connections: GET, HEAD and PUT of one size, and a mixture."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.loads.load import Load, Target, object_path
from bench.replay import Outcome, Unfit
from bench.servers import BUCKET
from bench.signing import Request
from bench.sizes import size_name

__all__ = ["Mixed", "Small"]

_READ_KEYS, _WRITE_KEYS = 1000, 256
_READ_CONNECTIONS, _WRITE_CONNECTIONS = 32, 16
_MIXED_SIZE, _MIXED_PAGE, _MIXED_REQUESTS = 1 << 10, 100, 10_000
_MIXED_SHARES = {"GET": 70, "PUT": 20, "LIST": 10}


@dataclass(frozen=True)
class Small(Load):
    """GET or HEAD of one of 1,000 keys after the other, or PUT over 256 keys in turn."""

    name: str
    method: str
    size: int

    @property
    def writes(self) -> bool:  # type: ignore[override]
        return self.method == "PUT"

    @property
    def title(self) -> str:
        return f"{self.method} {size_name(self.size)}, {self._connections} connections"

    def prepare(self, target: Target) -> str:
        target.fill(target.put(path, self.size) for path in self._paths)
        target.expect_object(self._paths[0], self.size)
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        if self.writes:
            requests = [target.put(path, self.size) for path in self._paths]
        else:
            requests = [Request(self.method, path) for path in self._paths]
        return target.replay(requests, connections=self._connections, seconds=target.seconds)

    @property
    def _connections(self) -> int:
        return _WRITE_CONNECTIONS if self.writes else _READ_CONNECTIONS

    @property
    def _paths(self) -> list[str]:
        count = _WRITE_KEYS if self.writes else _READ_KEYS
        return [object_path(f"{self.name}/{number:04}") for number in range(count)]


@dataclass(frozen=True)
class Mixed(Load):
    """GET and PUT of 1 KiB and LIST of a page of 100, in random order that is the same for all."""

    name: str = "mixed"
    writes = True
    s3 = True

    @property
    def title(self) -> str:
        shares = ", ".join(f"{share} % {method}" for method, share in _MIXED_SHARES.items())
        return f"mixed: {shares} of {_MIXED_PAGE}; 1 KiB, {_WRITE_CONNECTIONS} connections"

    def prepare(self, target: Target) -> str:
        target.fill(target.put(path, _MIXED_SIZE) for path in self._paths)
        target.expect_object(self._paths[0], _MIXED_SIZE)
        found = target.expect(self._page).body.count(b"<Key>")
        if found != _MIXED_PAGE:
            raise Unfit(f"LIST gives {found} keys in place of {_MIXED_PAGE}")
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        order = random.Random(1)
        methods = order.choices(list(_MIXED_SHARES), list(_MIXED_SHARES.values()), k=_MIXED_REQUESTS)
        paths = self._paths
        make = {
            "GET": lambda: Request("GET", order.choice(paths)),
            "PUT": lambda: target.put(order.choice(paths[:_WRITE_KEYS]), _MIXED_SIZE),
            "LIST": lambda: self._page,
        }
        requests = (make[method]() for method in methods)
        return target.replay(requests, connections=_WRITE_CONNECTIONS, seconds=target.seconds)

    @property
    def _page(self) -> Request:
        return Request("GET", f"/{BUCKET}", f"list-type=2&max-keys={_MIXED_PAGE}&prefix=mixed%2F")

    @property
    def _paths(self) -> list[str]:
        return [object_path(f"mixed/{number:04}") for number in range(_READ_KEYS)]
