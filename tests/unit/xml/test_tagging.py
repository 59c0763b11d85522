"""The document of tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.errors import S3Error
from s3gate.xml.tagging import Tagging

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(st.dictionaries(TEXT, TEXT, max_size=10))
def test_tags_that_were_written_are_read_as_they_were(tags: dict[str, str]) -> None:
    assert Tagging.parse(Tagging.of(tags).render()).pairs == list(tags.items())


def test_an_empty_set_of_tags_is_a_set_of_tags() -> None:
    assert Tagging.parse(b"<Tagging><TagSet/></Tagging>").pairs == []
    assert b"<TagSet></TagSet>" in Tagging.of({}).render()


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<TagSet><Tag/></TagSet>",
        "<TagSet><Tag><Key>k</Key></Tag></TagSet>",
        "<TagSet><Tag><Value>v</Value></Tag></TagSet>",
        "<TagSet><Tag><Key>k</Key><Value>v</Value><More/></Tag></TagSet>",
        "<TagSet/><TagSet/>",
        "<Tag><Key>k</Key><Value>v</Value></Tag>",
    ],
)
def test_what_is_no_set_of_tags_is_malformed(inner: str) -> None:
    with pytest.raises(S3Error) as caught:
        Tagging.parse(f"<Tagging>{inner}</Tagging>".encode())
    assert caught.value.code == "MalformedXML"
