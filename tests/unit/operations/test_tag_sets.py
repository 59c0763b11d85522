"""What may be tags."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.operations.tag_sets import BUCKET_TAGS, OBJECT_TAGS, tagging_header

TEXT = st.text(st.sampled_from("aZ0 _.:/=+-@\u00e9\u4e2d"), min_size=1, max_size=20)
FACE = "\U00020000"  # a letter that takes two places in UTF-16


def refusal(*pairs: tuple[str, str]) -> S3Error:
    with pytest.raises(S3Error) as caught:
        OBJECT_TAGS.check(pairs)
    return caught.value


@pytest.mark.parametrize(
    ("key", "value"),
    [("k", ""), ("k" * 128, "v" * 256), (FACE * 64, FACE * 128), ("+ -=._:/@", "+ -=._:/@"), ("Z\u00fcrich", "\u00bd")],
)
def test_a_tag_has_a_key_and_perhaps_a_value(key: str, value: str) -> None:
    assert OBJECT_TAGS.check([(key, value)]) == {key: value}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", "v", "The TagKey you have provided is invalid"),
        ("k" * 129, "v", "The TagKey you have provided is invalid"),
        (FACE * 64 + "k", "v", "The TagKey you have provided is invalid"),
        ("a,b", "v", "The TagKey you have provided is invalid"),
        ("k", "v" * 257, "The TagValue you have provided is invalid"),
        ("k", "a\nb", "The TagValue you have provided is invalid"),
        ("aws:k", "v", "Your TagKey cannot be prefixed with aws:"),
        ("AWS:k", "v", "Your TagKey cannot be prefixed with aws:"),
    ],
)
def test_what_is_no_tag_is_refused_with_its_key(key: str, value: str, message: str) -> None:
    error = refusal((key, value))
    assert (error.code, error.message, error.fields["TagKey"]) == ("InvalidTag", message, key)


def test_a_key_stands_once() -> None:
    assert refusal(("k", "1"), ("k", "1")).message == "Cannot provide multiple Tags with the same key"


def test_an_object_has_10_tags_at_most_and_a_bucket_50() -> None:
    tags = [(f"k{n}", "") for n in range(51)]
    assert len(OBJECT_TAGS.check(tags[:10])) == 10
    assert refusal(*tags[:11]).code == "InvalidTag"
    assert len(BUCKET_TAGS.check(tags[:50])) == 50
    with pytest.raises(S3Error):
        BUCKET_TAGS.check(tags)


@given(st.dictionaries(TEXT, TEXT, max_size=10))
def test_tags_come_back_from_the_header_in_order_of_their_keys(tags: dict[str, str]) -> None:
    ordered = sorted(tags.items())
    assert list(tagging_header(urlencode(tags)).items()) == ordered
    assert list(tagging_header(urlencode(tags, quote_via=quote)).items()) == ordered


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", {}),
        ("foo=bar&bar", {"bar": "", "foo": "bar"}),
        ("a=b=c", {"a": "b=c"}),
        ("a+b=c%2Bd", {"a b": "c+d"}),
        ("k=Z\u00fcrich", {"k": "Z\u00fcrich"}),
    ],
)
def test_the_header_is_a_query_string(text: str, tags: dict[str, str]) -> None:
    assert tagging_header(text) == tags


@pytest.mark.parametrize("text", ["=", "=v", "a=1&a=2", "a&&b", "&", "a=%zz", "a=%", "a=%ff"])
def test_a_header_that_is_no_query_string_of_tags_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        tagging_header(text)
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields == {"ArgumentName": "x-amz-tagging", "ArgumentValue": text}


def test_a_header_is_held_to_the_rules_of_tags() -> None:
    with pytest.raises(S3Error) as caught:
        tagging_header("aws%3Ak=v")
    assert caught.value.code == "InvalidTag"
