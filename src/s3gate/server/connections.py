"""What is told of a connection: to the counters that it is there, to the application how it is encrypted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from s3gate.server.cycle import FILE

__all__ = ["CONNECTIONS", "TLS", "UNOBSERVED", "ConnectionObserver", "encrypted"]

# Where the application's lifespan state may have a ConnectionObserver.
CONNECTIONS = "s3gate.connections"
# What a connection is encrypted by, as an extension of the scope: `version` and `cipher` by OpenSSL's names.
TLS = "s3gate.tls"


class ConnectionObserver(Protocol):
    """Takes note of connections. No method raises or waits."""

    def connection_made(self) -> None:
        """A client has connected."""

    def connection_lost(self) -> None:
        """A connection is gone."""

    def refused(self, code: str) -> None:
        """What came was refused before it was a request; `code` is of the table of errors."""


class _Unobserved:
    def connection_made(self) -> None:
        """See ConnectionObserver."""

    def connection_lost(self) -> None:
        """See ConnectionObserver."""

    def refused(self, code: str) -> None:
        """See ConnectionObserver."""


UNOBSERVED = _Unobserved()


def encrypted(extensions: Mapping[str, object], transport: asyncio.Transport) -> dict[str, object]:
    """The extensions of a connection that is encrypted: no file can be sent past that, and it is told what by."""
    pipe = transport.get_extra_info("ssl_object")
    cipher = pipe.cipher() if pipe is not None else None
    told = {} if cipher is None else {"version": pipe.version() or "", "cipher": cipher[0]}
    return {**{name: value for name, value in extensions.items() if name != FILE}, TLS: told}
