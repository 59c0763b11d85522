"""What an operation gives: a status, headers, and at most one of a document and the bytes of an object."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import msgspec

from s3gate.storage.backend import ObjectReader

__all__ = ["Content", "Result"]


class Content(msgspec.Struct, frozen=True):
    """`length` bytes from `start` of an open object; whoever sends them closes the reader."""

    reader: ObjectReader
    start: int
    length: int


class Result(msgspec.Struct, frozen=True):
    """An answer without HTTP's framing. `document` is XML as bytes, ready to send.

    `late` stands for the document of an operation that takes longer than clients wait: the answer begins before it is
    there, and an error of it can only be told in its place. The work goes on when the client does not wait for it.
    """

    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    document: bytes | None = None
    content: Content | None = None
    late: Awaitable[bytes] | None = None
