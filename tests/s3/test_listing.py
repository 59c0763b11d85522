"""ListObjects, ListObjectsV2 and ListObjectVersions against a model that has the whole bucket in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.gateway import Gateway
from support.raw_http import ask, refusal
from support.refused import refused
from support.signed import signed

KEYS = sorted(
    [
        "a",
        "a/",
        "a/b",
        "a/b/c",
        "a//b",
        "a-b",
        "a.b",
        "ab/c",
        "b/1",
        "b/10",
        "b/2",
        "c",
        "c d/e f",
        "d+e",
        "é/ü",
        "日本/語",
        "z/../y",
        "~last",
        "/lead",
    ],
    key=str.encode,
)
Entry = tuple[str, str]


def model(prefix: str, delimiter: str, after: str = "", keys: Sequence[str] = KEYS) -> list[Entry]:
    """All entries of a listing in order: ("key" or "prefix", name)."""
    found: dict[str, str] = {}
    for key in keys:
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        name, kind = (key, "key") if end < 0 else (key[: end + len(delimiter)], "prefix")
        if name.encode() > after.encode() or (kind == "prefix" and key.encode() > after.encode()):
            found[name] = kind
    return sorted(((kind, name) for name, kind in found.items()), key=lambda entry: entry[1].encode())


def entries(page: dict[str, Any]) -> list[Entry]:
    found = [("key", item["Key"]) for item in page.get("Contents", [])]
    found += [("prefix", item["Prefix"]) for item in page.get("CommonPrefixes", [])]
    return sorted(found, key=lambda entry: entry[1].encode())


def pages(call: Any, token: str, following: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """All pages of a listing, as a client follows them."""
    page = call(**arguments)
    yield page
    while page["IsTruncated"]:
        last = page.get(following) or page["Contents"][-1]["Key"]
        page = call(**arguments, **{token: last})
        yield page


@pytest.fixture(scope="module")
def listed(s3: Any) -> str:
    bucket = "test-listing-of-the-module"
    s3.create_bucket(Bucket=bucket)
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


COMBINATIONS = list(itertools.product(["", "a", "a/", "b/", "é", "nothing", "c d/"], ["", "/", "b", "//", "é"]))


@pytest.mark.parametrize(("prefix", "delimiter"), COMBINATIONS)
def test_v2_agrees_with_the_model(s3: Any, listed: str, prefix: str, delimiter: str):
    page = s3.list_objects_v2(Bucket=listed, Prefix=prefix, Delimiter=delimiter)

    assert entries(page) == model(prefix, delimiter)
    assert page["KeyCount"] == len(model(prefix, delimiter))
    assert (page["IsTruncated"], page["Prefix"], page["MaxKeys"]) == (False, prefix, 1000)
    assert page.get("Delimiter", "") == delimiter


@pytest.mark.parametrize(("prefix", "delimiter"), COMBINATIONS)
def test_v1_agrees_with_the_model(s3: Any, listed: str, prefix: str, delimiter: str):
    page = s3.list_objects(Bucket=listed, Prefix=prefix, Delimiter=delimiter)

    assert entries(page) == model(prefix, delimiter)
    # botocore asks for encoded names, and of this answer decodes all but the prefix.
    assert (page["IsTruncated"], unquote_plus(page["Prefix"]), page["MaxKeys"]) == (False, prefix, 1000)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(("prefix", "delimiter"), [("", ""), ("", "/"), ("a", "/"), ("", "b"), ("b/", "")])
def test_pages_of_both_versions_come_to_the_whole(s3: Any, listed: str, prefix: str, delimiter: str, size: int):
    arguments = {"Bucket": listed, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
    expected = model(prefix, delimiter)
    for call, token, following in (
        (s3.list_objects_v2, "ContinuationToken", "NextContinuationToken"),
        (s3.list_objects, "Marker", "NextMarker"),
    ):
        found = [entries(page) for page in pages(call, token, following, **arguments)]
        assert [entry for page in found for entry in page] == expected
        assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prefix=st.sampled_from(["", "a", "a/", "b", "z/"]),
    delimiter=st.sampled_from(["", "/", "b", "."]),
    after=st.sampled_from(["", *KEYS, "a/a", "b/", "b/11", "zz", "日", "\x7f", "a/b/", "aa"]),
    size=st.integers(1, 8),
)
def test_any_listing_from_any_place_agrees_with_the_model(
    s3: Any, listed: str, prefix: str, delimiter: str, after: str, size: int
):
    arguments = {"Bucket": listed, "Prefix": prefix, "Delimiter": delimiter, "StartAfter": after, "MaxKeys": size}

    found = list(pages(s3.list_objects_v2, "ContinuationToken", "NextContinuationToken", **arguments))

    assert [entry for page in found for entry in entries(page)] == model(prefix, delimiter, after)


def test_an_entry_tells_all_of_its_object(s3: Any, listed: str):
    entry = s3.list_objects_v2(Bucket=listed, Prefix="a/b", MaxKeys=1)["Contents"][0]
    head = s3.head_object(Bucket=listed, Key="a/b")

    assert (entry["Key"], entry["Size"], entry["ETag"]) == ("a/b", 3, head["ETag"])
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert entry["StorageClass"] == "STANDARD"
    assert "Owner" not in entry


def test_the_owner_is_told_by_v1_and_by_v2_when_asked(s3: Any, listed: str):
    me = s3.list_buckets()["Owner"]

    assert s3.list_objects(Bucket=listed, MaxKeys=1)["Contents"][0]["Owner"] == me
    assert s3.list_objects_v2(Bucket=listed, MaxKeys=1, FetchOwner=True)["Contents"][0]["Owner"] == me


def test_a_marker_hides_the_prefix_that_it_lies_in(s3: Any, listed: str):
    page = s3.list_objects(Bucket=listed, Delimiter="/", Marker="a/b")

    assert [item["Prefix"] for item in page["CommonPrefixes"]] == ["ab/", "b/", "c d/", "z/", "é/", "日本/"]
    assert page["Marker"] == "a/b"


def test_v1_tells_the_next_marker_with_a_delimiter_only(s3: Any, listed: str):
    assert "NextMarker" in s3.list_objects(Bucket=listed, MaxKeys=2, Delimiter="/")
    assert "NextMarker" not in s3.list_objects(Bucket=listed, MaxKeys=2)


def test_a_start_is_told_again_and_a_token_too(s3: Any, listed: str):
    first = s3.list_objects_v2(Bucket=listed, StartAfter="a/b", MaxKeys=1)
    second = s3.list_objects_v2(Bucket=listed, ContinuationToken=first["NextContinuationToken"])

    assert first["StartAfter"] == "a/b"
    assert second["ContinuationToken"] == first["NextContinuationToken"]


def test_a_listing_of_no_keys_is_empty_and_complete(s3: Any, listed: str):
    for page in (s3.list_objects_v2(Bucket=listed, MaxKeys=0), s3.list_objects(Bucket=listed, MaxKeys=0)):
        assert (entries(page), page["IsTruncated"], page["MaxKeys"]) == ([], False, 0)


def test_names_are_encoded_when_asked_and_only_then(gateway: Gateway, listed: str):
    plain = ask(gateway, signed(gateway, "GET", f"/{listed}?list-type=2&prefix=c%20d")).body
    encoded = ask(gateway, signed(gateway, "GET", f"/{listed}?list-type=2&encoding-type=url&prefix=c%20d")).body
    plus = ask(gateway, signed(gateway, "GET", f"/{listed}?list-type=2&encoding-type=url&prefix=d")).body

    assert b"<Key>c d/e f</Key>" in plain
    assert b"<Prefix>c d</Prefix>" in plain
    assert b"EncodingType" not in plain
    assert b"<Key>c%20d/e%20f</Key>" in encoded
    assert b"<Prefix>c%20d</Prefix>" in encoded
    assert b"<Key>d%2Be</Key>" in plus
    assert b"<EncodingType>url</EncodingType>" in encoded


@pytest.mark.parametrize(
    "query",
    [
        "list-type=2&max-keys=-1",
        "list-type=2&max-keys=many",
        "max-keys=99999999999",
        "list-type=1",
        "list-type=2&encoding-type=base64",
        "list-type=2&continuation-token=not-a-token",
        "list-type=2&fetch-owner=perhaps",
        "versions&version-id-marker=x",
    ],
)
def test_a_bad_question_is_an_invalid_argument(gateway: Gateway, listed: str, query: str):
    assert refusal(ask(gateway, signed(gateway, "GET", f"/{listed}?{query}"))) == (400, "InvalidArgument")


def test_more_than_a_thousand_keys_come_in_pages_of_a_thousand(gateway: Gateway, s3: Any, bucket: str):
    for number in range(1203):
        path = gateway.root / bucket / f"{number % 10}" / f"{number:05}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")

    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    second = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])

    assert (first["KeyCount"], first["MaxKeys"], second["KeyCount"]) == (1000, 1000, 203)
    keys = [item["Key"] for item in first["Contents"] + second["Contents"]]
    assert keys == sorted(f"{number % 10}/{number:05}" for number in range(1203))


def test_every_object_is_its_own_only_version(s3: Any, listed: str):
    found = [
        version
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=listed, PaginationConfig={"PageSize": 4})
        for version in page["Versions"]
    ]

    assert [version["Key"] for version in found] == KEYS
    assert {(version["VersionId"], version["IsLatest"]) for version in found} == {("null", True)}


def test_a_bucket_without_objects_lists_nothing(s3: Any, bucket: str):
    page = s3.list_objects_v2(Bucket=bucket)

    assert (entries(page), page["KeyCount"], page["Name"]) == ([], 0, bucket)
    assert refused(s3.list_objects_v2, Bucket=bucket, ContinuationToken="x")[1] == "InvalidArgument"
