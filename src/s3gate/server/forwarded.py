"""Who the client is behind proxies that are trusted to say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from s3gate.core.addresses import parse_network

__all__ = ["Forwarded"]


class Forwarded:
    """Reads X-Forwarded-For and X-Forwarded-Proto, from trusted peers only: anybody can send them.

    "X-Forwarded-For", MDN: each proxy appends the address that it was asked from. So the client is the last of the list
    that is no trusted proxy itself; what stands before that was sent by the client and proves nothing.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        networks = [parse_network(text) for text in trusted]
        self._trusts_unix = None in networks
        self._networks = [network for network in networks if network is not None]
        self._is_trusted = lru_cache(maxsize=1024)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._networks) or self._trusts_unix

    def resolved(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """An ASGI scope with the client and the scheme as they were before the proxies; the client's port is unknown.

        `headers` have lower-case names; repeated ones are joined with a comma.
        """
        address, secure = self.client(scope, headers)
        peer = scope.get("client")
        if address == (peer[0] if peer else "") and secure == (scope["scheme"] == "https"):
            return scope
        return {**scope, "client": (address, 0) if address else None, "scheme": "https" if secure else "http"}

    def client(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, bool]:
        """The address of the client, "" where there is none, and whether it speaks HTTPS."""
        peer, secure = scope.get("client"), scope["scheme"] == "https"
        address = peer[0] if peer else ""
        if not self._trusts(address):
            return address, secure
        scheme = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        secure = scheme == "https" if scheme in ("http", "https") else secure
        for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
            found = _address(hop)
            if found is None:
                break  # what stands before it was not written by a proxy that is known
            address = found
            if not self._trusts(address):
                break
        return address, secure

    def _trusts(self, address: str) -> bool:
        return self._is_trusted(address) if address else self._trusts_unix

    def _look_up(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)


def _address(hop: str) -> str | None:
    """The address of a list's entry, without the port that some proxies add; None where it is none."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
