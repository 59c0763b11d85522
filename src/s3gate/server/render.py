"""A `Result` or an `S3Error` as an HTTP answer, and its way to the client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.operations.binding import header_bytes
from s3gate.operations.result import Content, Result
from s3gate.server.body import Receive, RequestBody
from s3gate.server.cycle import FILE, TAKEN, WHOLE
from s3gate.storage.backend import ObjectReader
from s3gate.telemetry.served import Served
from s3gate.xml.errors import render_error
from s3gate.xml.writer import DECLARATION

__all__ = ["SERVER", "Answer", "Send", "error_answer", "late_answer", "open_answer", "send_answer", "send_at_once"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[str, str]]  # what can be sent as Latin-1, without control characters

SERVER = "s3gate"
_XML = ("content-type", "application/xml")
# Up to this many bytes an object is read at once and sent in one piece.
_ONE_PIECE = 256 << 10
_BODILESS = (204, 304)
# How often a client that waits for a late document hears that the work goes on.
_KEEP_ALIVE_SECONDS = 10.0
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


class Answer(msgspec.Struct, frozen=True):
    """An answer that can be sent: its first bytes are at hand, `rest` is what follows, `reader` is to be closed.

    With `file` the body is that range of an object, which the HTTP server takes from its file.
    """

    status: int
    headers: Headers
    body: Buffer = b""
    rest: AsyncIterator[Buffer] | None = None
    reader: ObjectReader | None = None
    file: Content | None = None


def late_answer(result: Result, *, fault: Callable[[Exception], bytes]) -> Answer:
    """The answer of a request whose document takes long: it begins at once.

    `fault` makes the document of an error, which comes too late for a status of its own.
    """
    if result.late is None:
        raise ValueError("this result is not late")
    rest = _late_document(asyncio.ensure_future(result.late), fault)
    return Answer(result.status, [*_sendable(result.headers), _XML], DECLARATION.encode(), rest)


async def open_answer(result: Result, *, head: bool, zero_copy: bool = False) -> Answer:
    """The answer to a request that went well. What fails here can still be told as an error.

    `head`: the request was a HEAD, whose handler gives the content-length that a GET would have. `zero_copy`: the HTTP
    server can send from files.
    """
    headers, content, status = _sendable(result.headers), result.content, result.status
    document = result.document or b""
    if "content-length" not in result.headers and status not in _BODILESS:
        headers.append(("content-length", str(len(document) if content is None else content.length)))
    if content is None:
        if result.document is not None:
            headers.append(_XML)
        return Answer(status, headers, b"" if head or status in _BODILESS else document)
    reader, start, length = content.reader, content.start, content.length
    try:
        if head or not length:
            body: Buffer = b""
        elif length <= _ONE_PIECE:
            body = await reader.read(start, length)
        elif zero_copy and reader.file is not None:
            reader.require_unchanged()
            return Answer(status, headers, reader=reader, file=content)
        else:
            rest = reader.chunks(start, length)
            return Answer(status, headers, await anext(rest), rest, reader)
    except BaseException:
        await reader.close()
        raise
    await reader.close()
    return Answer(status, headers, body)


async def _late_document(work: asyncio.Future[bytes], fault: Callable[[Exception], bytes]) -> AsyncIterator[Buffer]:
    """White space while the work goes on, then its document; the declaration, which must come first, is sent already.

    "Amazon S3 periodically sends white space characters to keep the connection from timing out" and may "send a 200 OK
    response that contains an error" (CompleteMultipartUpload).
    """
    while not (await asyncio.wait([work], timeout=_KEEP_ALIVE_SECONDS))[0]:
        yield b" "
    try:
        document = work.result()
    except Exception as error:
        document = fault(error)
    yield document.removeprefix(DECLARATION.encode())


def _sendable(headers: Mapping[str, str]) -> Headers:
    """Headers as they can be sent: text of one character a byte.

    RFC 9110 section 5.5: a control character in a field value is replaced by a space.
    """
    text = "".join([*headers, *headers.values()])
    if text.isascii() and text.isprintable():
        return [*headers.items()]
    return [(name.encode().decode("latin-1"), _field_value(value)) for name, value in headers.items()]


def _field_value(value: str) -> str:
    return header_bytes(_CONTROLS.sub(" ", value)).decode("latin-1")


def error_answer(error: S3Error, *, resource: str, request_id: str, host_id: str, head: bool) -> Answer:
    """The answer to a request that failed: the error document, or headers alone for HEAD and 304.

    `resource` is the path as it was sent.
    """
    headers = _sendable(error.headers)
    if error.status == 304:
        return Answer(error.status, headers)
    if head:  # MinIO's clients look here for what a HEAD has no document for, and take every 403 for one else
        headers += _sendable({"x-minio-error-code": error.code, "x-minio-error-desc": f'"{error.message}"'})
    document = render_error(error, resource, request_id, host_id)
    headers += [_XML, ("content-length", str(len(document)))]
    return Answer(error.status, headers, b"" if head else document)


async def send_answer(answer: Answer, *, body: RequestBody, receive: Receive, send: Send, served: Served) -> None:
    """Send an answer and let go of its reader, also when the client is gone or the task is cancelled.

    `served` is told how much of the body was sent. An answer that is all at hand goes by one message where the HTTP
    server takes it so.
    """
    closes = body.ends_connection
    at_hand = not closes and answer.reader is None and answer.rest is None
    if at_hand and WHOLE in served.scope.get("extensions", ()):
        message: Message = {"type": WHOLE, "status": answer.status, "head": _lines(answer, served), "body": answer.body}
        await send(message)
        served.sent = message.get(TAKEN, len(answer.body))
        return
    try:
        if answer.file is not None:
            await _send_file(answer, answer.file, more=closes, send=send, served=served)
        else:
            await send(_start(answer, served, closes))
            if answer.rest is not None:
                await _send_rest(answer.body, answer.rest, more=closes, receive=receive, send=send, served=served)
            else:
                await _send_piece(answer.body, more=closes, send=send, served=served)
        if closes:
            await body.discard()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        if answer.reader is not None:
            await answer.reader.close()


async def _send_piece(piece: Buffer, *, more: bool, send: Send, served: Served) -> None:
    message: Message = {"type": "http.response.body", "body": piece, "more_body": more}
    await send(message)
    served.sent = message.get(TAKEN, served.sent + len(piece))


async def send_at_once(answer: Answer, *, send: Send, served: Served) -> None:
    """Send an answer that is all at hand, and end the connection whatever the client is still sending."""
    await send(_start(answer, served, closes=True))
    await _send_piece(answer.body, more=False, send=send, served=served)


def _framed(answer: Answer, served: Served) -> Headers:
    """The headers of an answer with those that every answer has; the HTTP server adds Date."""
    common = ("x-amz-request-id", served.request_id), ("x-amz-id-2", served.host_id), ("server", SERVER)
    return [*answer.headers, *common]


def _lines(answer: Answer, served: Served) -> bytes:
    """The same as lines."""
    return "".join([f"{name}: {value}\r\n" for name, value in _framed(answer, served)]).encode("latin-1")


def _start(answer: Answer, served: Served, closes: bool) -> Message:
    """The message by which an answer begins."""
    headers = _framed(answer, served)
    if closes:
        headers.append(("connection", "close"))
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": answer.status, "headers": encoded}


async def _send_file(answer: Answer, content: Content, *, more: bool, send: Send, served: Served) -> None:
    """Have the HTTP server send an object from its file; the last bytes stay back if another program changed it."""
    reader = content.reader
    message: Message = {
        "type": FILE, "status": answer.status, "head": _lines(answer, served),
        "file": reader.file, "offset": content.start, "count": content.length, "check": reader.require_unchanged,
        "more_body": more,
    }  # fmt: skip
    try:
        await send(message)
    finally:
        served.sent = message.get(TAKEN, served.sent)


async def _send_rest(
    first: Buffer, rest: AsyncIterator[Buffer], *, more: bool, receive: Receive, send: Send, served: Served
) -> None:
    """Send an object piece by piece; stop reading it when the client is gone, for sending says nothing of that."""
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await _send_piece(first, more=True, send=send, served=served)
        async for piece in rest:
            if gone.done():
                return
            await _send_piece(piece, more=True, send=send, served=served)
        await _send_piece(b"", more=more, send=send, served=served)
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
