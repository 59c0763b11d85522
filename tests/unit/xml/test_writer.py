"""Text as XML."""

from __future__ import annotations

from urllib.parse import unquote_plus

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from s3gate.core.checksums import Checksum
from s3gate.core.values import Owner
from s3gate.xml.writer import checksum, document, element, encode_key, escape, owner

LEGAL = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff", include_characters="\t\n\r")
)


@given(LEGAL)
def test_text_that_xml_can_hold_comes_back_as_it_was(text: str) -> None:
    node = etree.fromstring(document("Root", element("Key", text)))
    assert (node[0].text or "") == text


def test_a_character_that_xml_cannot_hold_becomes_a_reference_to_it() -> None:
    assert escape("a\x01b\ufffe\r") == "a&#x1;b&#xfffe;&#xd;"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_encoded_key_is_plain_ascii_that_every_client_decodes_to_the_key(key: str) -> None:
    encoded = encode_key(key)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert unquote_plus(encoded) == key


def test_an_encoded_key_keeps_its_slashes_and_has_no_plus_sign() -> None:
    assert encode_key("foo+1/quux ab") == "foo%2B1/quux%20ab"


def test_booleans_are_lower_case_and_none_is_no_element() -> None:
    assert element("A", True) + element("B", None) + element("C", 0) == "<A>true</A><C>0</C>"


def test_an_owner_has_an_id_and_a_display_name() -> None:
    assert owner("Initiator", Owner("1", "<x>")) == (
        "<Initiator><ID>1</ID><DisplayName>&lt;x&gt;</DisplayName></Initiator>"
    )


def test_a_checksum_tells_its_algorithm_by_the_name_of_its_element() -> None:
    assert checksum(Checksum("CRC32", "AAAAAA==")) == (
        "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"
    )
    assert checksum(None) == ""
