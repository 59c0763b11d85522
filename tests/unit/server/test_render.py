"""From a result or an error to an HTTP answer."""

from __future__ import annotations

import asyncio

import pytest
from lxml import etree

from s3gate.core.errors import S3Error
from s3gate.operations.result import Content, Result
from s3gate.server import render
from s3gate.server.ids import new_request_id
from s3gate.server.render import Answer, error_answer, late_answer, open_answer
from s3gate.xml.errors import render_error
from s3gate.xml.writer import document, element
from support.sample_operations import Reader

IDS = {"request_id": "0123456789ABCDEF", "host_id": "host"}


def opened(result: Result, *, head: bool = False) -> Answer:
    return asyncio.run(open_answer(result, head=head))


def headers(answer: Answer) -> dict[str, str]:
    return dict(answer.headers)


def test_a_document_goes_out_as_xml_with_its_length() -> None:
    answer = opened(Result(document=b"<A/>"))
    assert (answer.status, answer.body) == (200, b"<A/>")
    assert headers(answer) == {"content-type": "application/xml", "content-length": "4"}


def test_an_answer_without_content_has_a_length_of_zero_and_204_has_none() -> None:
    assert headers(opened(Result())) == {"content-length": "0"}
    assert headers(opened(Result(204))) == {}


def test_a_head_keeps_the_length_its_handler_gave_and_has_no_body() -> None:
    answer = opened(Result(headers={"content-length": "5000"}), head=True)
    assert (headers(answer), answer.body) == ({"content-length": "5000"}, b"")


def test_a_small_object_is_read_at_once_and_its_reader_closed() -> None:
    reader = Reader(1000)
    answer = opened(Result(content=Content(reader, 0, 1000)))
    assert (len(answer.body), answer.rest, reader.closed, reader.chunks_given) == (1000, None, 1, 0)
    assert headers(answer)["content-length"] == "1000"


def test_a_large_object_is_opened_with_its_first_chunk_only() -> None:
    reader = Reader(1 << 20)

    async def run() -> None:
        answer = await open_answer(Result(content=Content(reader, 0, 1 << 20)), head=False)
        assert (len(answer.body), reader.chunks_given, reader.closed) == (reader.chunk, 1, 0)

    asyncio.run(run())


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_an_object_that_cannot_be_read_is_still_an_error_and_its_reader_closed(size: int) -> None:
    reader = Reader(size, fails_at=0)
    with pytest.raises(S3Error):
        opened(Result(content=Content(reader, 0, size)))
    assert reader.closed == 1


def test_control_characters_never_reach_a_header() -> None:
    assert headers(opened(Result(headers={"x-a": "a\r\nset-cookie: b\0"})))["x-a"] == "a  set-cookie: b "


def test_header_values_beyond_ascii_are_utf8() -> None:
    assert headers(opened(Result(headers={"x-a": "grün€"})))["x-a"].encode("latin-1").decode() == "grün€"


def test_an_error_document_has_the_fields_of_its_code_and_the_ids() -> None:
    answer = error_answer(S3Error("NoSuchKey", Key="a<b>&"), resource="/b/a%3Cb", head=False, **IDS)
    root = etree.fromstring(answer.body)
    assert [(child.tag, child.text) for child in root] == [
        ("Code", "NoSuchKey"),
        ("Message", "The specified key does not exist."),
        ("Key", "a<b>&"),
        ("Resource", "/b/a%3Cb"),
        ("RequestId", "0123456789ABCDEF"),
        ("HostId", "host"),
    ]
    assert answer.status == 404
    assert headers(answer) == {"content-type": "application/xml", "content-length": str(len(answer.body))}


def test_an_error_answers_head_without_a_body() -> None:
    answer = error_answer(S3Error("NoSuchKey"), resource="/", head=True, **IDS)
    assert (answer.status, answer.body) == (404, b"")
    assert ("x-minio-error-code", "NoSuchKey") in answer.headers
    assert ("x-minio-error-desc", '"The specified key does not exist."') in answer.headers


def test_not_modified_has_its_headers_and_no_body() -> None:
    answer = error_answer(S3Error("NotModified", headers={"etag": '"e"'}), resource="/", head=False, **IDS)
    assert (answer.status, answer.body, headers(answer)) == (304, b"", {"etag": '"e"'})


def test_request_ids_are_16_hexadecimal_digits_and_differ() -> None:
    ids = {new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(item) == 16 and int(item, 16) >= 0 and item == item.upper() for item in ids)


@pytest.mark.parametrize("fails", [False, True])
def test_a_late_document_keeps_the_client_waiting_with_white_space(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent is one well-formed document: declaration, white space, then the answer or the error."""
    monkeypatch.setattr(render, "_KEEP_ALIVE_SECONDS", 0.01)

    async def run() -> tuple[Answer, list[bytes]]:
        gate = asyncio.Event()

        async def work() -> bytes:
            await gate.wait()
            if fails:
                raise S3Error("InvalidPart")
            return document("Result", element("ETag", "x"))

        def fault(error: Exception) -> bytes:
            assert isinstance(error, S3Error)
            return render_error(error, "/", "R", "H")

        answer = late_answer(Result(late=work()), fault=fault)
        pieces = [bytes(answer.body)]
        assert answer.rest is not None
        async for piece in answer.rest:
            pieces.append(bytes(piece))
            if len(pieces) == 4:
                gate.set()
        return answer, pieces

    answer, pieces = asyncio.run(run())

    assert answer.status == 200
    assert "content-length" not in headers(answer)
    assert pieces[1:4] == [b" "] * 3
    root = etree.fromstring(b"".join(pieces))
    assert etree.QName(root).localname == ("Error" if fails else "Result")
