"""The protocol of a process, with the ways of large bodies and whole answers that are chosen."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from s3gate.server.body_receiver import ReceiveBuffer
from s3gate.server.cycle import FILE, PIECES, WHOLE, PiecesCycle, SendingCycle
from s3gate.server.file_sender import STEP_BYTES
from s3gate.server.protocol import GatewayProtocol
from s3gate.server.turns import Turns
from s3gate.server.uvicorn_parts import missing_from_cycle

__all__ = ["protocol_class"]

_log = logging.getLogger(__name__)

# How many downloads can wait for a disk at once.
_DISK_THREADS = 32


def protocol_class(
    *, zero_copy: bool, pieces: bool, whole: bool, step_bytes: int = STEP_BYTES
) -> type[HttpToolsProtocol]:
    """The protocol for a process.

    `zero_copy`: the application may send ranges of files inside the kernel, but over TLS. `pieces`: it gets bodies
    in pieces, not joined. `whole`: it may send an answer by one message, and those of requests that came together
    go out together. `step_bytes`: how much of a file is sent at once, before others get their turn. The first three
    are announced as extensions in the scope, see `server.cycle`. A release of uvicorn that has not what they build
    on does without them.
    """
    wanted = {FILE: zero_copy, PIECES: pieces, WHOLE: whole}
    if not any(wanted.values()) or GatewayProtocol is HttpToolsProtocol:
        return GatewayProtocol
    lacking = missing_from_cycle()
    if lacking:
        _log.warning("uvicorn has changed (%s): large bodies take the slow way", ", ".join(lacking))
        return GatewayProtocol
    extensions: dict[str, object] = {name: {} for name, chosen in wanted.items() if chosen}
    attributes = {
        "step_bytes": step_bytes,
        "cycle_class": PiecesCycle if pieces else SendingCycle,
        "extensions": extensions,
        "turns": Turns() if whole else None,
        "receive_buffer": ReceiveBuffer(),
        "executor": ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="s3gate-send"),
    }
    return type("GatewayProtocol", (GatewayProtocol,), attributes)
