"""A gateway for one user of the machine: whoever else connects to it on the loopback is refused.

Who has made a connection within the machine the kernel tells, by sock_diag(7) or in /proc/net/tcp (proc(5)).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from s3gate.core.errors import S3Error
from s3gate.server.protocol import GatewayProtocol

__all__ = ["OwnUserProtocol", "for_own_user", "user_at"]

_log = logging.getLogger(__name__)

_ROOT = 0
# A socket of IPv6 may speak IPv4 (RFC 4291, 2.5.5.2), as Java's do: it stands in the other table.
_TABLES = (("/proc/net/tcp", ""), ("/proc/net/tcp6", "0000000000000000FFFF0000"))
_LOCAL, _REMOTE, _UID, _INODE = 1, 2, 7, 9

# sock_diag(7): nlmsghdr and inet_diag_req_v2, nlmsghdr and inet_diag_msg.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_TCP_LISTEN = 10
_ANY_STATE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBxI")
_ENDS = struct.Struct("!HH4s12x4s12x")  # ports and addresses in network byte order
_NO_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # behind the interface, which may be any
_FOUND = struct.Struct("=xBxx48xIIIII")  # state; timers and queues; uid, inode


def user_at(near: tuple[str, int], far: tuple[str, int]) -> int | None:
    """The user id of the process whose socket of TCP is bound to `near` and connected to `far`, both IPv4.

    None when there is none on this machine, or none any more: what a process has closed belongs to nobody.
    """
    try:
        found = _ask_kernel(near, far)
    except OSError:
        found = None  # a sandbox, or a kernel without it
    # To read a table takes milliseconds. It is the same that is to be found there.
    return found if found is not None else _look_up(near, far)


def _ask_kernel(near: tuple[str, int], far: tuple[str, int]) -> int | None:
    """The user at `near`, from sock_diag(7), in microseconds; None where it does not tell."""
    ends = _ENDS.pack(near[1], far[1], socket.inet_aton(near[0]), socket.inet_aton(far[0]))
    question = _QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ANY_STATE) + ends + _NO_COOKIE
    header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + question)
        answer = kernel.recv(4096)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None
    state, _, _, _, user, inode = _FOUND.unpack_from(answer, _HEADER.size)
    # Where there is no such connection it tells of whoever listens at `near`.
    return user if inode and state != _TCP_LISTEN else None


def _look_up(near: tuple[str, int], far: tuple[str, int]) -> int | None:
    """The user at `near`, from the tables of all sockets."""
    for path, prefix in _TABLES:
        wanted = [f"{prefix}{_hexadecimal(*end)}".encode() for end in (near, far)]
        try:
            with open(path, "rb") as table:
                rows = table.read().splitlines()
        except FileNotFoundError:
            continue  # the kernel has no IPv6
        for row in rows:
            if wanted[0] in row and wanted[1] in row:
                fields = row.split()
                if [fields[_LOCAL], fields[_REMOTE]] == wanted:
                    return int(fields[_UID]) if int(fields[_INODE]) else None
    return None


def _hexadecimal(host: str, port: int) -> str:
    """An address as the kernel's tables write it: four bytes in the machine's own order."""
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"


class OwnUserProtocol(GatewayProtocol):
    """A connection that is served if a process of the gateway's own user, or of root, has made it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: find out who it is, and refuse it with AccessDenied and a line in the log."""
        super().connection_made(transport)
        near, far = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        user = user_at(near[:2], far[:2]) if near and far else None
        if user not in (os.geteuid(), _ROOT):
            who = "a process that is gone" if user is None else f"user {user}"
            _log.warning("a connection of %s is refused: only user %d may use this gateway", who, os.geteuid())
            self._fault = S3Error("AccessDenied", "This gateway is for the user that has started it.")
            self.send_400_response("")


def for_own_user(protocol: type[HttpToolsProtocol]) -> type[HttpToolsProtocol]:
    """The protocol, for connections of the gateway's own user and root alone."""
    return type("OwnUserProtocol", (OwnUserProtocol, protocol), {})
