"""Keys of every kind: each is stored, listed and served under exactly its own bytes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import pytest

from support.gateway import Gateway
from support.raw_http import ask, refusal
from support.refused import refused
from support.signed import signed

KEYS = [
    "plain",
    "a b",
    "a+b",
    "a%2Fb",
    "a%b",
    "100%",
    "a//b",
    "//a",
    "/a",
    "a/",
    "a//",
    "/",
    "//",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "./a",
    "a/..",
    "a/.",
    "~a",
    "a&b=c;d?e#f",
    "quote'\"<>`{}[]|\\^",
    "ключ/日本語/é",
    "e\u0301 and \u00e9",
    "\U0001f600",
    "tab\tand\nline\r\x01\x1f\x7f",
    "\u0085\u2028\ufeff",
    "nul\x00in it",
    ".s3gate",
    ".s3gate/x",
    "a/.s3gate%",
    "lost+found",
    ".hidden",
    "x" * 255,
    "x" * 256,
    "ü" * 512,
    "x" * 1024,
    "/".join(["d"] * 512) + "/",
    "é" * 130 + "/" + "日" * 200,
    "COM1",
    "trailing ",
    " leading",
    "trailing.",
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:30])
def test_a_key_survives_exactly(s3: Any, bucket: str, key: str):
    content = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"length": str(len(key))})

    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"length": str(len(key))}
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert [item["Key"] for item in s3.list_objects(Bucket=bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert refused(s3.get_object, Bucket=bucket, Key=key) == (404, "NoSuchKey")


def test_all_keys_live_side_by_side(s3: Any, bucket: str):
    more = ["a", "a/b", "a/b/c", "a/b/", *KEYS]
    for key in more:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]

    assert listed == sorted(set(more), key=str.encode)
    for key in more:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key


@pytest.mark.parametrize("key", ["ordinary", "a/b/c.txt", "ключ/日本語", "with space/and+plus", "a/b%2Fc"])
def test_an_ordinary_key_is_a_plain_file_of_that_name(gateway: Gateway, s3: Any, bucket: str, key: str):
    s3.put_object(Bucket=bucket, Key=key, Body=b"content")

    assert (gateway.root / bucket / key).read_bytes() == b"content"


def test_no_key_leads_out_of_the_bucket(gateway: Gateway, s3: Any, bucket: str):
    outside = gateway.root / f"{bucket}-outside"
    outside.write_bytes(b"untouched")
    try:
        for key in (f"../{bucket}-outside", f"a/../../{bucket}-outside", f"/{outside}", f"..//../{bucket}-outside"):
            assert refused(s3.get_object, Bucket=bucket, Key=key) == (404, "NoSuchKey")
            s3.put_object(Bucket=bucket, Key=key, Body=b"mine")
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"mine"
            s3.delete_object(Bucket=bucket, Key=key)
        assert outside.read_bytes() == b"untouched"
    finally:
        outside.unlink()


# The raw path as it goes out, and the key it stands for: decoded once, and nothing else done to it.
PATHS = {
    "a+b": "a+b",
    "a%20b": "a b",
    "a%2Bb": "a+b",
    "a%2Fb": "a/b",
    "a%252Fb": "a%2Fb",
    "a//b": "a//b",
    "a/../b": "a/../b",
    "..": "..",
    "%2E%2E": "..",
    "a/%2e/b": "a/./b",
    "/a": "/a",
    "a/": "a/",
    "%C3%A9": "é",
    "%c3%a9": "é",
    "a&b=c": "a&b=c",
    "a%3Fb": "a?b",
    "a%23b": "a#b",
    "a;b=c": "a;b=c",
    "a:b@c": "a:b@c",
    "%61": "a",
    "~!$'()*,": "~!$'()*,",
    "%00": "\x00",
    "a%0Ab": "a\nb",
}


@pytest.mark.parametrize("path", PATHS)
def test_a_raw_path_is_decoded_just_once_and_signed_as_it_was_sent(gateway: Gateway, s3: Any, bucket: str, path: str):
    put = signed(gateway, "PUT", f"/{bucket}/{path}", body=path.encode())

    assert ask(gateway, put).status == 200
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [PATHS[path]]
    assert s3.get_object(Bucket=bucket, Key=PATHS[path])["Body"].read() == path.encode()


@pytest.mark.parametrize("path", PATHS)
def test_a_client_may_sign_the_canonical_form_of_what_it_sends(gateway: Gateway, bucket: str, path: str):
    canonical = quote(unquote(path), safe="/~")
    put = signed(gateway, "PUT", f"/{bucket}/{path}", body=b"x", signs=f"/{bucket}/{canonical}")

    assert ask(gateway, put).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("size", [1025, 3000])
def test_a_key_of_more_than_1024_bytes_is_refused(gateway: Gateway, bucket: str, method: str, size: int):
    answer = ask(gateway, signed(gateway, method, f"/{bucket}/{'k' * size}", body=b"" if method == "PUT" else None))

    assert answer.status == 400
    if method != "HEAD":
        assert refusal(answer) == (400, "KeyTooLongError")


def test_the_length_of_a_key_is_that_of_its_bytes(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="ü" * 512, Body=b"x")

    assert refused(s3.put_object, Bucket=bucket, Key="ü" * 512 + "x", Body=b"x") == (400, "KeyTooLongError")
