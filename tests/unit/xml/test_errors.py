"""The error document."""

from __future__ import annotations

from s3gate.core.errors import S3Error
from s3gate.xml.errors import render_error
from support.operations import tree


def test_an_error_tells_its_code_message_fields_and_request_in_no_namespace() -> None:
    error = S3Error("NoSuchKey", Key="a<b")
    root = tree(render_error(error, "/bucket/a%3Cb", "REQ", "HOST"))
    assert b"xmlns" not in render_error(error, "/", "", "")
    assert [(node.tag, node.text) for node in root] == [
        ("Code", "NoSuchKey"),
        ("Message", "The specified key does not exist."),
        ("Key", "a<b"),
        ("Resource", "/bucket/a%3Cb"),
        ("RequestId", "REQ"),
        ("HostId", "HOST"),
    ]


def test_a_message_with_markup_stays_text() -> None:
    assert tree(render_error(S3Error("InvalidArgument", "<x>&"), "/", "", "")).findtext("Message") == "<x>&"


def test_an_error_about_a_key_that_xml_cannot_hold_is_well_formed() -> None:
    rendered = render_error(S3Error("NoSuchKey", Key="tab\x01\x0b\ufffe"), "/b/tab%01", "R", "H")

    assert tree(rendered).findtext("Key") == "tab\ufffd\ufffd\ufffd"
