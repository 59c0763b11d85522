"""XML that is not what an operation takes: refused, bounded, and without effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.files import MIB
from support.gateway import Gateway
from support.memory import memory_of
from support.processes import workers
from support.raw_http import Answer, Connection, Request, ask, refusal
from support.signed import UNSIGNED, signed
from support.snapshot import unchanged

MALFORMED = (400, "MalformedXML")
OPERATIONS = {
    "CreateBucket": ("CreateBucketConfiguration", b"<LocationConstraint>us-east-1</LocationConstraint>"),
    "DeleteObjects": ("Delete", b"<Object><Key>k</Key></Object>"),
    "CompleteMultipartUpload": ("CompleteMultipartUpload", b"<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>"),
}


class Place:
    """Where a document of each operation goes: a bucket with an object and an upload in it."""

    def __init__(self, gateway: Gateway, s3: Any, bucket: str) -> None:
        self.gateway = gateway
        s3.put_object(Bucket=bucket, Key="k", Body=b"old")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"new")
        self.directory = gateway.root / bucket
        self._targets = {
            "CreateBucket": ("PUT", f"/{bucket}-new"),
            "DeleteObjects": ("POST", f"/{bucket}?delete"),
            "CompleteMultipartUpload": ("POST", f"/{bucket}/k?uploadId={upload}"),
        }

    def request(self, operation: str, body: bytes | None, **arguments: Any) -> Request:
        method, target = self._targets[operation]
        return signed(self.gateway, method, target, body=body, **arguments)

    def send(self, operation: str, body: bytes) -> Answer:
        return ask(self.gateway, self.request(operation, body))


@pytest.fixture
def place(gateway: Gateway, s3: Any, bucket: str) -> Iterator[Place]:
    here = Place(gateway, s3, bucket)
    with unchanged(here.directory):
        yield here


BOMB = b"".join(b'<!ENTITY e%d "%b">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))
ENVELOPES = {
    "no XML": b"this is no XML",
    "half of it": b"<{root}>{inner}",
    "two roots": b"<{root}>{inner}</{root}><{root}/>",
    "tags that cross": b"<{root}><a></{root}></a>",
    "another root": b"<Other>{inner}</Other>",
    "another namespace": b'<{root} xmlns="http://example.com/">{inner}</{root}>',
    "an unknown element": b"<{root}><Surprise/>{inner}</{root}>",
    "text between": b"<{root}>text{inner}</{root}>",
    "a DTD": b"<!DOCTYPE {root}><{root}>{inner}</{root}>",
    "a DTD from elsewhere": b'<!DOCTYPE {root} SYSTEM "http://127.0.0.1:1/evil.dtd"><{root}>{inner}</{root}>',
    "an entity of a file": (
        b'<!DOCTYPE {root} [<!ENTITY x SYSTEM "file:///etc/passwd">]><{root}>{inner}<!-- -->&x;</{root}>'
    ),
    "an entity bomb": b'<!DOCTYPE {root} [<!ENTITY e0 "lol">' + BOMB + b"]><{root}>{inner}&e9;</{root}>",
    "an entity nobody declared": b"<{root}>&nothing;{inner}</{root}>",
    "a byte that is not UTF-8": b"<{root}>{inner}\xff</{root}>",
    "another encoding": '<?xml version="1.0" encoding="UTF-16"?><{root}>{inner}</{root}>'.encode("utf-16"),
    "very deep": b"<{root}>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</{root}>",
    "a null byte": b"<{root}>{inner}\x00</{root}>",
    "a namespace bomb": b"<{root} " + b" ".join(b'xmlns:n%d="u"' % n for n in range(500)) + b"><n1:x/></{root}>",
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_xml_that_is_not_the_document_is_malformed(place: Place, operation: str, envelope: str):
    root, inner = OPERATIONS[operation]
    template = ENVELOPES[envelope]
    if envelope == "another encoding":
        body = template.decode("utf-16").replace("{root}", root).replace("{inner}", inner.decode()).encode("utf-16")
    else:
        body = template.replace(b"{root}", root.encode()).replace(b"{inner}", inner)

    answer = place.send(operation, body)

    assert refusal(answer) == MALFORMED
    assert b"root:" not in answer.body  # of /etc/passwd


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("DeleteObjects", b"<Delete/>"),
        ("DeleteObjects", b"<Delete><Object/></Delete>"),
        ("DeleteObjects", b"<Delete><Object><Key/></Object></Delete>"),
        ("DeleteObjects", b"<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>"),
        ("DeleteObjects", b"<Delete><Object><Key>k<b/></Key></Object></Delete>"),
        ("DeleteObjects", b"<Delete><Quiet>perhaps</Quiet><Object><Key>k</Key></Object></Delete>"),
        ("CompleteMultipartUpload", b"<CompleteMultipartUpload/>"),
        ("CompleteMultipartUpload", b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>"),
        (
            "CompleteMultipartUpload",
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        ),
        (
            "CompleteMultipartUpload",
            b"<CompleteMultipartUpload><Part><ETag>e</ETag></Part></CompleteMultipartUpload>",
        ),
        (
            "CreateBucket",
            b"<CreateBucketConfiguration><LocationConstraint>a</LocationConstraint>"
            b"<LocationConstraint>b</LocationConstraint></CreateBucketConfiguration>",
        ),
    ],
)
def test_a_document_that_lacks_or_repeats_something_is_malformed(place: Place, operation: str, body: bytes):
    assert refusal(place.send(operation, body)) == MALFORMED


@pytest.mark.parametrize("number", ["0", "10001", "-1", "one", ""])
def test_a_part_number_in_a_document_is_one_to_ten_thousand(place: Place, number: str):
    part = f"<Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()

    answer = place.send("CompleteMultipartUpload", body)

    assert answer.status == 400
    assert answer.code in ("InvalidArgument", "MalformedXML")


def test_more_than_ten_thousand_parts_are_malformed(place: Place):
    parts = b"<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>" * 10_001

    answer = place.send("CompleteMultipartUpload", b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % parts)

    assert refusal(answer) == MALFORMED


@pytest.mark.parametrize("operation", ["DeleteObjects", "CompleteMultipartUpload"])
def test_a_missing_document_is_refused(place: Place, operation: str):
    for body in (b"", None):
        answer = ask(place.gateway, place.request(operation, body))
        assert answer.status in (400, 411)
        assert answer.code in ("MalformedXML", "MissingRequestBodyError", "MissingContentLength")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_hundred_megabytes_that_are_announced_are_refused_unread(place: Place, operation: str):
    headers = {"Content-Length": str(100 * MIB)}
    request = place.request(operation, None, headers=headers, content=UNSIGNED)

    with Connection(place.gateway) as connection:
        connection.send(request.head)
        answer = connection.answer()

    assert refusal(answer) == (400, "MaxMessageLengthExceeded")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_hundred_megabytes_that_just_come_are_refused_on_the_way(place: Place, operation: str):
    root, inner = OPERATIONS[operation]
    before = {pid: memory_of(pid)[1] for pid in workers(place.gateway.pid)}
    request = place.request(operation, None, headers={"Transfer-Encoding": "chunked"}, content=UNSIGNED)
    piece = inner * (MIB // len(inner))
    sent = 0
    with Connection(place.gateway) as connection:
        connection.send(request.head, b"%x\r\n<%b>\r\n" % (len(root) + 2, root.encode()))
        try:
            while sent < 100 * MIB:
                connection.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = connection.answer()
        assert connection.ended

    assert refusal(answer) == (400, "MaxMessageLengthExceeded")
    assert sent < 40 * MIB
    assert all(memory_of(pid)[1] - most < 48 * MIB for pid, most in before.items())


def test_a_bucket_is_not_made_by_a_document_that_is_refused(place: Place, gateway: Gateway):
    answer = place.send("CreateBucket", b"<CreateBucketConfiguration><Bucket/></CreateBucketConfiguration>")

    assert answer.status in (400, 501)
    assert not Path(f"{place.directory}-new").exists()
