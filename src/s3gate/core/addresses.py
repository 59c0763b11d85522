"""Where a gateway listens: addresses of TCP and Unix sockets as text."""

from __future__ import annotations

import ipaddress
import os
from typing import NamedTuple

__all__ = ["Address", "UnixAddress", "parse_address", "parse_listen", "parse_network"]

_UNIX = "unix:"
# sun_path of unix(7) has 108 bytes, the last of which is NUL
_LONGEST_PATH = 107


class Address(NamedTuple):
    """A host name or IP address without brackets, and a port (0: any that is free)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(NamedTuple):
    """The absolute path of a Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or `:port` (all addresses of this machine), else ValueError."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    valid_host = (":" in host) == bracketed and not set(host) & set("[]/@ ,")
    if not (colon and valid_host and port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise ValueError("an address is HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH, as in 127.0.0.1:9900")
    return Address(host or "0.0.0.0", int(port))  # noqa: S104  # a gateway is there to be reached


def _parse_unix(text: str) -> UnixAddress:
    path = os.path.expanduser(text)
    if not path.startswith("/") or path.endswith("/") or "\0" in path or len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(
            f"a Unix socket is unix: and an absolute path of at most {_LONGEST_PATH} bytes, as in unix:/run/s3gate.sock"
        )
    return UnixAddress(os.path.normpath(path))


def parse_listen(text: str) -> tuple[Address | UnixAddress, ...]:
    """Addresses separated by commas, at least one and none twice, else ValueError."""
    found: list[Address | UnixAddress] = []
    for item in map(str.strip, text.split(",")):
        if not item:
            continue
        address = _parse_unix(item.removeprefix(_UNIX)) if item.startswith(_UNIX) else parse_address(item)
        if address in found:
            raise ValueError(f"{address} is named twice")
        found.append(address)
    if not found:
        raise ValueError("name an address to listen on, as in 127.0.0.1:9900")
    return tuple(found)


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address or a network (`10.0.0.0/8`); None for `unix`, whoever connects to a socket file. Raises ValueError."""
    return None if text == "unix" else ipaddress.ip_network(text, strict=True)
