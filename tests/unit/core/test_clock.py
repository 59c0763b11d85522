"""Points in time in the forms of HTTP and S3."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.clock import SECOND, amz_date, http_date, iso_date, parse_amz_date, parse_http_date

seconds = st.integers(0, 253_402_300_799)


@given(seconds)
def test_every_form_reads_back_as_the_second_it_was_written_for(second: int) -> None:
    moment = second * SECOND + 999_999_999

    assert parse_http_date(http_date(moment)) == second * SECOND
    assert parse_amz_date(amz_date(moment)) == second * SECOND
    assert parse_http_date(iso_date(moment)) == second * SECOND
    assert http_date(moment) == formatdate(second, usegmt=True)


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_an_http_date_are_read(text: str) -> None:
    assert parse_http_date(text) == 784_111_777 * SECOND


@pytest.mark.parametrize("text", ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT", "2026-13-01", "0"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_http_date(text) is None
    assert parse_amz_date(text) is None
