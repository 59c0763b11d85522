"""Taking in bodies: decoded, counted, hashed, verified."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import Mapping
from functools import partial

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from s3gate.auth.chunked import PlainDecoder
from s3gate.auth.payload import Payload
from s3gate.core.checksums import ALGORITHMS, Algorithm, Buffer
from s3gate.core.errors import S3Error
from s3gate.core.etags import EtagKind
from s3gate.core.wire import Wire
from s3gate.operations.call import Call, Rules
from s3gate.operations.intake import MAX_PUT_BYTES, Intake, object_intake, read_document, receive
from s3gate.storage.backend import Beside, ObjectReader, Through
from s3gate.storage.memory import MemoryBackend
from support.operations import ALICE, BodyOf, call_of

MIB = 1 << 20
DATA = b"The quick brown fox"


class Trailing:
    """A decoder that takes every `|` out and ends with trailers."""

    def __init__(self, trailers: Mapping[str, str]) -> None:
        self.trailers = trailers

    def feed(self, data: Buffer) -> list[Buffer]:
        return list(bytes(data).split(b"|"))

    def finish(self) -> Mapping[str, str]:
        return self.trailers


def value(algorithm: Algorithm, data: bytes) -> str:
    digest = algorithm.new()
    digest.update(data)
    return base64.b64encode(digest.digest()).decode()


def call(data: bytes = DATA, *, payload: Payload | None = None, rules: Rules | None = None, **headers: str) -> Call:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    if payload is None:
        payload = Payload(partial(PlainDecoder, None, ""), len(data))
    body = BodyOf(data, batch=5)
    return call_of(Wire("PUT", "/b/k", "", named), body, storage=MemoryBackend(), payload=payload, rules=rules)


def taken(call: Call, intake: Intake) -> bytes:
    async def run() -> bytes:
        pieces: list[Buffer] = []

        class Stage:
            size = 0

            async def write(self, batch: list[Buffer], through: Through, beside: Beside | None = None) -> None:
                decoded = through(batch)
                pieces.extend(decoded)
                if beside is not None:
                    beside(decoded)

            async def copy(self, source: object, start: int, length: int) -> None:
                raise NotImplementedError

        await receive(call, Stage(), intake)
        return b"".join(pieces)

    return asyncio.run(run())


def refusal(call: Call) -> S3Error:
    with pytest.raises(S3Error) as caught:
        taken(call, object_intake(call))
    return caught.value


def test_a_body_comes_out_as_it_is_with_its_md5_and_a_default_checksum() -> None:
    request = call()
    intake = object_intake(request)
    assert taken(request, intake) == DATA
    assert (intake.size, intake.etag) == (len(DATA), hashlib.md5(DATA).hexdigest())
    assert intake.checksum is not None
    assert (intake.checksum.algorithm, intake.checksum.value) == ("CRC64NVME", value(ALGORITHMS["CRC64NVME"], DATA))


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
def test_every_algorithm_is_verified_in_a_header_and_is_the_one_that_is_kept(algorithm: Algorithm) -> None:
    request = call(**{algorithm.header: value(algorithm, DATA)})
    intake = object_intake(request)
    taken(request, intake)
    assert intake.checksum is not None
    assert intake.checksum.value == value(algorithm, DATA)
    error = refusal(call(**{algorithm.header: value(algorithm, b"other")}))
    assert error.code == "BadDigest"
    assert error.message == f"The {algorithm.name} you specified did not match the calculated checksum."


def test_content_md5_is_verified() -> None:
    good = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    bad = base64.b64encode(hashlib.md5(b"").digest()).decode()
    request = call(content_md5=good)
    assert taken(request, object_intake(request)) == DATA
    assert refusal(call(content_md5=bad)).code == "BadDigest"


@pytest.mark.parametrize("kind", ["xxhash", "none"])
def test_content_md5_is_verified_where_the_entity_tag_is_none(kind: EtagKind) -> None:
    request = call(rules=Rules(checksum_type=kind), content_md5=base64.b64encode(hashlib.md5(b"").digest()).decode())
    assert refusal(request).code == "BadDigest"


def test_an_entity_tag_by_xxhash_needs_no_md5() -> None:
    request = call(rules=Rules(checksum_type="xxhash"))
    intake = object_intake(request)
    taken(request, intake)
    assert intake.etag == xxhash.xxh3_128_hexdigest(DATA) + "-x1"
    assert intake.beside is None


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_a_large_body_is_received_while_it_is_stored_and_comes_out_in_order(ahead: int) -> None:
    """Each digest takes in every batch once and in order, whatever the store runs at the same time."""
    data = random.Random(1).randbytes(5 * MIB + 1)
    batches = [[data[at : at + MIB]] for at in range(0, len(data), MIB)]
    steps = asyncio.Lock(), asyncio.Lock()
    stored: list[bytes] = []
    most = 0

    class Body:
        coming = iter(batches)

        async def batch(self) -> list[Buffer]:
            await asyncio.sleep(0.001)
            return list(next(self.coming, []))

    class Stage:
        size = 0

        async def write(self, batch: list[Buffer], through: Through, beside: Beside | None = None) -> None:
            nonlocal most
            self.size += 1
            most = max(most, self.size)
            async with steps[0]:
                decoded = through(batch)
                stored.extend(bytes(piece) for piece in decoded)
                await asyncio.sleep(0.005)
            if beside is not None:
                async with steps[1]:
                    await asyncio.sleep(0.005)
                    beside(decoded)
            self.size -= 1

        async def copy(self, source: ObjectReader, start: int, length: int) -> None:
            raise NotImplementedError

    payload = Payload(partial(PlainDecoder, None, ""), len(data))
    rules = Rules(batches_ahead=ahead)
    request = call_of(Wire("PUT", "/b/k", "", {}), Body(), storage=MemoryBackend(), payload=payload, rules=rules)
    intake = object_intake(request)
    asyncio.run(receive(request, Stage(), intake))

    assert b"".join(stored) == data
    assert intake.etag == hashlib.md5(data).hexdigest()
    assert max(ahead, 1) <= most <= ahead + 1


@pytest.mark.parametrize("overlap", [False, True])
def test_a_batch_that_is_refused_ends_the_intake_though_the_client_sends_no_more(overlap: bool) -> None:
    class Body:
        asked = 0

        async def batch(self) -> list[Buffer]:
            self.asked += 1
            if self.asked > 2:
                await asyncio.Event().wait()
            return [b"x" * MIB]

    payload = Payload(partial(PlainDecoder, MIB, ""), MIB)
    rules = Rules(overlap_uploads=overlap)
    wire = Wire("PUT", "/b/k", "", {})
    request = call_of(wire, Body(), storage=MemoryBackend(), payload=payload, rules=rules)

    async def run() -> None:
        bucket = await request.storage.create_bucket("b", ALICE, "us-east-1")
        async with request.storage.stage(bucket) as stage:
            await receive(request, stage, object_intake(request))

    with pytest.raises(S3Error) as caught:
        asyncio.run(run())
    assert caught.value.code == "IncompleteBody"


def trailed(trailers: Mapping[str, str], *announced: str) -> Call:
    data = b"|".join(bytes([byte]) for byte in DATA)
    return call(data, payload=Payload(partial(Trailing, trailers), len(DATA), frozenset(announced)))


def test_a_trailing_checksum_is_verified_against_the_decoded_bytes() -> None:
    crc = ALGORITHMS["CRC32C"]
    request = trailed({crc.header: value(crc, DATA)}, crc.header)
    intake = object_intake(request)
    assert taken(request, intake) == DATA
    assert intake.checksum is not None
    assert intake.checksum.algorithm == "CRC32C"
    assert refusal(trailed({crc.header: value(crc, b"")}, crc.header)).code == "BadDigest"
    assert refusal(trailed({crc.header: "bad"}, crc.header)).code == "BadDigest"


def test_a_trailer_that_was_announced_and_does_not_come_is_malformed() -> None:
    assert refusal(trailed({}, "x-amz-checksum-crc32")).code == "MalformedTrailerError"


@pytest.mark.parametrize("length", [len(DATA) - 1, len(DATA) + 1])
def test_a_body_of_another_length_than_was_said_is_incomplete(length: int) -> None:
    assert refusal(call(payload=Payload(partial(Trailing, {}), length))).code == "IncompleteBody"


def test_an_upload_whose_end_nobody_tells_is_refused_and_a_chunked_one_is_not() -> None:
    endless = Payload(partial(PlainDecoder, None, ""), None)
    assert refusal(call(payload=endless)).code == "MissingContentLength"
    chunked = call(payload=endless, transfer_encoding="chunked")
    assert taken(chunked, object_intake(chunked)) == DATA


def test_an_upload_that_says_it_is_too_large_is_refused_before_a_byte_is_read() -> None:
    request = call(payload=Payload(partial(Trailing, {}), MAX_PUT_BYTES + 1))
    with pytest.raises(S3Error) as caught:
        object_intake(request)
    assert caught.value.code == "EntityTooLarge"
    assert caught.value.fields["MaxSizeAllowed"] == str(5 << 30)


def test_a_document_beyond_its_limit_is_refused_by_its_length_or_when_it_comes() -> None:
    told = call(b"x" * 100)
    untold = call(b"x" * 100, payload=Payload(partial(PlainDecoder, None, ""), None))
    for request in (told, untold):
        with pytest.raises(S3Error) as caught:
            asyncio.run(read_document(request, 99))
        assert caught.value.code == "MaxMessageLengthExceeded"
    assert isinstance(told.body, BodyOf)
    assert told.body.asked == 0
    assert asyncio.run(read_document(call(b"x" * 100), 100)) == b"x" * 100


def test_a_document_is_verified_like_an_object() -> None:
    crc = ALGORITHMS["CRC32"]
    with pytest.raises(S3Error) as caught:
        asyncio.run(read_document(call(**{crc.header: value(crc, b"")}), 100))
    assert caught.value.code == "BadDigest"


def test_the_checksums_of_an_object_are_not_those_of_the_document_that_completes_it() -> None:
    crc = ALGORITHMS["CRC32"]
    assert asyncio.run(read_document(call(**{crc.header: value(crc, b"")}), 100, checksums=False)) == DATA


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_digests_do_not_depend_on_how_the_body_is_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    intakes = []
    for batch in ([whole], list(pieces)):
        intake = object_intake(call(whole))
        intake(list(batch))
        intake.verify()
        intakes.append((intake.size, intake.etag, intake.checksum))
    assert intakes[0] == intakes[1]
