"""What names a request in its answer and in the log."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import socket

import msgspec

__all__ = ["Ids", "host_id", "new_request_id"]


class Ids(msgspec.Struct, frozen=True):
    """`request` is the x-amz-request-id of one request; `host` is x-amz-id-2, which tells the worker that answered."""

    request: str
    host: str


def new_request_id() -> str:
    """16 upper-case hexadecimal digits; no secret, only unlikely to be given twice."""
    return f"{random.getrandbits(64):016X}"


def host_id() -> str:
    """The same for all requests of a process, and not its host's name in clear."""
    return base64.b64encode(hashlib.sha256(f"{socket.gethostname()}:{os.getpid()}".encode()).digest()).decode()
