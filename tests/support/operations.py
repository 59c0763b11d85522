"""Runs operations on the reference backend as the pipeline does, without a server or a signature in between."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote, unquote

from lxml import etree

from s3gate.auth.chunked import PlainDecoder
from s3gate.auth.payload import Payload
from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, Owner
from s3gate.core.wire import Wire
from s3gate.identity.model import Caller
from s3gate.operations import ROUTES
from s3gate.operations.call import Call, Rules
from s3gate.operations.intake import read_document
from s3gate.operations.registry import Level
from s3gate.operations.result import Result
from s3gate.storage.backend import Backend
from s3gate.storage.memory import MemoryBackend

__all__ = ["ALICE", "BOB", "Bench", "BodyOf", "call_of", "md5", "texts", "tree"]

ALICE = Owner("a" * 64, "alice")
BOB = Owner("b" * 64, "bob")
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def md5(data: bytes) -> str:
    """The entity tag of an object of these bytes."""
    return hashlib.md5(data).hexdigest()


def tree(document: bytes | None) -> etree._Element:
    """A document with its names freed of their namespace."""
    assert document is not None
    root = etree.fromstring(document)
    for node in root.iter():
        node.tag = str(node.tag).removeprefix(_NAMESPACE)
    return root


def texts(result: Result, path: str) -> list[str]:
    """The texts of all elements at `path` of the document."""
    return [node.text or "" for node in tree(result.document).findall(path)]


class BodyOf:
    """A request body that is there already; it counts how often it was asked for."""

    def __init__(self, data: bytes, batch: int = 1 << 20) -> None:
        self.data = data
        self.size = batch
        self.asked = 0
        self._starts = iter(range(0, len(data), batch))

    async def batch(self) -> list[Buffer]:
        self.asked += 1
        start = next(self._starts, None)
        return [] if start is None else [self.data[start : start + self.size]]


def call_of(
    wire: Wire,
    body: BodyOf,
    *,
    storage: Backend,
    bucket: Bucket | None = None,
    payload: Payload | None = None,
    caller: Caller | None = None,
    rules: Rules | None = None,
    denied: frozenset[tuple[str, str]] = frozenset(),
) -> Call:
    """A call; `denied` are pairs of action and key that `require` refuses."""

    def require(action: str, bucket: Bucket, key: str = "") -> None:
        if (action, key) in denied:
            raise S3Error("AccessDenied")

    if payload is None:
        text = wire.headers.get("content-length")
        length = None if text is None else int(text)
        payload = Payload(partial(PlainDecoder, length, ""), length)
    who = caller or Caller(ALICE, "readwrite", "AK")
    return Call(wire, who, bucket, storage, body, payload, rules or Rules(), require)


@dataclass
class Bench:
    """A gateway in small. `caller`, `rules` and `denied` may be changed between requests."""

    storage: MemoryBackend = field(default_factory=MemoryBackend)
    caller: Caller = field(default_factory=lambda: Caller(ALICE, "readwrite", "AK"))
    rules: Rules = field(default_factory=Rules)
    denied: frozenset[tuple[str, str]] = frozenset()
    last_body: BodyOf = field(default_factory=lambda: BodyOf(b""))

    async def __call__(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        body: bytes | str = b"",
        payload: Payload | None = None,
        **headers: str | None,
    ) -> Result:
        """Make a request; header names are written with underscores, None takes Content-Length away."""
        data = body.encode() if isinstance(body, str) else body
        named: dict[str, str | None] = {"content-length": str(len(data)), "host": "s3.example"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent: Mapping[str, str] = {name: value for name, value in named.items() if value is not None}
        wire = Wire(method, quote(path), query, sent)
        _, bucket_name, *rest = [*unquote(wire.raw_path).split("/", 2), ""][:3]
        key = rest[0] if rest else ""
        level = Level.OBJECT if key else Level.BUCKET if bucket_name else Level.SERVICE
        op = ROUTES.match(method, level, wire.query, sent)
        bucket = await self.storage.find_bucket(bucket_name) if op.finds_bucket else None
        self.last_body = BodyOf(data)
        call = call_of(
            wire,
            self.last_body,
            storage=self.storage,
            bucket=bucket,
            payload=payload,
            caller=self.caller,
            rules=self.rules,
            denied=self.denied,
        )
        args = await op.binder.bind_document(bucket_name, key, wire, read=partial(read_document, call))
        return await op.handler(call, args)

    async def fails(self, method: str, path: str, query: str = "", **rest: object) -> S3Error:
        """Make a request that must be refused; gives the refusal."""
        try:
            result = await self(method, path, query, **rest)  # type: ignore[arg-type]
        except S3Error as error:
            return error
        raise AssertionError(f"{method} {path}?{query} was answered with {result.status}")

    async def content(self, path: str, query: str = "", **headers: str) -> bytes:
        """The bytes that a GET gives."""
        result = await self("GET", path, query, **headers)
        assert result.content is not None
        found = result.content
        data = b"".join([bytes(piece) async for piece in found.reader.chunks(found.start, found.length)])
        await found.reader.close()
        return data

    async def head(self, path: str, query: str = "", **headers: str) -> Mapping[str, str]:
        """The headers that a HEAD gives."""
        return (await self("HEAD", path, query, **headers)).headers
