"""Whatever botocore signs verifies, in all four of its signers, and no changed part of it does."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from support.signing import ACCESS_KEY, authenticated, changed, signed_by_botocore

# Any text, with more of what is encoded differently from client to client.
text = st.text(st.one_of(st.sampled_from("a/+ ~%!'()*,;=&@:$?#é ሴ."), st.characters(codec="utf-8")), max_size=12)
keys = text.map(lambda key: "/bucket/" + quote(key, safe="/~"))
# What botocore's URLs carry: encoded as it encodes them.
pairs = st.lists(
    st.tuples(st.sampled_from(["prefix", "acl", "versionId", "prefix-x", "é", "uploads", "max-keys"]), text),
    max_size=4,
    unique_by=lambda pair: pair[0],
)
queries = pairs.map(lambda found: "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in found))
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
metadata = st.dictionaries(st.sampled_from(["x-amz-meta-a", "x-amz-acl", "content-type", "content-md5"]), values)
signers = st.sampled_from(["S3SigV4Auth", "S3SigV4QueryAuth", "HmacV1Auth", "HmacV1QueryAuth"])
methods = st.sampled_from(["GET", "PUT", "DELETE", "HEAD", "POST"])


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _stripped(headers: dict[str, str]) -> dict[str, str]:
    # Values as an HTTP server hands them on: without white space at the ends.
    return {name: value.strip(" ") for name, value in headers.items() if value.strip(" ")}


@settings(max_examples=300, deadline=None)
@given(signers, methods, keys, queries, metadata)
def test_what_botocore_signs_verifies(signer: str, method: str, path: str, query: str, headers: dict[str, str]) -> None:
    wire = signed_by_botocore(signer, method, _target(path, query), headers=_stripped(headers))
    assert authenticated(wire).caller.access_key == ACCESS_KEY


def _recode(path: str, draw: st.DrawFn) -> str:
    """Another way to write the same path: lower-case hex, needless or missing percent-encoding."""
    out, at = "", 0
    while at < len(path):
        if path[at] == "%":
            escape = path[at : at + 3]
            raw = bytes.fromhex(escape[1:]).decode("latin-1")
            plain = raw in "!'()*,;:@$=&+"
            out += draw(st.sampled_from([escape, escape.lower(), raw] if plain else [escape, escape.lower()]))
            at += 3
            continue
        char = path[at]
        out += char if char == "/" else draw(st.sampled_from([char, f"%{ord(char):02X}"]))
        at += 1
    return out


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["S3SigV4Auth", "S3SigV4QueryAuth", "HmacV1Auth"]), keys, st.data())
def test_a_path_may_be_sent_otherwise_than_in_the_canonical_form_that_was_signed(
    signer: str, path: str, data: st.DataObject
) -> None:
    wire = signed_by_botocore(signer, "GET", path)
    sent = "/bucket" + _recode(path[len("/bucket") :], data.draw)
    assert authenticated(changed(wire, raw_path=sent)).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize(
    "path", ["/b/a+b", "/b/a%7Eb", "/b/%c3%a9", "/b/!'()*,", "/b//a/../b/", "/b/a%2Fb", "/b/\u00e9"]
)
def test_a_path_signed_as_it_was_sent_verifies(path: str) -> None:
    wire = signed_by_botocore("S3SigV4Auth", "GET", path)
    if path.isascii():
        assert authenticated(wire).caller.access_key == ACCESS_KEY
    else:
        # botocore signs the UTF-8 of its text, which is the form that a server reads from its bytes.
        read = changed(wire, raw_path=path.encode().decode("latin-1"))
        assert authenticated(read).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        ("acl", "acl="),
        ("acl=", "acl"),
        ("prefix=a%2Fb", "prefix=a/b"),
        ("prefix=a%20b", "prefix=a+b"),
        ("prefix=a%20b&delimiter=%2F", "delimiter=/&prefix=a+b"),
        ("prefix=%C3%A9", "prefix=%c3%a9"),
        ("prefix=~", "prefix=%7E"),
        ("prefix=a+b", "prefix=a+b"),
        ("prefix-x=1&prefix=2", "prefix=2&prefix-x=1"),
        ("a=2&a=1&a", "a=1&a&a=2"),
    ],
)
def test_a_query_may_be_sent_otherwise_than_it_was_signed(signed: str, sent: str) -> None:
    wire = signed_by_botocore("S3SigV4Auth", "GET", f"/bucket?{signed}")
    assert authenticated(changed(wire, raw_query=sent)).caller.access_key == ACCESS_KEY


def test_a_plus_is_a_space_and_never_the_encoded_plus_that_was_signed() -> None:
    wire = signed_by_botocore("S3SigV4Auth", "GET", "/bucket?prefix=a%2Bb")
    with pytest.raises(S3Error) as caught:
        authenticated(changed(wire, raw_query="prefix=a+b"))
    assert caught.value.code == "SignatureDoesNotMatch"


def _other(value: str, draw: st.DrawFn) -> str:
    at = draw(st.integers(0, len(value) - 1))
    return value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]


@settings(max_examples=200, deadline=None)
@given(signers, keys, queries, st.data())
def test_no_changed_part_verifies(signer: str, path: str, query: str, data: st.DataObject) -> None:
    query = f"versionId=v1&{query}".rstrip("&") if "versionId" not in query else query
    headers = {"x-amz-meta-a": "value", "content-type": "text/plain", "content-md5": "abcd"}
    wire = signed_by_botocore(signer, "GET", _target(path, query), headers=headers)
    name = data.draw(st.sampled_from(sorted(headers)))
    tampered: list[Wire] = [
        changed(wire, method="PUT"),
        changed(wire, raw_path=wire.raw_path + "x"),
        changed(wire, raw_path=_other("bucket", data.draw).join(("/", wire.raw_path[len("/bucket") :]))),
        changed(wire, raw_query=wire.raw_query + ("&acl" if "acl" not in query else "&torrent")),
        changed(wire, headers={name: _other(headers[name], data.draw)}),
    ]
    if "SigV4" in signer:
        tampered.append(changed(wire, headers={"host": "elsewhere"}))
    if "authorization" in wire.headers:
        length = 64 if "SigV4" in signer else 28
        value = wire.headers["authorization"]
        start, signature = value[:-length], value[-length:]
        tampered.append(
            changed(wire, headers={"authorization": start + _other(signature[:20], data.draw) + signature[20:]})
        )
    for request in tampered:
        with pytest.raises(S3Error) as caught:
            authenticated(request)
        assert caught.value.code == "SignatureDoesNotMatch"
