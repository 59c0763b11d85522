"""Documents of DeleteObjects."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.xml.deletion import Delete, Outcome, Target, delete_result


def refused(body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        Delete.parse(body)
    return caught.value.code


def keys(number: int) -> bytes:
    return b"<Delete>" + b"".join(b"<Object><Key>%d</Key></Object>" % i for i in range(number)) + b"</Delete>"


def test_objects_are_read_with_all_that_is_said_of_them() -> None:
    body = (
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b'<Object><Key> a b&amp; </Key><VersionId>null</VersionId><ETag>"e"</ETag></Object>'
        b"<Object><Key>c</Key><Size>3</Size></Object><Quiet>true</Quiet></Delete>"
    )
    assert Delete.parse(body) == Delete(
        [Target(" a b& ", "null", '"e"'), Target("c", directory_conditions=True)], quiet=True
    )


def test_a_thousand_keys_are_read_and_one_more_is_refused() -> None:
    assert len(Delete.parse(keys(1000)).targets) == 1000
    assert refused(keys(1001)) == "MalformedXML"


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete/>",
        b"<Delete><Quiet>true</Quiet></Delete>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Object><Name>a</Name></Object></Delete>",
        b"<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
        b"<Delete><Object><Key>a</Key></Object><Other/></Delete>",
    ],
)
def test_what_is_not_such_a_document_is_malformed(body: bytes) -> None:
    assert refused(body) == "MalformedXML"


def test_the_result_names_what_was_deleted_and_what_was_not() -> None:
    outcomes = [Outcome(Target("a")), Outcome(Target("b<", "null"), error=S3Error("AccessDenied"))]
    document = delete_result(outcomes, quiet=False)
    assert b"<Deleted><Key>a</Key></Deleted>" in document
    assert (
        b"<Error><Key>b&lt;</Key><VersionId>null</VersionId><Code>AccessDenied</Code><Message>Access Denied</Message>"
        b"</Error>"
    ) in document


def test_a_quiet_result_names_failures_only() -> None:
    document = delete_result([Outcome(Target("a")), Outcome(Target("b"), error=S3Error("AccessDenied"))], quiet=True)
    assert b"Deleted" not in document
    assert b"<Key>b</Key>" in document


def test_the_delete_marker_that_was_made_or_removed_is_told() -> None:
    document = delete_result([Outcome(Target("a"), "m"), Outcome(Target("b", "v"), "v")], quiet=False)
    assert b"<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m<" in document
    assert b"<Deleted><Key>b</Key><VersionId>v</VersionId><DeleteMarker>true</DeleteMarker>" in document
