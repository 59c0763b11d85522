"""A gateway for one user: who is at the other end of a connection on the loopback, and who is refused."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from s3gate.server import own_user
from s3gate.server.app import create_app
from s3gate.server.own_user import for_own_user, user_at
from s3gate.server.protocol_choice import protocol_class
from support.asgi import sample_gateway, served, talk
from support.ordinary_user import as_ordinary_user

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
OTHER = os.geteuid() + 1


@contextmanager
def connected(family: int, host: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection to an IPv4 address of the loopback: the server's, and the client's of `family`."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(family) as client:
        client.connect((host, server.getsockname()[1]))
        accepted, _ = server.accept()
        with accepted:
            yield accepted, client


WAYS = [own_user._ask_kernel, own_user._look_up, user_at]
Way = Callable[[tuple[str, int], tuple[str, int]], int | None]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))


@each_way
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")])
def test_the_user_at_the_other_end_is_found_whichever_family_its_socket_has(way: Way, family: int, host: str) -> None:
    with connected(family, host) as (ours, _):
        assert way(ours.getpeername(), ours.getsockname()) == os.geteuid()


@each_way
def test_a_client_may_come_from_any_address_of_the_loopback(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.bind(("127.7.8.9", 0))
        client.connect(server.getsockname())
        ours, far = server.accept()
        with ours:
            assert far[0] == "127.7.8.9"
            assert way(far, ours.getsockname()) == os.geteuid()


@each_way
def test_what_a_client_has_closed_belongs_to_nobody(way: Way) -> None:
    """The kernel shows it as root's."""
    with connected(socket.AF_INET, "127.0.0.1") as (ours, client):
        ends = ours.getpeername(), ours.getsockname()
        client.sendall(b"x")
        client.close()
        assert way(*ends) is None
    assert way(*ends) is None


@each_way
def test_who_listens_where_the_client_was_is_not_taken_for_it(way: Way) -> None:
    for _ in range(100):
        with connected(socket.AF_INET, "127.0.0.1") as (ours, _client):
            ends = ours.getpeername(), ("127.0.0.1", 1)
        try:
            server = socket.create_server(ends[0])
        except OSError:
            continue  # another program has the port already
        with server:
            assert way(*ends) is None
        return
    pytest.fail("no port of a client could be had")


@each_way
def test_another_user_is_known_as_such(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def connect() -> tuple[int, int | None]:
            with socket.socket() as client:
                client.connect(address)
                return os.geteuid(), way(client.getsockname(), address)

        found = as_ordinary_user(connect)
    assert found is not None
    user, seen = found
    assert user == seen != 0


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    protocol = for_own_user(protocol_class(zero_copy=True, pieces=True, whole=True))
    with served(create_app(sample_gateway()), protocol=protocol) as address:
        yield address


@pytest.mark.parametrize("user", [os.geteuid(), 0])
def test_the_own_user_and_root_are_served(address: tuple[str, int], user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_user, "user_at", lambda near, far: user)
    assert talk(address, REQUEST).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("user", "named"), [(OTHER, f"user {OTHER}"), (None, "a process that is gone")])
def test_whoever_else_connects_is_refused_and_named_in_the_log(
    address: tuple[str, int],
    user: int | None,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(own_user, "user_at", lambda near, far: user)
    with caplog.at_level(logging.WARNING):
        answer = talk(address, REQUEST)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"<Code>AccessDenied</Code>" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert f"a connection of {named} is refused" in caplog.text


def test_the_connections_are_looked_at_for_real(address: tuple[str, int]) -> None:
    assert talk(address, REQUEST).startswith(b"HTTP/1.1 200 ")


def test_a_kernel_that_does_not_tell_is_looked_up_in_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_user, "_NETLINK_SOCK_DIAG", 31)
    with connected(socket.AF_INET, "127.0.0.1") as (ours, _):
        assert user_at(ours.getpeername(), ours.getsockname()) == os.geteuid()
