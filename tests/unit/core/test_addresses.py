# ruff: noqa: S104  # addresses are compared here, not bound
from __future__ import annotations

import pytest

from s3gate.core.addresses import Address, UnixAddress, parse_address, parse_listen


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:9900", "0.0.0.0", 9900),
        (":80", "0.0.0.0", 80),
        ("[::1]:0", "::1", 0),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_an_address_is_taken_apart(text, host, port):
    assert parse_address(text) == Address(host, port)
    assert parse_address(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", "9900", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "[a:80", "host:²"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_several_addresses_stand_in_one_text():
    found = parse_listen(" 127.0.0.1:9900 , [::1]:0,unix:/run//s3gate.sock,")
    assert found == (Address("127.0.0.1", 9900), Address("::1", 0), UnixAddress("/run/s3gate.sock"))
    assert parse_listen(",".join(map(str, found))) == found


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "name an address"),
        (",", "name an address"),
        (":1,0.0.0.0:1", "twice"),
        ("unix:run/x", "absolute"),
        ("unix:/", "absolute"),
        ("unix:/" + "x" * 107, "107 bytes"),
        ("unix:/a\0b", "absolute"),
    ],
)
def test_a_text_with_an_address_that_cannot_be_used_is_refused(text, word):
    with pytest.raises(ValueError, match=word):
        parse_listen(text)
