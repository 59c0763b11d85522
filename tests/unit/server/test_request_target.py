"""The target of an HTTP request, taken apart."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.server.request_target import split_target


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (b"/", ("/", b"/", b"")),
        (b"/b/k?acl", ("/b/k", b"/b/k", b"acl")),
        (b"/b/k?a=1&b=?x", ("/b/k", b"/b/k", b"a=1&b=?x")),
        (b"/b/a%2Fb%20c", ("/b/a/b c", b"/b/a%2Fb%20c", b"")),
        (b"//b//k", ("//b//k", b"//b//k", b"")),
        (b"/b/k?", ("/b/k", b"/b/k", b"")),
        (b"http://host:80/b/k?x=1", ("/b/k", b"/b/k", b"x=1")),
    ],
)
def test_path_as_text_path_as_sent_and_query(url: bytes, parts: tuple[str, bytes, bytes]) -> None:
    assert split_target(url) == parts


@pytest.mark.parametrize("url", [b"", b"h:80", b"\xff"])
def test_what_is_no_target_is_refused(url: bytes) -> None:
    with pytest.raises((httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError)):
        split_target(url)


@given(st.text("abc/%?=&+.~", max_size=20))
def test_a_path_is_taken_apart_as_the_parser_of_urls_does(rest: str) -> None:
    url = b"/" + rest.encode()
    parsed = httptools.parse_url(url)
    assert split_target(url)[1:] == (parsed.path, parsed.query or b"")
