"""Typed arguments from the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.core.names import part_number
from s3gate.core.wire import Wire
from s3gate.operations.binding import (
    Binder,
    Document,
    Group,
    Header,
    Query,
    UserMetadata,
    header_bytes,
    header_text,
    user_metadata,
)
from s3gate.operations.copying import UploadPartCopyArgs
from support.sample_operations import Words


@dataclass(frozen=True, slots=True)
class Args:
    bucket: str
    key: str
    upload_id: Annotated[str, Query("uploadId")]
    part: Annotated[int, Query("partNumber", parse=part_number)]
    metadata: Annotated[Mapping[str, str], UserMetadata()]
    source: Annotated[str, Header("x-amz-copy-source")]
    content_type: Annotated[str | None, Header("content-type")] = None
    max_keys: Annotated[int, Query("max-keys")] = 1000
    fetch: Annotated[bool, Query("fetch-owner")] = False
    hex: Annotated[int | None, Query("hex", parse=lambda text: int(text, 16))] = None


@dataclass(frozen=True, slots=True)
class DocumentArgs:
    bucket: str
    words: Annotated[Words, Document(limit=10)]


@dataclass(frozen=True, slots=True)
class OptionalDocumentArgs:
    bucket: str
    words: Annotated[Words | None, Document(empty="MalformedXML", checksums=False)] = None


@dataclass(frozen=True, slots=True)
class Origin:
    source: Annotated[str, Header("x-amz-copy-source")]
    version: Annotated[str | None, Query("versionId")] = None


@dataclass(frozen=True, slots=True)
class GroupArgs:
    key: str
    origin: Annotated[Origin, Group()]
    content_type: Annotated[str | None, Header("content-type")] = None


@dataclass(frozen=True, slots=True)
class MetadataGroupArgs:
    group: Annotated[Args, Group()]


GOOD_QUERY = "uploadId=u&partNumber=3"
GOOD_HEADERS = {"x-amz-copy-source": "/b/k"}


def bind(
    query: str = GOOD_QUERY, headers: Mapping[str, str] = GOOD_HEADERS, args: type = Args, body: bytes = b""
) -> Any:
    asked: list[tuple[int, bool]] = []

    async def read(limit: int, /, *, checksums: bool) -> bytes:
        asked.append((limit, checksums))
        return body

    bound = asyncio.run(Binder(args).bind_document("b", "k/ä", Wire("PUT", "/b/k", query, headers), read=read))
    return bound, asked


def refusal(*args: Any, **kwargs: Any) -> S3Error:
    with pytest.raises(S3Error) as caught:
        bind(*args, **kwargs)
    return caught.value


def test_fields_are_filled_from_path_query_and_headers() -> None:
    bound, asked = bind(GOOD_QUERY + "&max-keys=5&fetch-owner=true&hex=ff", {**GOOD_HEADERS, "content-type": "text/x"})
    assert bound == Args("b", "k/ä", "u", 3, {}, "/b/k", "text/x", 5, True, 255)
    assert not asked


def test_absent_fields_get_their_defaults() -> None:
    assert bind()[0] == Args("b", "k/ä", "u", 3, {}, "/b/k")


def test_an_empty_number_counts_as_absent() -> None:
    assert bind(GOOD_QUERY + "&max-keys=")[0].max_keys == 1000


def test_a_missing_parameter_is_named() -> None:
    error = refusal("partNumber=3")
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", "uploadId")


def test_a_missing_header_is_named() -> None:
    error = refusal(headers={})
    assert error.code == "InvalidRequest"
    assert error.message == "Missing required header for this request: x-amz-copy-source"


@pytest.mark.parametrize("text", ["blah", "-1", "1.5", "2147483648", "9" * 5000, "²", "--1"])
def test_a_number_that_is_none_is_told_with_name_and_value(text: str) -> None:
    error = refusal(f"{GOOD_QUERY}&max-keys={text}")
    assert error.code == "InvalidArgument"
    assert error.fields == {"ArgumentName": "max-keys", "ArgumentValue": text}


def test_a_word_that_is_no_number_gets_the_message_of_aws() -> None:
    assert refusal(GOOD_QUERY + "&max-keys=x").message == "Provided max-keys not an integer or within integer range"


def test_a_boolean_is_true_or_false_only() -> None:
    assert refusal(GOOD_QUERY + "&fetch-owner=yes").fields["ArgumentValue"] == "yes"


def test_a_parse_function_that_raises_value_error_is_an_invalid_argument() -> None:
    assert refusal(GOOD_QUERY + "&hex=zz").fields == {"ArgumentName": "hex", "ArgumentValue": "zz"}


def test_a_parse_function_may_raise_an_s3_error_of_its_own() -> None:
    assert "between 1 and 10000" in refusal("uploadId=u&partNumber=0").message


def test_metadata_has_names_without_prefix_and_utf8_values() -> None:
    headers = {**GOOD_HEADERS, "x-amz-meta-colour": "gr\u00c3\u00bcn", "x-amz-meta-word": "=?UTF-8?B?w7w=?="}
    assert bind(headers=headers)[0].metadata == {"colour": "grün", "word": "=?UTF-8?B?w7w=?="}


def test_metadata_may_have_two_kilobytes_of_names_and_values_and_no_more() -> None:
    assert bind(headers={**GOOD_HEADERS, "x-amz-meta-abc": "v" * 2045})[0].metadata["abc"]
    error = refusal(headers={**GOOD_HEADERS, "x-amz-meta-abc": "v" * 2046})
    assert error.code == "MetadataTooLarge"
    assert error.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}


def test_a_document_is_read_within_its_limit_and_parsed_by_its_type() -> None:
    bound, asked = bind("", {}, DocumentArgs, b"a b")
    assert bound.words == Words(("a", "b"))
    assert asked == [(10, True)]


def test_an_empty_document_is_missing() -> None:
    assert refusal("", {}, DocumentArgs).code == "MissingRequestBodyError"


def test_an_empty_document_with_a_default_is_that_default() -> None:
    bound, asked = bind("", {}, OptionalDocumentArgs)
    assert bound.words is None
    assert asked == [(1 << 20, False)]


def test_the_document_is_not_read_when_a_parameter_is_wrong() -> None:
    @dataclass(frozen=True, slots=True)
    class Both:
        words: Annotated[Words, Document()]
        number: Annotated[int, Query("n")]

    # The annotations of a class in a function are not found by name: given here as they are.
    Both.__annotations__.update(words=Annotated[Words, Document()], number=Annotated[int, Query("n")])
    assert refusal("n=x", {}, Both, b"unread").code == "InvalidArgument"


def test_a_field_that_does_not_say_where_it_comes_from_is_an_error_of_the_programmer() -> None:
    @dataclass
    class Bare:
        thing: str

    Bare.__annotations__["thing"] = str
    with pytest.raises(TypeError, match="thing"):
        Binder(Bare)


def test_a_type_that_text_cannot_become_needs_a_parse_function() -> None:
    @dataclass
    class Odd:
        thing: Any

    Odd.__annotations__["thing"] = Annotated[bytes, Query("thing")]
    with pytest.raises(TypeError, match="parse"):
        Binder(Odd)


def test_a_group_of_arguments_is_bound_from_the_same_request() -> None:
    headers = {"x-amz-copy-source": "/b/k", "content-type": "text/plain"}
    bound = Binder(GroupArgs).bind("b", "k", Wire("PUT", "/b/k", "versionId=v", headers))
    assert bound == GroupArgs("k", Origin("/b/k", "v"), "text/plain")


def test_the_names_that_a_group_takes_are_known_and_what_it_requires_is_required() -> None:
    binder = Binder(GroupArgs)
    assert binder.headers == {"x-amz-copy-source", "content-type"}
    assert binder.queries == {"versionId"}
    with pytest.raises(S3Error) as caught:
        binder.bind("b", "k", Wire("PUT", "/b/k", "", {"content-type": "text/plain"}))
    assert caught.value.code == "InvalidRequest"


def test_parameters_are_looked_at_before_the_headers_of_a_group() -> None:
    with pytest.raises(S3Error) as caught:
        Binder(UploadPartCopyArgs).bind("b", "k", Wire("PUT", "/b/k", "partNumber=0&uploadId=u", {}))
    assert caught.value.fields["ArgumentName"] == "partNumber"


def test_user_metadata_in_a_group_is_an_error_of_the_programmer() -> None:
    with pytest.raises(TypeError, match="group"):
        Binder(MetadataGroupArgs)


@given(st.binary())
def test_every_header_value_comes_back_as_it_was_sent(raw: bytes) -> None:
    text = header_text(raw.decode("latin-1"))
    text.encode("utf-8")
    assert header_bytes(text) == raw


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(0xEF80, 0xF000)])))
def test_a_header_value_of_utf8_is_read_as_its_text(text: str) -> None:
    assert header_text(text.encode().decode("latin-1")) == text


@pytest.mark.parametrize("name", ["a\r\nx-injected", "\xe9", "a b"])
def test_a_metadata_name_that_no_header_can_have_is_refused(name: str) -> None:
    """Parameters of a presigned URL stand for headers, and are not held to the form of their names by HTTP."""
    with pytest.raises(S3Error) as raised:
        user_metadata({"x-amz-meta-" + name: "value"})
    assert raised.value.code == "InvalidArgument"
