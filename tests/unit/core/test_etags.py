"""Entity tags by kind."""

from __future__ import annotations

import hashlib

import pytest
import xxhash

from s3gate.core.etags import EtagKind, digest_etag, etag_kind_of, joined_etag, joined_kind_of, new_digest, random_etag

MD5 = [hashlib.md5(data).hexdigest() for data in (b"a", b"b")]


def test_an_md5_is_in_hex_as_clients_expect_it() -> None:
    assert digest_etag("md5", hashlib.md5(b"a").digest()) == MD5[0]
    assert etag_kind_of(MD5[0]) == "md5"


def test_every_other_etag_has_a_dash() -> None:
    assert digest_etag("xxhash", xxhash.xxh3_128_digest(b"a")) == xxhash.xxh3_128_hexdigest(b"a") + "-x1"
    assert random_etag().endswith("-n1")
    assert random_etag() != random_etag()


@pytest.mark.parametrize("etag", ["", "0" * 32 + "-n1", f"{MD5[0]}-1", f"{MD5[0]}-x2", MD5[0].upper(), MD5[0] + "\n"])
def test_an_etag_that_is_no_digest_of_contents_in_one_piece_is_told_apart(etag: str) -> None:
    assert etag_kind_of(etag) is None


def test_the_etag_of_an_object_in_parts_is_the_md5_of_md5s() -> None:
    assert joined_etag(MD5) == hashlib.md5(bytes.fromhex("".join(MD5))).hexdigest() + "-2"


def test_parts_by_xxhash_are_joined_by_it() -> None:
    digests = [xxhash.xxh3_128_digest(data) for data in (b"a", b"b")]
    etag = joined_etag([digest_etag("xxhash", digest) for digest in digests])
    assert etag == xxhash.xxh3_128_hexdigest(b"".join(digests)) + "-x2"


@pytest.mark.parametrize("parts", [["0" * 32 + "-n1", "1" * 32 + "-n1"], [MD5[0], f"{MD5[1]}-x1"]])
def test_other_parts_and_mixed_ones_are_joined_by_their_etags(parts: list[str]) -> None:
    assert joined_etag(parts) == xxhash.xxh3_128_hexdigest("".join(parts).encode()) + "-n2"
    assert joined_etag(parts) != joined_etag(parts[::-1])


@pytest.mark.parametrize("kind", ["md5", "xxhash"])
def test_a_digest_of_each_kind_makes_an_etag_that_tells_its_kind(kind: EtagKind) -> None:
    assert kind != "none"
    digest = new_digest(kind)
    digest.update(b"data")
    assert etag_kind_of(digest_etag(kind, digest.digest())) == kind


def test_the_kind_of_a_joined_etag_is_told_where_the_number_of_parts_agrees() -> None:
    by_xxhash = joined_etag([f"{MD5[0]}-x1", f"{MD5[1]}-x1"])
    assert [joined_kind_of(etag, 2) for etag in (joined_etag(MD5), by_xxhash, joined_etag([random_etag()] * 2))] == [
        "md5",
        "xxhash",
        None,
    ]
    assert joined_kind_of(by_xxhash, 3) is None
    assert joined_kind_of(MD5[0], 1) is None
