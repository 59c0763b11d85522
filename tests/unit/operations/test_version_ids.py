"""versionId where nothing was ever versioned."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.operations.version_ids import check_current, version_id

UNKNOWN = "0123456789abcdef01234567"


def test_null_is_the_version_that_every_object_has() -> None:
    check_current(version_id("null"), "k")
    check_current(None, "k")


def test_a_version_that_no_object_has_is_not_there() -> None:
    with pytest.raises(S3Error) as caught:
        check_current(version_id(UNKNOWN), "k")
    assert caught.value.code == "NoSuchVersion"


@pytest.mark.parametrize("text", ["", "NULL", "1", UNKNOWN.upper(), UNKNOWN + "0", "../../etc/passwd"])
def test_what_cannot_name_a_version_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        version_id(text)
    assert caught.value.code == "InvalidArgument"
