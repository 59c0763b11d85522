"""Bodies as they come over the wire, decoded as they are pushed: plain ones and aws-chunked ones.

Sources: "Transferring Payload in Multiple Chunks (Chunked Upload)" and "Including Trailing Headers" of the Amazon S3
API reference (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html).
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Mapping

from s3gate.auth.signing_key import Seed
from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error

__all__ = ["MAX_CHUNK_HEADER", "MAX_TRAILERS", "ChunkedDecoder", "PlainDecoder"]

MAX_CHUNK_HEADER = 1024  # bytes
MAX_TRAILERS = 16 * 1024  # bytes, all lines together

_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_SIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,15});chunk-signature=([0-9a-f]{64})\r\n")
_UNSIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
_TRAILER_SIGNATURE = "x-amz-trailer-signature"
# The first is the rule, and what the AWS SDKs sign; the second is what the example on the page of trailing headers was
# in truth signed with. It cannot be mistaken for the string of a chunk, which has a line more.
_TRAILER_KINDS = ("AWS4-HMAC-SHA256-TRAILER", "AWS4-HMAC-SHA256-PAYLOAD")
_CRLF = b"\r\n"


def _unexpected() -> S3Error:
    return S3Error("IncompleteBody", "The request body terminated unexpectedly")


class PlainDecoder:
    """A body that is the object itself, of a known length or of a known SHA-256, or of neither."""

    __slots__ = ("_hash", "_length", "_seen", "_sha256")

    def __init__(self, length: int | None, sha256: str = "") -> None:
        self._length = length
        self._sha256 = sha256
        self._hash = hashlib.sha256() if sha256 else None
        self._seen = 0

    def feed(self, data: Buffer) -> list[Buffer]:
        """Hand the bytes on as they are."""
        self._seen += len(data)
        if self._length is not None and self._seen > self._length:
            raise S3Error("IncompleteBody")
        if self._hash is not None:
            self._hash.update(data)
        return [data]

    def finish(self) -> Mapping[str, str]:
        """Compare length and SHA-256; there are no trailing headers."""
        if self._length is not None and self._seen != self._length:
            raise S3Error("IncompleteBody")
        if self._hash is not None and not hmac.compare_digest(self._hash.hexdigest(), self._sha256):
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                ClientComputedContentSHA256=self._sha256,
                S3ComputedContentSHA256=self._hash.hexdigest(),
            )
        return {}


class _Next(enum.Enum):
    """What the next line of an aws-chunked body is."""

    CHUNK_HEADER = enum.auto()
    CHUNK_END = enum.auto()
    TRAILER = enum.auto()
    LAST_LINE = enum.auto()
    NOTHING = enum.auto()


class _TrailerSection:
    """The trailing headers of a body, line by line up to the blank line that ends them.

    The Go client of MinIO ends each with a bare line feed, and has a blank line more than the others: before the
    signature of signed trailers, behind the end of unsigned ones. Both are read.
    """

    def __init__(self, announced: frozenset[str], seed: Seed | None, *, signed: bool) -> None:
        self._announced = announced
        self._seed = seed
        self._gap = False
        self._has_signature = signed
        self._verified = not signed
        self.found: dict[str, str] = {}

    def take(self, line: bytes, previous: str) -> bool:
        """Take a line in; True when it ends the section. `previous` is the signature of the last chunk."""
        text = line.decode("latin-1").removesuffix("\n").removesuffix("\r")
        if not text:
            return self._take_blank_line()
        name, colon, value = text.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not self._verified and name == _TRAILER_SIGNATURE:
            self._check(value, previous)
        elif not colon or name not in self._announced or name in self.found or self._gap or self._signed:
            raise S3Error("MalformedTrailerError")
        else:
            self.found[name] = value
        return False

    @property
    def _signed(self) -> bool:
        return self._has_signature and self._verified

    def _take_blank_line(self) -> bool:
        if self._verified:
            return True
        if self._gap:
            raise S3Error("MalformedTrailerError")
        self._gap = True
        return False

    def _check(self, provided: str, previous: str) -> None:
        seed = self._seed
        if seed is None:
            self._verified = True
            return
        lines = "".join([f"{name}:{self.found[name]}\n" for name in sorted(self.found)]).encode("latin-1")
        rest = "\n".join((seed.timestamp, seed.scope, previous, hashlib.sha256(lines).hexdigest()))
        for kind in _TRAILER_KINDS:
            signature = seed.key.sign(f"{kind}\n{rest}".encode("latin-1"))
            if hmac.compare_digest(signature.encode(), provided.encode()):
                self._verified = True
                return
        raise S3Error("SignatureDoesNotMatch")


class ChunkedDecoder:
    """An aws-chunked body.

    Args:
        decoded_length: the bytes of the object (x-amz-decoded-content-length).
        seed: what the chunk signatures follow from, or None when chunks are not signed.
        unverified: chunks are signed, by whomever; without `seed` the signatures are read over.
        trailers: the names announced in x-amz-trailer, or None when the body ends without trailing headers.

    The data of a chunk is handed on before its signature can be known; `feed` raises at the end of a chunk whose
    signature is wrong, and nothing counts before `finish` has returned.
    """

    def __init__(
        self,
        decoded_length: int,
        *,
        seed: Seed | None = None,
        unverified: bool = False,
        trailers: frozenset[str] | None = None,
    ) -> None:
        signed = unverified or seed is not None
        self._length = decoded_length
        self._seed = seed
        self._trailers = None if trailers is None else _TrailerSection(trailers, seed, signed=signed)
        self._announced = trailers or frozenset()
        self._header = _SIGNED_HEADER if signed else _UNSIGNED_HEADER
        self._signed = signed
        self._next = _Next.CHUNK_HEADER
        self._line = bytearray()
        self._room = MAX_CHUNK_HEADER  # bytes that the line, or the trailer section, may still have
        self._seen = 0  # bytes of the object in all chunks so far
        self._left = 0  # bytes of this chunk still to come
        self._signature = b""  # of this chunk, as sent
        self._previous = "" if seed is None else seed.signature
        self._hash = hashlib.sha256()

    def feed(self, data: Buffer) -> list[Buffer]:
        """Decode the next bytes; the pieces are views of `data`."""
        view = memoryview(data)
        pieces: list[Buffer] = []
        at = 0
        while at < len(view):
            if not self._left:
                at = self._read_line(view, at)
                continue
            piece = view[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            pieces.append(piece)
            if self._seed is not None:
                self._hash.update(piece)
                if not self._left:
                    self._check_chunk(self._seed)
        return pieces

    def finish(self) -> Mapping[str, str]:
        """Raise IncompleteBody or MalformedTrailerError unless the body came whole; gives the trailing headers."""
        if self._next is not _Next.NOTHING or self._line:
            raise _unexpected()
        if self._seen != self._length:
            raise S3Error("IncompleteBody")
        found = {} if self._trailers is None else self._trailers.found
        if found.keys() != self._announced:
            raise S3Error("MalformedTrailerError")
        return found

    def _expect(self, line: _Next, room: int = len(_CRLF)) -> None:
        self._next = line
        self._room = room

    def _read_line(self, view: memoryview, at: int) -> int:
        """Collect a line from `at` on and take it in when it is whole; gives where the next byte is."""
        window = bytes(view[at : at + self._room])
        end = window.find(b"\n") + 1
        if not end and len(window) == self._room:
            raise S3Error("MalformedTrailerError") if self._next is _Next.TRAILER else _unexpected()
        part = window[:end] if end else window
        self._line += part
        self._room -= len(part)
        if end:
            line = bytes(self._line)
            self._line.clear()
            self._take_line(line)
        return at + len(part)

    def _take_line(self, line: bytes) -> None:
        if self._next is _Next.CHUNK_HEADER:
            self._take_chunk_header(line)
        elif self._next is _Next.TRAILER and self._trailers is not None:
            if self._trailers.take(line, self._previous):
                self._expect(_Next.NOTHING, 0 if self._signed else len(_CRLF))
        elif line != _CRLF:
            raise _unexpected()
        elif self._next is _Next.CHUNK_END:
            self._expect(_Next.CHUNK_HEADER, MAX_CHUNK_HEADER)
        else:
            self._expect(_Next.NOTHING, 0)

    def _take_chunk_header(self, line: bytes) -> None:
        header = self._header.fullmatch(line)
        if header is None:
            raise _unexpected()
        self._left = int(header[1], 16)
        self._seen += self._left
        if self._seen > self._length:
            raise S3Error("IncompleteBody")
        if self._seed is not None:
            self._signature = header[2]
            self._hash = hashlib.sha256()
        if self._left:
            self._expect(_Next.CHUNK_END)
            return
        if self._seed is not None:
            self._check_chunk(self._seed)
        if self._trailers is None:
            self._expect(_Next.LAST_LINE)
        else:
            self._expect(_Next.TRAILER, MAX_TRAILERS)

    def _check_chunk(self, seed: Seed) -> None:
        message = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                seed.timestamp,
                seed.scope,
                self._previous,
                _EMPTY_SHA256,
                self._hash.hexdigest(),
            )
        )
        signature = seed.key.sign(message.encode("latin-1"))
        if not hmac.compare_digest(signature.encode(), self._signature):
            raise S3Error("SignatureDoesNotMatch")
        self._previous = signature
