"""A request as it stood on the wire: text that no layer has interpreted yet, decoded once."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from s3gate.core.errors import S3Error

__all__ = ["Wire", "parse_query"]


def parse_query(raw: str) -> dict[str, str]:
    """The parameters of a raw query string, percent-decoded, `+` as space; the first of equal names counts."""
    found: dict[str, str] = {}
    for pair in raw.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            try:
                name = unquote_to_bytes(name.replace("+", " ")).decode()
                value = unquote_to_bytes(value.replace("+", " ")).decode()
            except UnicodeDecodeError:
                raise S3Error("InvalidURI", URI=raw) from None
        found.setdefault(name, value)
    return found


class Wire(msgspec.Struct):
    """A request line and headers.

    `raw_path` and `raw_query` are as sent, still percent-encoded, the path without any configured prefix taken off.
    `headers` have lower-case names and values decoded as Latin-1 (one character a byte, so nothing is lost); repeated
    headers are joined with a comma. `query` is the decoded query, always that of `raw_query`.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    peer: str = ""
    secure: bool = False
    query: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.raw_query:
            self.query = parse_query(self.raw_query)
