"""What an operation gives: a status, headers, and at most one of a document and the bytes of an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3gate.storage.backend import ObjectReader

__all__ = ["Content", "Result"]


@dataclass(frozen=True, slots=True)
class Content:
    """`length` bytes from `start` of an open object; whoever sends them closes the reader."""

    reader: ObjectReader
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Result:
    """An answer without HTTP's framing. `document` is XML as bytes, ready to send."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    document: bytes | None = None
    content: Content | None = None
