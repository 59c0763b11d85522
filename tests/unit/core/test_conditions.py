"""Preconditions: which hold, and with which code a failed one is answered."""

from __future__ import annotations

import pytest

from s3gate.core.clock import SECOND
from s3gate.core.conditions import ReadCondition, WriteCondition, etag_matches
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord

MODIFIED = 1_000 * SECOND + 500
RECORD = ObjectRecord("abc", 3, MODIFIED)
BEFORE, SAME, AFTER = 999 * SECOND, 1_000 * SECOND, 1_001 * SECOND


def code_of(work: object, *arguments: object) -> str:
    try:
        work(*arguments)  # type: ignore[operator]
    except S3Error as error:
        return error.code
    return "holds"


@pytest.mark.parametrize(
    ("header", "matches"),
    [('"abc"', True), ("abc", True), ("*", True), ('W/"abc"', True), ('"x", "abc"', True), ('"x"', False), ("", False)],
)
def test_an_entity_tag_is_found_quoted_bare_weak_or_in_a_list(header: str, matches: bool) -> None:
    assert etag_matches(header, "abc") is matches


@pytest.mark.parametrize(
    ("condition", "read", "copy"),
    [
        (ReadCondition(), "holds", "holds"),
        (ReadCondition(if_match='"abc"'), "holds", "holds"),
        (ReadCondition(if_match='"x"'), "PreconditionFailed", "PreconditionFailed"),
        (ReadCondition(if_none_match='"abc"'), "NotModified", "PreconditionFailed"),
        (ReadCondition(if_none_match='"x"'), "holds", "holds"),
        (ReadCondition(if_modified_since=BEFORE), "holds", "holds"),
        (ReadCondition(if_modified_since=SAME), "NotModified", "PreconditionFailed"),
        (ReadCondition(if_modified_since=AFTER), "NotModified", "PreconditionFailed"),
        (ReadCondition(if_unmodified_since=BEFORE), "PreconditionFailed", "PreconditionFailed"),
        (ReadCondition(if_unmodified_since=SAME), "holds", "holds"),
        (ReadCondition(if_match='"abc"', if_unmodified_since=BEFORE), "holds", "holds"),
        (ReadCondition(if_none_match='"x"', if_modified_since=AFTER), "holds", "holds"),
        (ReadCondition(if_none_match='"abc"', if_modified_since=BEFORE), "NotModified", "PreconditionFailed"),
    ],
)
def test_read_conditions_are_decided_in_the_order_of_rfc_9110(condition: ReadCondition, read: str, copy: str) -> None:
    assert code_of(condition.check_read, RECORD) == read
    assert code_of(condition.check_copy, RECORD) == copy


def test_an_answer_of_not_modified_names_the_entity_tag() -> None:
    with pytest.raises(S3Error) as raised:
        ReadCondition(if_none_match="*").check_read(RECORD)

    assert raised.value.status == 304
    assert raised.value.headers == {"etag": '"abc"'}


@pytest.mark.parametrize(
    ("condition", "current", "code"),
    [
        (WriteCondition(), None, "holds"),
        (WriteCondition(), RECORD, "holds"),
        (WriteCondition(if_match='"abc"'), RECORD, "holds"),
        (WriteCondition(if_match="*"), RECORD, "holds"),
        (WriteCondition(if_match='"x"'), RECORD, "PreconditionFailed"),
        (WriteCondition(if_match='"abc"'), None, "NoSuchKey"),
        (WriteCondition(if_none_match="*"), None, "holds"),
        (WriteCondition(if_none_match="*"), RECORD, "PreconditionFailed"),
        (WriteCondition(if_none_match='"abc"'), RECORD, "PreconditionFailed"),
        (WriteCondition(if_none_match='"x"'), RECORD, "holds"),
    ],
)
def test_write_conditions_speak_of_what_stands_there(
    condition: WriteCondition, current: ObjectRecord | None, code: str
) -> None:
    assert code_of(condition.check, current) == code
