"""Who the client is behind proxies."""

from __future__ import annotations

from typing import Any

import pytest

from s3gate.core.addresses import parse_network
from s3gate.server.forwarded import Forwarded


def scope(peer: str | None = "10.0.0.1", scheme: str = "http") -> dict[str, Any]:
    return {"client": (peer, 4000) if peer else None, "scheme": scheme}


def headers(addresses: str = "", proto: str = "") -> dict[str, str]:
    given = {"x-forwarded-for": addresses, "x-forwarded-proto": proto}
    return {name: value for name, value in given.items() if value}


def test_nobody_is_believed_who_is_not_trusted() -> None:
    assert Forwarded().client(scope(), headers("1.2.3.4", "https")) == ("10.0.0.1", False)
    assert Forwarded(["10.0.0.2"]).client(scope(), headers("1.2.3.4", "https")) == ("10.0.0.1", False)


def test_a_trusted_proxy_tells_the_client_and_its_scheme() -> None:
    assert Forwarded(["10.0.0.0/8"]).client(scope(), headers("1.2.3.4", "https")) == ("1.2.3.4", True)


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the client wrote the first by itself
        ("6.6.6.6, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        ("10.0.0.9, 10.0.0.7", "10.0.0.9"),  # all of them are proxies: the first asked
        ("nonsense, 1.2.3.4", "1.2.3.4"),
        ("1.2.3.4, nonsense", "10.0.0.1"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "10.0.0.1"),
        (",,", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(sent: str, client: str) -> None:
    assert Forwarded(["10.0.0.0/8"]).client(scope(), headers(sent)) == (client, False)


def test_a_proxy_at_a_socket_file_is_trusted_by_the_word_unix() -> None:
    assert Forwarded(["unix"]).client(scope(None), headers("1.2.3.4")) == ("1.2.3.4", False)
    assert Forwarded(["10.0.0.0/8"]).client(scope(None), headers("1.2.3.4")) == ("", False)


def test_an_ipv4_peer_of_an_ipv6_socket_is_found_in_its_network() -> None:
    assert Forwarded(["10.0.0.0/8"]).client(scope("::ffff:10.0.0.1"), headers("1.2.3.4")) == ("1.2.3.4", False)


def test_a_scheme_that_is_none_says_nothing() -> None:
    assert Forwarded(["10.0.0.1"]).client(scope(scheme="https"), headers("1.2.3.4", "gopher")) == ("1.2.3.4", True)
    assert Forwarded(["10.0.0.1"]).client(scope(scheme="https"), headers("1.2.3.4", "http")) == ("1.2.3.4", False)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "host", "", "300.1.1.1", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_network(text)


def test_without_trusted_proxies_there_is_nothing_to_ask() -> None:
    assert not Forwarded()
    assert Forwarded(["unix"])
    assert Forwarded(["::1"])
