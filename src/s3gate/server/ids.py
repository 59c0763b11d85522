"""What names a request in its answer and in the log."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import socket

__all__ = ["host_id", "new_request_id"]


def new_request_id() -> str:
    """x-amz-request-id: 16 upper-case hexadecimal digits; no secret, only unlikely to be given twice."""
    return random.getrandbits(64).to_bytes(8).hex().upper()


def host_id() -> str:
    """x-amz-id-2: the same for all requests of a process, and not its host's name in clear."""
    return base64.b64encode(hashlib.sha256(f"{socket.gethostname()}:{os.getpid()}".encode()).digest()).decode()
