"""The sockets the gateway listens on, and messages with a remedy where it cannot."""

from __future__ import annotations

import errno
import socket
import ssl

from s3gate.settings import Address

__all__ = ["BACKLOG", "ListenError", "bind", "check_certificate"]

# Connections that the kernel accepts before a worker takes them, for each worker.
BACKLOG = 2048
_PRIVILEGED = 1024
_PORTS_TRIED = 100


class ListenError(Exception):
    """The gateway cannot listen where it should; the message says why and what to do."""


def bind(address: Address, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address and port, among which the kernel shares out connections.

    Each has SO_REUSEPORT, which would let it share the port of a stranger just as well; a bind without it proves
    first that there is none. Raises ListenError.
    """
    family, where = _resolve(address)
    try:
        if address.port:
            _open(family, where, shared=False).close()
        first = _open(family, where, shared=True)
    except OSError as error:
        raise ListenError(_remedy(address, family, where, error)) from error
    bound = [first]
    try:
        # With port 0 the kernel has chosen one by now.
        bound += [_open(family, first.getsockname(), shared=True) for _ in range(count - 1)]
        for listener in bound:
            listener.listen(BACKLOG)
    except OSError as error:
        for listener in bound:
            listener.close()
        raise ListenError(_remedy(address, family, where, error)) from error
    return bound


def _resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str | int, ...]]:
    flags = socket.AI_PASSIVE
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"Cannot listen on {address}: {address.host} is not a known host name or IP address. "
            f"Use an address of this machine, or all of them: --listen 0.0.0.0:{address.port}"
        ) from error
    family, _, _, _, where = found[0]
    return family, tuple(part for part in where if not isinstance(part, bytes))


def _open(family: socket.AddressFamily, where: tuple[str | int, ...], *, shared: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose connections of an earlier run are in TIME_WAIT can be bound; one that is listened on cannot.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] takes IPv4 as well
        opened.bind(where)
    except BaseException:
        opened.close()
        raise
    return opened


def _remedy(address: Address, family: socket.AddressFamily, where: tuple[str | int, ...], error: OSError) -> str:
    """What to do about an address that cannot be bound."""
    host, port = address
    if error.errno == errno.EADDRINUSE:
        other = _free_port(family, where)
        return (
            f"Cannot listen on {address}: another program listens on port {port} already. "
            f"Stop it, or choose another port, as the free one in: --listen {Address(host, other)}"
        )
    if error.errno == errno.EACCES and port < _PRIVILEGED:
        return (
            f"Cannot listen on {address}: ports below {_PRIVILEGED} need a privilege (CAP_NET_BIND_SERVICE). "
            f"Grant it, or choose a port above, as in: --listen {Address(host, 9900)}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        everywhere = Address("::" if family == socket.AF_INET6 else "0.0.0.0", port)  # noqa: S104  # text of a message
        return (
            f"Cannot listen on {address}: {host} is not an address of this machine. "
            f"Use one that is, or all of them: --listen {everywhere}"
        )
    return f"Cannot listen on {address}: {error.strerror or error}. Choose another address by --listen HOST:PORT"


def _free_port(family: socket.AddressFamily, where: tuple[str | int, ...]) -> int:
    """The next higher port that is free; 0 (any) where none of the next ones is."""
    taken = int(where[1])
    for port in range(taken + 1, min(taken + _PORTS_TRIED, 65536)):
        try:
            _open(family, (where[0], port, *where[2:]), shared=False).close()
        except OSError:
            continue
        return port
    return 0


def check_certificate(cert: str | None, key: str | None) -> None:
    """Raise ListenError unless the two files are a certificate and its key (or neither is given)."""
    if cert is None or key is None:
        return

    def no_password() -> str:
        raise ListenError(f"Cannot use the TLS key {key}: it is encrypted. Give --tls-key a key without a passphrase.")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        raise ListenError(
            f"Cannot use TLS with --tls-cert {cert} and --tls-key {key}: {error.reason or error}. "
            "The first must be a PEM file with the certificate chain, the second one with its private key."
        ) from error
    except OSError as error:
        raise ListenError(
            f"Cannot read the TLS files --tls-cert {cert} and --tls-key {key}: {error.strerror or error}."
        ) from error
