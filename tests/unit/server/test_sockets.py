from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3gate.core.addresses import Address, UnixAddress
from s3gate.server.sockets import (
    ListenError,
    bind,
    bind_all,
    check_certificate,
    remove_unix,
    renew_certificate,
)
from support.certificates import self_signed


def close(listeners):
    for listener in listeners:
        listener.close()


@pytest.fixture
def taken():
    """A port of the loopback that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_all_sockets_listen_on_one_free_port_when_none_is_named():
    listeners = bind(Address("127.0.0.1", 0), 3)
    try:
        (name,) = {listener.getsockname() for listener in listeners}
        assert len(listeners) == 3
        socket.create_connection(name).close()
    finally:
        close(listeners)


def test_a_port_in_use_is_told_with_one_that_is_free(taken):
    with pytest.raises(ListenError, match=f"port {taken} already") as caught:
        bind(Address("127.0.0.1", taken), 2)
    other = int(str(caught.value).rpartition(":")[2])
    assert other != taken
    assert f"--listen 127.0.0.1:{other}" in str(caught.value)
    close(bind(Address("127.0.0.1", other), 1))


def test_a_port_is_in_use_even_if_its_owner_would_share_it():
    first = bind(Address("127.0.0.1", 0), 2)
    try:
        with pytest.raises(ListenError, match="already"):
            bind(Address("127.0.0.1", first[0].getsockname()[1]), 2)
    finally:
        close(first)


def test_of_gateways_that_bind_a_port_at_the_same_moment_one_has_it():
    free = bind(Address("127.0.0.1", 0), 1)
    address = Address(*free[0].getsockname())
    close(free)
    together, had, refused = threading.Barrier(8, timeout=60), [], []

    def gateway() -> None:
        for _ in range(20):
            together.wait()
            try:
                had.append(bind(address, 2))
            except ListenError:
                refused.append(address)
            together.wait()
            if had:
                assert len(had) == 1
            together.wait()
            with contextlib.suppress(IndexError):
                close(had.pop())

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(gateway) for _ in range(8)]:
            done.result()
    assert len(refused) == 20 * 7


def test_connections_are_shared_out_among_all_sockets():
    listeners = bind(Address("127.0.0.1", 0), 3)
    clients = [socket.create_connection(listeners[0].getsockname()) for _ in range(60)]
    try:
        for listener in listeners:
            listener.settimeout(30)
            listener.accept()[0].close()
    finally:
        close([*clients, *listeners])


def test_a_port_that_was_just_closed_with_connections_can_be_bound_again():
    first = bind(Address("127.0.0.1", 0), 1)
    name = first[0].getsockname()
    with socket.create_connection(name) as client:
        accepted, _ = first[0].accept()
        accepted.close()  # this side closes first and is in TIME_WAIT
        assert client.recv(1) == b""
    close(first)
    close(bind(Address(*name), 1))


def test_an_address_of_another_machine_is_told():
    with pytest.raises(ListenError, match=r"not an address of this machine.*--listen 0\.0\.0\.0:9900"):
        bind(Address("203.0.113.1", 9900), 1)


def test_a_name_that_is_no_host_is_told():
    with pytest.raises(ListenError, match="not a known host name"):
        bind(Address("no.such.host.invalid", 9900), 1)


def test_a_port_that_needs_a_privilege_is_told(monkeypatch):
    def refuse(_self, _address):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ListenError, match=r"CAP_NET_BIND_SERVICE.*--listen 127\.0\.0\.1:9900"):
        bind(Address("127.0.0.1", 80), 1)


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


def test_a_certificate_and_its_key_are_taken(certificate):
    check_certificate(*certificate)
    check_certificate(None, None)


def test_a_certificate_without_its_key_is_told(certificate, tmp_path):
    cert, key = certificate
    with pytest.raises(ListenError, match="--tls-key"):
        check_certificate(key, cert)
    with pytest.raises(ListenError, match="Cannot read the TLS files"):
        check_certificate(cert, str(tmp_path / "none.pem"))


def test_a_renewed_certificate_takes_the_place_of_the_one_before_and_a_broken_one_does_not(certificate, tmp_path):
    (tmp_path / "other").mkdir()
    other = self_signed(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    for broken in ((other[0], certificate[1]), (other[1], other[1]), (other[0], str(tmp_path / "none"))):
        with pytest.raises(ListenError, match="Cannot use the TLS files"):
            renew_certificate(context, *broken)
        assert shown(context) == ssl.PEM_cert_to_DER_cert(Path(certificate[0]).read_text())
    renew_certificate(context, *other)
    assert shown(context) == ssl.PEM_cert_to_DER_cert(Path(other[0]).read_text())


def shown(context: ssl.SSLContext) -> bytes | None:
    """The certificate that a client of a server with this context sees."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    pipes = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(pipes[0], pipes[1])
    other = context.wrap_bio(pipes[1], pipes[0], server_side=True)
    for _ in range(10):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return one.getpeercert(binary_form=True)


