"""From path and host to the service, a bucket or an object."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire
from s3gate.operations.registry import Level
from s3gate.server.addressing import Addressing, Target

ADDRESSING = Addressing(("example.com", "S3.Example.com.", "localhost"))


def resolve(path: str, host: str = "127.0.0.1:9900", addressing: Addressing = ADDRESSING) -> Target:
    return addressing.resolve(Wire("GET", path, "", {"host": host} if host else {}))


def code(path: str, host: str = "127.0.0.1:9900", addressing: Addressing = ADDRESSING) -> str:
    with pytest.raises(S3Error) as caught:
        resolve(path, host, addressing)
    return caught.value.code


@pytest.mark.parametrize("path", ["/bucket", "/bucket/"])
def test_a_bucket_with_and_without_slash_is_the_bucket(path: str) -> None:
    assert resolve(path) == Target(Level.BUCKET, "bucket")


def test_the_root_is_the_service() -> None:
    assert resolve("/") == Target(Level.SERVICE)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/b/a+b", "a+b"),
        ("/b/a%2Bb", "a+b"),
        ("/b/a%2Fb", "a/b"),
        ("/b/a%252Fb", "a%2Fb"),
        ("/b/a//b", "a//b"),
        ("/b//a", "/a"),
        ("/b//", "/"),
        ("/b/../a", "../a"),
        ("/b/./a/..", "./a/.."),
        ("/b/a/", "a/"),
        ("/b/%00%01%1F%7F", "\x00\x01\x1f\x7f"),
        ("/b/%E2%82%AC", "€"),
        ("/b/a%20b", "a b"),
    ],
)
def test_a_key_is_decoded_exactly_once_and_never_normalized(path: str, key: str) -> None:
    assert resolve(path) == Target(Level.OBJECT, "b", key)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200), st.sampled_from(["", "/~"]))
def test_every_key_survives_its_percent_encoding(key: str, safe: str) -> None:
    assert resolve(f"/b/{quote(key, safe=safe)}").key == key


@pytest.mark.parametrize("path", ["/b/%FF", "/b/%C3", "/%FF/k", "/b/%ED%A0%80", "/b/%zz", "/b/%", "/b/%4", "*", ""])
def test_what_is_no_utf8_or_no_path_is_an_invalid_uri(path: str) -> None:
    assert code(path) == "InvalidURI"


def test_a_key_has_at_most_1024_bytes() -> None:
    assert len(resolve("/b/" + "k" * 1024).key) == 1024
    assert code("/b/" + "k" * 1025) == "KeyTooLongError"
    assert len(resolve("/b/" + "%F0%9F%98%80" * 256).key) == 256
    assert code("/b/k" + "%F0%9F%98%80" * 256) == "KeyTooLongError"


def test_an_empty_bucket_name_before_a_key_is_invalid() -> None:
    assert code("//key") == "InvalidBucketName"


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("bucket.example.com", "bucket"),
        ("bucket.example.com:9900", "bucket"),
        ("Bucket.EXAMPLE.com", "bucket"),
        ("a.b.example.com", "a.b"),
        ("bucket.s3.example.com", "bucket"),
        ("bucket.localhost:1", "bucket"),
    ],
)
def test_a_host_below_a_domain_names_the_bucket(host: str, bucket: str) -> None:
    assert resolve("/a/b", host) == Target(Level.OBJECT, bucket, "a/b", bucket)
    assert resolve("/", host) == Target(Level.BUCKET, bucket, "", bucket)


@pytest.mark.parametrize(
    "host",
    ["example.com", "s3.example.com:80", "localhost", "192.0.2.1:9900", "[::1]:9900", "[::1]", "notexample.com", ""],
)
def test_every_other_host_is_path_style(host: str) -> None:
    assert resolve("/a/b", host) == Target(Level.OBJECT, "a", "b")


def test_a_path_prefix_is_taken_off_before_anything_else() -> None:
    below = Addressing(("localhost",), "/s3/v1/")
    assert resolve("/s3/v1", addressing=below) == Target(Level.SERVICE)
    assert resolve("/s3/v1/", addressing=below) == Target(Level.SERVICE)
    assert resolve("/s3/v1/b", addressing=below) == Target(Level.BUCKET, "b")
    assert resolve("/s3/v1/b/s3/v1/k", addressing=below) == Target(Level.OBJECT, "b", "s3/v1/k")
    assert resolve("/s3/v1/k", "b.localhost", below) == Target(Level.OBJECT, "b", "k", "b")


@pytest.mark.parametrize("path", ["/", "/s3", "/s3/v10/b", "/b/k", "/s3/v1x"])
def test_nothing_is_served_outside_the_path_prefix(path: str) -> None:
    assert code(path, addressing=Addressing((), "/s3/v1")) == "NoSuchBucket"
