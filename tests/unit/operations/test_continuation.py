"""Continuation tokens."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.operations.continuation import Place, read_token, write_token


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.booleans())
def test_a_token_holds_its_place_and_is_safe_in_a_url(last: str, is_prefix: bool) -> None:
    token = write_token(last, is_prefix=is_prefix)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert read_token(token) == Place(last, is_prefix)


@pytest.mark.parametrize("token", ["blah", "", "AQ", "A", "A===", "Aw", "A2E", "Af8", "AWE=x", "AW E", "\u00e9"])
def test_what_is_no_token_of_ours_is_an_invalid_argument(token: str) -> None:
    with pytest.raises(S3Error) as caught:
        read_token(token)
    assert (caught.value.code, caught.value.message) == (
        "InvalidArgument",
        "The continuation token provided is incorrect",
    )