def test_an_encrypted_key_is_refused_instead_of_asking_for_a_passphrase(certificate, tmp_path):
    cert, key = certificate
    locked = str(tmp_path / "locked.pem")
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", key, "-out", locked],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(ListenError, match="encrypted"):
        check_certificate(cert, locked)


def test_an_ipv6_socket_for_all_addresses_takes_ipv4_as_well():
    listeners = bind(Address("::", 0), 1)
    try:
        socket.create_connection(("127.0.0.1", listeners[0].getsockname()[1])).close()
    finally:
        close(listeners)


def test_ipv4_and_ipv6_have_one_port_by_an_address_each():
    free = bind(Address("::", 0), 1)
    port = free[0].getsockname()[1]
    close(free)
    workers = bind_all([Address("::", port), Address("0.0.0.0", port)], 2)  # noqa: S104  # what is pinned
    try:
        for host, number in (("::1", 0), ("127.0.0.1", 1)):
            with socket.create_connection((host, port)):
                ready, _, _ = select.select([listeners[number] for listeners in workers], [], [], 30)
                ready[0].accept()[0].close()
    finally:
        for listeners in workers:
            close(listeners)


def test_every_worker_listens_on_every_address(tmp_path):
    unix = UnixAddress(str(tmp_path / "s3.sock"))
    addresses = [Address("127.0.0.1", 0), unix]
    workers = bind_all(addresses, 3)
    try:
        assert [[each.family for each in listeners] for listeners in workers] == [[socket.AF_INET, socket.AF_UNIX]] * 3
        assert len({listeners[0].getsockname() for listeners in workers}) == 1
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(unix.path)
            workers[2][1].accept()[0].close()
        with pytest.raises(ListenError, match="listens there already"):
            bind_all([unix], 1)
    finally:
        for listeners in workers:
            close(listeners)
    remove_unix(addresses)
    assert list(tmp_path.iterdir()) == []


def test_a_unix_socket_that_a_killed_gateway_left_is_taken_over(tmp_path):
    unix = UnixAddress(str(tmp_path / "s3.sock"))
    close(bind_all([unix], 1)[0])
    assert os.path.exists(unix.path)
    close(bind_all([unix], 1)[0])


def test_what_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ListenError, match="no socket"):
        bind_all([UnixAddress(str(tmp_path / "file"))], 1)
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(ListenError, match="--listen unix:"):
        bind_all([UnixAddress(str(tmp_path / "none" / "s3.sock"))], 1)


def test_of_several_addresses_all_are_given_back_when_one_cannot_be_had(tmp_path, taken):
    unix = UnixAddress(str(tmp_path / "s3.sock"))
    with pytest.raises(ListenError):
        bind_all([unix, Address("127.0.0.1", taken)], 1)
    assert not os.path.exists(unix.path)
