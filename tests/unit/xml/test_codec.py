"""Reading of documents that clients send, good and hostile."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import Field

from s3gate.core.errors import S3Error
from s3gate.xml.codec import S3Xml, read
from s3gate.xml.writer import NAMESPACE


class Item(S3Xml):
    key: str
    number: int | None = None


class Box(S3Xml):
    root: ClassVar[str] = "Box"
    unsupported: ClassVar[frozenset[str]] = frozenset({"Future"})

    name: str | None = None
    open: bool = False
    etag: str | None = Field(default=None, alias="ETag")
    item: tuple[Item, ...] = ()


def refused(body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        Box.parse(body)
    return caught.value.code


def test_a_document_is_read_with_the_namespace_and_without() -> None:
    inner = "<Name> a </Name><Open> true </Open><ETag>x</ETag><Item><Key>k</Key><Number>3</Number></Item>"
    expected = Box(name=" a ", open=True, etag="x", item=(Item(key="k", number=3),))
    assert Box.parse(f"<Box>{inner}</Box>".encode()) == expected
    assert Box.parse(f'<?xml version="1.0"?>\n<Box xmlns="{NAMESPACE}">\n {inner}\n</Box>'.encode()) == expected


def test_what_is_written_is_what_is_read() -> None:
    box = Box(name="<&>", etag="e", item=(Item(key="1"), Item(key="2", number=7)))
    assert Box.parse(box.render()) == box


def test_elements_that_stand_once_and_several_times_are_told_apart() -> None:
    assert Box.parse(b"<Box/>") == Box()
    assert refused(b"<Box><Name>a</Name><Name>b</Name></Box>") == "MalformedXML"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"no xml",
        b"<Box>",
        b"<Box></Bax>",
        b"<Other/>",
        b"<Box><Unknown/></Box>",
        b"<Box>text</Box>",
        b"<Box><Name>a</Name>text</Box>",
        b"<Box><Name><Deeper/></Name></Box>",
        b"<Box><Item/></Box>",
        b"<Box><Open>perhaps</Open></Box>",
        b"<Box><Item><Key>k</Key><Number>three</Number></Item></Box>",
        b"<Box><Name>&undefined;</Name></Box>",
        b"<Box><Name>\x01</Name></Box>",
        b"<Box><Name>\xff</Name></Box>",
        b'<Box xmlns="http://example.com/"/>',
        b'<Box><Name xmlns="http://example.com/">a</Name></Box>',
        "<Box/>".encode("utf-16"),
        b"<Box>" + b"<Item>" * 10_000 + b"</Box>",
    ],
)
def test_what_is_not_the_document_is_malformed(body: bytes) -> None:
    assert refused(body) == "MalformedXML"


@pytest.mark.parametrize(
    "doctype",
    [
        b"<!DOCTYPE Box>",
        b'<!DOCTYPE Box SYSTEM "file:///etc/passwd">',
        b'<!DOCTYPE Box [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
    ],
)
def test_a_document_type_declaration_is_refused_whatever_it_declares(doctype: bytes) -> None:
    assert refused(b'<?xml version="1.0"?>' + doctype + b"<Box><Name>x</Name></Box>") == "MalformedXML"


def test_what_s3_knows_and_the_gateway_does_not_offer_is_not_implemented() -> None:
    assert refused(b"<Box><Future/></Box>") == "NotImplemented"


def test_comments_and_processing_instructions_are_passed_over() -> None:
    assert Box.parse(b"<!-- a --><Box><?php b ?><Name>a<!-- c -->b</Name></Box>") == Box(name="ab")


def test_an_encoding_that_the_document_claims_does_not_change_how_it_is_read() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?><Box><Name>\u00e9</Name></Box>'
    assert Box.parse(body.encode()).name == "\u00e9"


def test_the_root_is_compared_by_name() -> None:
    assert read(b"<Box/>", "Box").tag == "Box"
