"""One request and how it was answered: what metrics, logs and traces are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from s3gate.core.values import Owner

__all__ = ["Served", "ServedSink"]

_NO_HEADERS: Mapping[str, str] = {}


class Served(msgspec.Struct):
    """A request, filled in while it is served and complete when its answer has ended.

    `began_ns` and the other times are of time.perf_counter_ns: when its head was there, when the last byte of its body
    was (`read_ns`, 0 unless it had one), when the answer began (`turned_ns`, 0: it never did) and when it ended.
    `status` is 0 where the client was gone before an answer began. `error_code` is of the table of errors, "" where
    there was none; text instead of the error itself, which would hold the frames that hold this. `sent` are the bytes
    of the body that the system has taken for the client, `received` those of the request's. `size` is that of the whole
    object where one is read. `action` is the permission that was asked for, `access_key` one whose signature was right.
    """

    scope: Mapping[str, Any]
    headers: Mapping[str, str]
    request_id: str
    host_id: str
    began_ns: int
    operation: str = "none"
    action: str = ""
    bucket: str = ""
    key: str = ""
    bucket_owner: Owner | None = None
    requester: Owner | None = None
    access_key: str = ""
    status: int = 0
    error_code: str = ""
    error_message: str = ""
    size: int | None = None
    answer_headers: Mapping[str, str] = _NO_HEADERS
    received: int = 0
    sent: int = 0
    read_ns: int = 0
    turned_ns: int = 0
    ended_ns: int = 0


class ServedSink(Protocol):
    """Takes note of requests that have ended."""

    def take(self, served: Served) -> None:
        """Called once for each, on the event loop; neither raises nor waits."""
