"""The documents that hold what an operator sets for a bucket."""

from __future__ import annotations

import pytest

from s3gate.core.bucket_properties import NO_QUOTA, QUOTA, Quota, etag_kind, quota_document, quota_of
from s3gate.core.errors import S3Error


@pytest.mark.parametrize("quota", [Quota(bytes=0), Quota(objects=7), Quota(bytes=1 << 60, objects=1)])
def test_a_quota_comes_back_from_its_document(quota: Quota) -> None:
    assert quota_of({QUOTA: quota_document(quota)}) == quota


def test_no_document_is_no_quota() -> None:
    assert quota_of({}) == NO_QUOTA


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"bytes": "1"}', b'{"files": 1}', b'{"bytes": 1.5}'])
def test_a_damaged_quota_is_not_taken_for_none(document: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        quota_of({QUOTA: document})
    assert caught.value.code == "InternalError"


@pytest.mark.parametrize("kind", ["md5", "xxhash", "none"])
def test_the_kinds_of_etags_are_known_by_their_names(kind: str) -> None:
    assert etag_kind(kind.encode()) == kind


def test_an_etag_kind_that_is_not_known_is_not_taken_for_the_default() -> None:
    with pytest.raises(S3Error) as caught:
        etag_kind(b"sha1")
    assert caught.value.code == "InternalError"
