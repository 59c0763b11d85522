"""Deleting objects of 1 KiB: one by one, and a thousand at a time."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from bench.loads.load import Load, Target, object_path
from bench.replay import Outcome, Unfit
from bench.servers import BUCKET
from bench.signing import Request

__all__ = ["Deletes", "MultiDeletes"]

_SIZE = 1 << 10
_CONNECTIONS = 16
_BATCH = 1000


@dataclass(frozen=True)
class Deletes(Load):
    """DELETE of so many objects."""

    count: int
    name: str = "delete"
    writes = True

    @property
    def title(self) -> str:
        return f"DELETE, {_CONNECTIONS} connections"

    def prepare(self, target: Target) -> str:
        path = object_path("deleted")
        target.fill([target.put(path, _SIZE)])
        target.delete(path)
        target.expect(Request("HEAD", path), 404)
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        paths = [object_path(key) for key in _keys(self.name, self.count)]
        target.fill(target.put(path, _SIZE) for path in paths)
        return target.replay((Request("DELETE", path) for path in paths), connections=_CONNECTIONS)


@dataclass(frozen=True)
class MultiDeletes(Load):
    """DeleteObjects of 1,000 keys, so many times."""

    count: int
    name: str = "delete-objects"
    writes = True
    s3 = True

    @property
    def title(self) -> str:
        return f"DeleteObjects of {_BATCH:,} keys, 1 connection"

    def prepare(self, target: Target) -> str:
        keys = _keys("deleted", 3)
        target.fill(target.put(object_path(key), _SIZE) for key in keys)
        answer = target.expect(_delete_objects(keys[:2]))
        if b"<Error" in answer.body or answer.body.count(b"<Deleted>") != 2:
            raise Unfit(f"DeleteObjects is answered by {answer.excerpt}")
        target.expect(Request("HEAD", object_path(keys[1])), 404)
        target.expect_object(object_path(keys[2]), _SIZE)
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        keys = _keys(self.name, self.count * _BATCH)
        target.fill(target.put(object_path(key), _SIZE) for key in keys)
        batches = (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))
        return target.replay(map(_delete_objects, batches), connections=1)


def _keys(prefix: str, count: int) -> list[str]:
    return [f"{prefix}/{number:06}" for number in range(count)]


def _delete_objects(keys: list[str]) -> Request:
    listed = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}</Delete>'.encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = (("Content-MD5", md5), ("Content-Type", "application/xml"))
    return Request("POST", f"/{BUCKET}", "delete=", headers, body)
