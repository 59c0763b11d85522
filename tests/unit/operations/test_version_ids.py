"""Version ids of requests and answers."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.core.values import VERSIONING, Bucket, ObjectRecord
from s3gate.operations.version_ids import shown_version, version_id, written_version
from support.operations import ALICE

KNOWN = "0123456789abcdef01234567"
NULL = ObjectRecord("e", 0, 0)
VERSION = ObjectRecord("e", 0, 0, version_id=KNOWN)


@pytest.mark.parametrize("text", ["null", KNOWN])
def test_an_id_is_null_or_24_hexadecimal_digits(text: str) -> None:
    assert version_id(text) == text


@pytest.mark.parametrize("text", ["", "NULL", "1", KNOWN.upper(), KNOWN + "0", "../../etc/passwd"])
def test_what_cannot_name_a_version_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        version_id(text, "version-id-marker")
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields == {"ArgumentName": "version-id-marker", "ArgumentValue": text}


def test_the_version_that_is_read_is_told_in_a_bucket_that_was_ever_versioned() -> None:
    never = Bucket("b", ALICE, "r", 0)
    suspended = Bucket("b", ALICE, "r", 0, {VERSIONING: b"Suspended"})
    assert shown_version(never, NULL) == {}
    assert shown_version(suspended, NULL) == {"x-amz-version-id": "null"}
    assert shown_version(suspended, VERSION) == shown_version(never, VERSION) == {"x-amz-version-id": KNOWN}


def test_the_version_that_is_written_is_told_where_it_has_an_id_of_its_own() -> None:
    assert written_version(NULL) == {}
    assert written_version(VERSION) == {"x-amz-version-id": KNOWN}
