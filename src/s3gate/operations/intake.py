"""Taking in the body of a request: decoded, counted, hashed, and verified before anything is made of it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from hmac import compare_digest

from s3gate.auth.payload import Payload
from s3gate.core.checksums import ALGORITHMS, DEFAULT_ALGORITHM, FULL_OBJECT, Algorithm, Buffer, Checksum
from s3gate.core.errors import S3Error
from s3gate.core.etags import EtagKind
from s3gate.operations.call import Call
from s3gate.operations.digests import Digests
from s3gate.operations.integrity import Declared, check_value
from s3gate.operations.overlap import Overlap
from s3gate.storage.backend import Beside, Stage

__all__ = ["MAX_PUT_BYTES", "Intake", "object_intake", "read_document", "receive"]

# "Amazon S3 multipart upload limits" and PutObject: 5 GiB for one PUT and for one part.
MAX_PUT_BYTES = 5 << 30
# A batch below this is all there is for now: what would be gained by handling it beside the next is less than it costs.
_LARGE_BATCH = 1 << 20


def _entity_too_large(size: int, limit: int) -> S3Error:
    return S3Error("EntityTooLarge", ProposedSize=size, MaxSizeAllowed=limit)


def _message_too_long(_size: int, limit: int) -> S3Error:
    return S3Error("MaxMessageLengthExceeded", MaxMessageLengthBytes=limit)


class Intake:
    """A body on its way in: a `storage.backend.Through` that decodes, and `verify` for when it has ended.

    Made before the body is asked for, it refuses what the headers alone show to be too large. Not bound to a thread:
    the store runs it where it writes, one call at a time. `quick` and `beside` do the same between them.
    """

    __slots__ = ("_declared", "_decoder", "_digests", "_limit", "_too_large", "algorithm", "expected")

    def __init__(
        self,
        payload: Payload,
        declared: Declared,
        *,
        stored: Algorithm | None,
        etag: EtagKind | None,
        limit: int,
        too_large: Callable[[int, int], S3Error] = _entity_too_large,
    ) -> None:
        """`stored` is the checksum to keep whatever the client declared, None for none but that; `etag` its kind."""
        self.expected = payload.decoded_length
        if self.expected is not None and self.expected > limit:
            raise too_large(self.expected, limit)
        self._limit = limit
        self._too_large = too_large
        self._declared = declared
        self._decoder = payload.new_decoder()
        self.algorithm = stored
        self._digests = Digests((declared.algorithm, stored), etag=etag, md5=declared.content_md5 is not None)

    def __call__(self, pieces: list[Buffer]) -> list[Buffer]:
        """Decode the next pieces of the body; raises S3Error at the first byte that is wrong or too many."""
        decoded = self.quick(pieces)
        self._digests.slow(decoded)
        return decoded

    def quick(self, pieces: list[Buffer]) -> list[Buffer]:
        """The same but for the slowest digest, which `beside` takes in."""
        decoded: list[Buffer] = []
        for piece in pieces:
            decoded += self._decoder.feed(piece)
        size = self._digests.size + sum(map(len, decoded))
        if size > self._limit:
            raise self._too_large(size, self._limit)
        if self.expected is not None and size > self.expected:
            raise self._incomplete(size)
        self._digests.quick(decoded)
        return decoded

    @property
    def beside(self) -> Beside | None:
        """The slowest digest, if there is one worth a thread of its own: takes what `quick` gave, in the same order."""
        return self._digests.slow if self._digests.has_slow else None

    def verify(self) -> None:
        """The body has ended: raise S3Error unless it is whole and is what the request declared."""
        trailers = self._decoder.finish()
        if self.expected is not None and self._digests.size != self.expected:
            raise self._incomplete(self._digests.size)
        declared = self._declared
        if declared.content_md5 is not None:
            self._verify_md5(declared.content_md5)
        if declared.algorithm is not None:
            self._verify_checksum(declared.algorithm, trailers)

    def _incomplete(self, size: int) -> S3Error:
        return S3Error("IncompleteBody", NumberBytesExpected=self.expected, NumberBytesProvided=size)

    def _verify_md5(self, declared: bytes) -> None:
        if not compare_digest(declared, self._digests.md5):
            raise S3Error(
                "BadDigest",
                ExpectedDigest=base64.b64encode(declared).decode(),
                CalculatedDigest=base64.b64encode(self._digests.md5).decode(),
            )

    def _verify_checksum(self, algorithm: Algorithm, trailers: Mapping[str, str]) -> None:
        value = self._declared.value
        if value is None:
            value = trailers.get(algorithm.header)
            if value is None:
                raise S3Error("MalformedTrailerError")
            check_value(algorithm, value)
        computed = self._digests.checksum(algorithm)
        # Compared as bytes: base64 may write the same digest in more than one way.
        if not compare_digest(base64.b64decode(value), base64.b64decode(computed.value)):
            raise S3Error("BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum.")

    @property
    def named(self) -> Algorithm | None:
        """The algorithm that the client names, with a checksum or without."""
        return self._declared.algorithm or self._declared.wanted

    @property
    def declared_checksum(self) -> Checksum | None:
        """The checksum that the client sent along, once it is verified."""
        algorithm = self._declared.algorithm
        return None if algorithm is None else self._digests.checksum(algorithm)

    @property
    def size(self) -> int:
        """Bytes so far, decoded."""
        return self._digests.size

    @property
    def etag(self) -> str:
        """The ETag, of the kind that was asked for."""
        return self._digests.etag

    @property
    def checksum(self) -> Checksum | None:
        """The checksum to store."""
        return None if self.algorithm is None else self._digests.checksum(self.algorithm)


def object_intake(call: Call, *, stored: Algorithm | None = None, kind: str = FULL_OBJECT) -> Intake:
    """The intake of PutObject and UploadPart; all that their headers say is checked here.

    The checksum that is stored is `stored`, or else the one that the client chose, or else CRC64NVME; its type is
    `kind`.
    """
    declared = Declared.of(call.wire, call.payload.trailers)
    if declared.kind not in (None, kind):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    payload = call.payload
    if payload.decoded_length is None and "transfer-encoding" not in call.wire.headers:
        raise S3Error("MissingContentLength")  # nobody could tell where it ends
    kept = stored or declared.algorithm or declared.wanted or ALGORITHMS[DEFAULT_ALGORITHM]
    return Intake(payload, declared, stored=kept, etag=call.etag_kind, limit=MAX_PUT_BYTES)


async def receive(call: Call, stage: Stage, intake: Intake) -> None:
    """Take the whole body into `stage` and verify it; nothing may be committed before this has returned."""
    if call.rules.overlap_uploads and (intake.expected is None or intake.expected >= _LARGE_BATCH):
        await _receive_overlapping(call, stage, intake)
    else:
        while batch := await call.body.batch():
            await stage.write(batch, intake)
    intake.verify()


async def _receive_overlapping(call: Call, stage: Stage, intake: Intake) -> None:
    """Go on receiving while what has come is decoded, written and hashed."""
    async with Overlap(call.rules.batches_ahead) as overlap:
        while batch := await call.body.batch():
            if overlap.is_idle and sum(map(len, batch)) < _LARGE_BATCH:
                await stage.write(batch, intake)
            else:
                await overlap.begin(stage.write(batch, intake.quick, intake.beside))


async def read_document(call: Call, limit: int, *, checksums: bool = True) -> bytes:
    """The whole body in memory, verified like that of an object; MaxMessageLengthExceeded beyond `limit` bytes.

    `checksums` is false for CompleteMultipartUpload, whose x-amz-checksum-* headers speak of the object.
    """
    declared = Declared.of(call.wire, call.payload.trailers, headers_of_body=checksums)
    intake = Intake(call.payload, declared, stored=None, etag=None, limit=limit, too_large=_message_too_long)
    parts: list[Buffer] = []
    while batch := await call.body.batch():
        parts += intake(batch)
    intake.verify()
    return b"".join(parts)
