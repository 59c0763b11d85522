"""ListObjects and ListObjectsV2."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.operations.listing import prefix_around
from s3gate.operations.result import Result
from support.operations import Bench, texts

KEYS = ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud"]


async def fill(bench: Bench, *keys: str) -> None:
    for key in keys or KEYS:
        await bench("PUT", f"/b/{key}")


def entries(result: Result) -> tuple[list[str], list[str]]:
    return texts(result, "Contents/Key"), texts(result, "CommonPrefixes/Prefix")


def one(result: Result, name: str) -> str | None:
    found = texts(result, name)
    return found[0] if found else None


async def test_keys_come_in_byte_order_and_all_of_them(bench: Bench) -> None:
    await fill(bench, "b", "a", "\U0001f600", "\uffee", "a/b", "B")
    assert entries(await bench("GET", "/b")) == (["B", "a", "a/b", "b", "\uffee", "\U0001f600"], [])


@pytest.mark.parametrize(
    ("query", "keys", "prefixes"),
    [
        ("delimiter=/", ["asdf"], ["boo/", "cquux/"]),
        ("delimiter=/&prefix=boo/", ["boo/bar"], ["boo/baz/"]),
        ("delimiter=u&prefix=c", [], ["cqu"]),
        ("delimiter=", KEYS, []),
        ("delimiter=%0A", KEYS, []),
        ("prefix=boo/b", ["boo/bar", "boo/baz/xyzzy"], []),
        ("prefix=zzz", [], []),
        ("max-keys=0", [], []),
    ],
)
@pytest.mark.parametrize("version", ["", "list-type=2&"])
async def test_prefix_and_delimiter_choose_and_roll_up(
    bench: Bench, version: str, query: str, keys: list[str], prefixes: list[str]
) -> None:
    await fill(bench)
    result = await bench("GET", "/b", version + query)
    assert entries(result) == (keys, prefixes)
    assert one(result, "IsTruncated") == "false"


async def test_the_first_version_goes_on_behind_its_marker(bench: Bench) -> None:
    await fill(bench)
    seen: list[str] = []
    marker: str | None = ""
    while marker is not None:
        page = await bench("GET", "/b", f"delimiter=/&max-keys=1&marker={quote(marker)}")
        seen += [name for names in entries(page) for name in names]
        marker = one(page, "NextMarker")
    assert seen == ["asdf", "boo/", "cquux/"]


async def test_a_next_marker_is_told_only_with_a_delimiter(bench: Bench) -> None:
    await fill(bench)
    page = await bench("GET", "/b", "max-keys=2")
    assert (one(page, "IsTruncated"), one(page, "NextMarker"), one(page, "Marker")) == ("true", None, "")


async def test_a_marker_inside_a_common_prefix_has_that_prefix_behind_it(bench: Bench) -> None:
    await fill(bench)
    assert entries(await bench("GET", "/b", "delimiter=/&marker=boo/bar")) == ([], ["cquux/"])


async def test_start_after_inside_a_common_prefix_does_not_hide_it(bench: Bench) -> None:
    await fill(bench)
    page = await bench("GET", "/b", "list-type=2&delimiter=/&start-after=boo/bar")
    assert entries(page) == ([], ["boo/", "cquux/"])


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_the_second_version_goes_on_with_its_token(bench: Bench, size: int, delimiter: str) -> None:
    await fill(bench)
    whole = entries(await bench("GET", "/b", f"list-type=2&delimiter={delimiter}"))
    keys: list[str] = []
    prefixes: list[str] = []
    token: str | None = ""
    while token is not None:
        more = f"&continuation-token={token}" if token else ""
        page = await bench("GET", "/b", f"list-type=2&delimiter={delimiter}&max-keys={size}{more}")
        found = entries(page)
        assert one(page, "KeyCount") == str(len(found[0]) + len(found[1]))
        assert one(page, "ContinuationToken") == (token or None)
        keys += found[0]
        prefixes += found[1]
        token = one(page, "NextContinuationToken")
    assert (keys, prefixes) == whole


async def test_an_empty_token_begins_the_listing_and_is_told_again(bench: Bench) -> None:
    await fill(bench)
    page = await bench("GET", "/b", "list-type=2&continuation-token=")
    assert entries(page) == (KEYS, [])
    assert one(page, "ContinuationToken") == ""


async def test_a_token_counts_and_start_after_is_only_told_again(bench: Bench) -> None:
    await fill(bench)
    token = one(await bench("GET", "/b", "list-type=2&max-keys=2&start-after=asdf"), "NextContinuationToken")
    page = await bench("GET", "/b", f"list-type=2&start-after=asdf&continuation-token={token}")
    assert entries(page) == (["cquux/bla", "cquux/thud"], [])
    assert one(page, "StartAfter") == "asdf"


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=blah",
        "max-keys=-1",
        "max-keys=2147483648",
        "encoding-type=base64",
        "list-type=1",
        "list-type=2&continuation-token=blah",
    ],
)
async def test_what_cannot_be_asked_is_an_invalid_argument(bench: Bench, query: str) -> None:
    assert (await bench.fails("GET", "/b", query)).code == "InvalidArgument"


async def test_a_page_has_1000_keys_at_most_and_says_so(bench: Bench) -> None:
    assert one(await bench("GET", "/b", "max-keys=5000"), "MaxKeys") == "1000"
    assert one(await bench("GET", "/b"), "MaxKeys") == "1000"
    assert one(await bench("GET", "/b", "max-keys=7"), "MaxKeys") == "7"


async def test_keys_are_encoded_where_that_is_asked_for(bench: Bench) -> None:
    await fill(bench, "foo+1/bar", "quux ab/thud", "asdf+b", "\x01")
    page = await bench("GET", "/b", "list-type=2&delimiter=/&encoding-type=url")
    assert entries(page) == (["%01", "asdf%2Bb"], ["foo%2B1/", "quux%20ab/"])


async def test_owners_are_told_by_the_first_version_and_on_request(bench: Bench) -> None:
    await fill(bench, "k")
    assert texts(await bench("GET", "/b"), "Contents/Owner/DisplayName") == ["alice"]
    assert texts(await bench("GET", "/b", "list-type=2"), "Contents/Owner") == []
    assert texts(await bench("GET", "/b", "list-type=2&fetch-owner=true"), "Contents/Owner/DisplayName") == ["alice"]
    assert texts(await bench("GET", "/b", "list-type=2&fetch-owner=false"), "Contents/Owner") == []


TEXT = st.text("a/b", max_size=6)


@given(TEXT, TEXT, st.sampled_from(["", "/", "ab"]))
def test_the_prefix_around_a_marker_holds_the_marker_and_ends_with_the_delimiter(
    marker: str, prefix: str, delimiter: str
) -> None:
    around = prefix_around(marker, prefix, delimiter)
    if around:
        assert marker.startswith(around)
        assert around.startswith(prefix)
        assert around.endswith(delimiter)
        assert delimiter not in around[len(prefix) : -1]
    else:
        assert not delimiter or not marker.startswith(prefix) or delimiter not in marker[len(prefix) :]
