"""The sockets the gateway listens on, and messages with a remedy where it cannot."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from collections.abc import Sequence

from s3gate.core.addresses import Address, UnixAddress

__all__ = ["BACKLOG", "ListenError", "bind", "bind_all", "check_certificate", "remove_unix", "renew_certificate"]

# Connections that the kernel accepts before a worker takes them, for each worker.
BACKLOG = 2048
_PRIVILEGED = 1024
_PORTS_TRIED = 100


class ListenError(Exception):
    """The gateway cannot listen where it should; the message says why and what to do."""


def bind_all(addresses: Sequence[Address | UnixAddress], count: int) -> list[list[socket.socket]]:
    """For each of `count` workers a listening socket on each of the addresses, in their order. Raises ListenError."""
    bound: list[list[socket.socket]] = []
    try:
        for address in addresses:
            if isinstance(address, UnixAddress):
                bound.append(_bind_unix(address, count))
            else:
                bound.append(bind(address, count, v6_only=_has_v4_beside(address, addresses)))
    except BaseException:
        for listeners in bound:
            for listener in listeners:
                listener.close()
        remove_unix(addresses[: len(bound)])
        raise
    return [list(each) for each in zip(*bound, strict=True)]


def _has_v4_beside(address: Address, addresses: Sequence[Address | UnixAddress]) -> bool:
    """Whether IPv4 has the port of an IPv6 address by an address of its own, as in 0.0.0.0:9900 beside [::]:9900."""
    others = [each for each in addresses if isinstance(each, Address) and each.port == address.port]
    return ":" in address.host and any(":" not in each.host for each in others)


def remove_unix(addresses: Sequence[Address | UnixAddress]) -> None:
    """Remove the names of the Unix sockets among the addresses.

    To be called while they are listened on still: afterwards another gateway may have taken a name over.
    """
    for address in addresses:
        if isinstance(address, UnixAddress):
            try:
                os.unlink(address.path)
            except FileNotFoundError:
                pass  # somebody was faster


def _bind_unix(address: UnixAddress, count: int) -> list[socket.socket]:
    """`count` descriptors of one listening socket, from which whoever is free first takes a connection."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            opened.bind(address.path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_deserted(address)
            opened.bind(address.path)
        opened.listen(BACKLOG)
        return [opened.dup() for _ in range(count)]
    except OSError as error:
        raise ListenError(
            f"Cannot listen on {address}: {error.strerror or error}. "
            "Mend that, or choose a path that can be made, as in: --listen unix:/tmp/s3gate.sock"
        ) from error
    finally:
        opened.close()


def _remove_deserted(address: UnixAddress) -> None:
    """Remove a Unix socket on which nobody listens any more, as a killed gateway leaves it, or raise ListenError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.lstat(address.path).st_mode):
                os.unlink(address.path)
                return
        except OSError:
            pass  # it is listened on, and just has no time; or it is no socket at all
    raise ListenError(
        f"Cannot listen on {address}: another program listens there already, or it is no socket. "
        f"Stop it, or choose another path, as in: --listen {address}.2"
    )


def bind(address: Address, count: int, *, v6_only: bool = False) -> list[socket.socket]:
    """`count` listening sockets on one address and port, among which the kernel shares out connections.

    Each has SO_REUSEPORT, which would let it share the port of a stranger just as well. So the first one gets it when
    it listens: until then it has the port for itself, or there is an error, also where two gateways start at once.
    `v6_only`: leave out IPv4, which `[::]` means as well otherwise. Raises ListenError.
    """
    family, where = _resolve(address)
    bound: list[socket.socket] = []
    try:
        bound.append(_open(family, where, shared=False, v6_only=v6_only))
        bound[0].listen(BACKLOG)
        bound[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(count - 1):
            # With port 0 the kernel has chosen one by now.
            bound.append(_open(family, bound[0].getsockname(), shared=True, v6_only=v6_only))
            bound[-1].listen(BACKLOG)
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


def _open(
    family: socket.AddressFamily, where: tuple[str | int, ...], *, shared: bool, v6_only: bool = False
) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose connections of an earlier run are in TIME_WAIT can be bound; one that is listened on cannot.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)  # [::] takes IPv4 as well
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


def renew_certificate(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Have new connections shown the certificate that is in the files now.

    Raises ListenError unless they are a certificate and its key; the one before stays then. What is tried out and what
    is used are the same bytes, though the files may be replaced at this moment.
    """
    copies: list[int] = []
    try:
        for path in (cert, key):
            with open(path, "rb") as file:
                data = file.read()
            copies.append(os.memfd_create("certificate", os.MFD_CLOEXEC))
            with open(copies[-1], "wb", closefd=False) as copy:
                copy.write(data)
        names = [f"/proc/self/fd/{descriptor}" for descriptor in copies]
        check_certificate(*names)
        context.load_cert_chain(*names)
    except OSError as error:  # ssl.SSLError is one
        raise ListenError(f"Cannot use the TLS files {cert} and {key}: {error.strerror or error}.") from error
    except ListenError as error:
        raise ListenError(f"Cannot use the TLS files {cert} and {key}: they do not belong together.") from error
    finally:
        for descriptor in copies:
            os.close(descriptor)
