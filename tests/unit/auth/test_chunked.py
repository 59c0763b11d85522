"""The decoders of bodies: whole or in pieces alike, and nothing that is short, long, changed or malformed passes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.auth.chunked import MAX_CHUNK_HEADER, MAX_TRAILERS, ChunkedDecoder, PlainDecoder
from s3gate.auth.payload import Decoder
from s3gate.core.errors import S3Error
from support.signing import SignedBody, seed

CRC = {"x-amz-checksum-crc32c": "sOO8/Q=="}
CHUNKS = (b"first chunk", b"0123456789abcdef" * 3, b"z")
DATA = b"".join(CHUNKS)
NAMES = frozenset(CRC)


def _unsigned(chunks: Sequence[bytes], trailers: Mapping[str, str], *, end: bytes = b"\r\n") -> bytes:
    body = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    return body + b"0\r\n" + b"".join(f"{n}:{v}\r\n".encode() for n, v in trailers.items()) + end


def _signed_plain() -> tuple[bytes, Callable[[], Decoder]]:
    return SignedBody(seed()).encode(CHUNKS), lambda: ChunkedDecoder(len(DATA), seed=seed())


def _signed_trailer() -> tuple[bytes, Callable[[], Decoder]]:
    body = SignedBody(seed()).encode(CHUNKS, CRC)
    return body, lambda: ChunkedDecoder(len(DATA), seed=seed(), trailers=NAMES)


def _unsigned_trailer() -> tuple[bytes, Callable[[], Decoder]]:
    return _unsigned(CHUNKS, CRC), lambda: ChunkedDecoder(len(DATA), trailers=NAMES)


def _plain() -> tuple[bytes, Callable[[], Decoder]]:
    return DATA, lambda: PlainDecoder(len(DATA), hashlib.sha256(DATA).hexdigest())


FRAMINGS = {
    "plain": _plain,
    "signed": _signed_plain,
    "signed-trailer": _signed_trailer,
    "unsigned-trailer": _unsigned_trailer,
}
framings = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())


def _decode(decoder: Decoder, pieces: Sequence[bytes]) -> tuple[bytes, Mapping[str, str]]:
    data = b"".join(bytes(part) for piece in pieces for part in decoder.feed(piece))
    return data, decoder.finish()


def _code(decoder: Decoder, *pieces: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        _decode(decoder, pieces)
    return caught.value.code


@framings
def test_a_body_decodes_alike_in_one_piece_and_byte_by_byte(framing: Callable) -> None:
    body, new = framing()
    whole = _decode(new(), [body])
    assert whole[0] == DATA
    assert _decode(new(), [body[i : i + 1] for i in range(len(body))]) == whole


@given(st.data())
def test_a_body_decodes_alike_however_it_is_cut(data: st.DataObject) -> None:
    body, new = data.draw(st.sampled_from(list(FRAMINGS.values())))()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert _decode(new(), pieces)[0] == DATA


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.sampled_from(["sdk", "minio"]))
def test_any_signed_body_decodes_to_its_chunks(chunks: list[bytes], style: str) -> None:
    body = SignedBody(seed()).encode(chunks, CRC, style=style)
    data = b"".join(chunks)
    decoder = ChunkedDecoder(len(data), seed=seed(), trailers=NAMES)
    assert _decode(decoder, [body]) == (data, CRC)


@framings
def test_every_truncation_of_a_body_fails(framing: Callable) -> None:
    body, new = framing()
    for length in range(len(body)):
        assert _code(new(), body[:length]) == "IncompleteBody"


@pytest.mark.parametrize("framing", [_plain, _signed_plain, _signed_trailer])
@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_every_flipped_byte_of_a_signed_body_fails(framing: Callable, flip: int) -> None:
    body, new = framing()
    expected = {"SignatureDoesNotMatch", "IncompleteBody", "MalformedTrailerError", "XAmzContentSHA256Mismatch"}
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= flip
        assert _code(new(), bytes(changed)) in expected


def test_a_wrong_chunk_is_refused_at_its_end_and_not_only_at_the_end_of_the_body() -> None:
    body, new = _signed_plain()
    bad = body.replace(b"first chunk", b"First chunk")
    with pytest.raises(S3Error) as caught:
        new().feed(bad[: bad.index(b"First chunk") + len(b"First chunk")])
    assert caught.value.code == "SignatureDoesNotMatch"


def test_chunks_cannot_be_swapped_or_taken_from_another_request() -> None:
    other = SignedBody(seed("f" * 64)).encode(CHUNKS)
    assert _code(ChunkedDecoder(len(DATA), seed=seed()), other) == "SignatureDoesNotMatch"
    same = SignedBody(seed()).encode([b"one", b"two"])
    first, second, last = same.index(b"3;"), same.index(b"3;", 10), same.index(b"0;chunk")
    swapped = same[second:last] + same[first:second] + same[last:]
    assert _code(ChunkedDecoder(6, seed=seed()), swapped) == "SignatureDoesNotMatch"


def test_data_is_handed_on_as_views_of_what_was_fed() -> None:
    body, new = _unsigned_trailer()
    buffer = bytearray(body)
    pieces = new().feed(buffer)
    assert [bytes(piece) for piece in pieces] == list(CHUNKS)
    assert all(isinstance(piece, memoryview) and piece.obj is buffer for piece in pieces)


@framings
def test_more_bytes_than_the_body_has_are_refused(framing: Callable) -> None:
    body, new = framing()
    assert _code(new(), body + b"x") == "IncompleteBody"
    assert _code(new(), body, b"more") == "IncompleteBody"


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_decoded_length_that_differs_is_refused(difference: int) -> None:
    body = _unsigned(CHUNKS, CRC)
    assert _code(ChunkedDecoder(len(DATA) + difference, trailers=NAMES), body) == "IncompleteBody"
    assert _code(PlainDecoder(len(DATA) + difference), DATA) == "IncompleteBody"


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\nx\r\n",
        b"0x1\r\nx\r\n",
        b"1_0\r\n",
        b" 1\r\nx\r\n",
        b"1\nx\r\n",
        b"\r\n",
        b"1\r\nxx\r\n",
        b"1;chunk-signature=" + b"0" * 64 + b"\r\nx\r\n",
        b"fffffffffffffffff\r\n",
        b"0" * (MAX_CHUNK_HEADER + 1),
    ],
)
def test_malformed_framing_is_an_incomplete_body(body: bytes) -> None:
    assert _code(ChunkedDecoder(1, trailers=NAMES), body) == "IncompleteBody"


def test_an_unsigned_chunk_in_a_signed_body_is_refused() -> None:
    assert _code(ChunkedDecoder(1, seed=seed()), b"1\r\nx\r\n") == "IncompleteBody"


def test_a_chunk_header_is_held_only_up_to_its_bound() -> None:
    decoder = ChunkedDecoder(1)
    decoder.feed(b"0" * (MAX_CHUNK_HEADER - 1))
    with pytest.raises(S3Error):
        decoder.feed(b"0")


@pytest.mark.parametrize(
    "trailer",
    [
        b"no colon\r\n\r\n",
        b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        b"x-amz-checksum-crc32c:a\r\nx-amz-checksum-crc32c:b\r\n\r\n",
        b"\r\n",
        b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n",
        b"x-amz-checksum-crc32c:" + b"a" * MAX_TRAILERS,
    ],
)
def test_trailers_that_are_malformed_missing_or_not_announced_are_refused(trailer: bytes) -> None:
    assert _code(ChunkedDecoder(1, trailers=NAMES), b"1\r\nx\r\n0\r\n" + trailer) == "MalformedTrailerError"


def test_a_signed_trailer_needs_its_signature_last() -> None:
    body = SignedBody(seed()).encode([b"x"], CRC)
    new = lambda: ChunkedDecoder(1, seed=seed(), trailers=NAMES)  # noqa: E731
    line = body[body.index(b"x-amz-trailer-signature") :]
    assert _code(new(), body.replace(line, b"\r\n")) == "IncompleteBody"
    assert _code(new(), body.replace(line, b"\r\n\r\n")) == "MalformedTrailerError"
    crc = b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    assert _code(new(), body.replace(crc, b"").replace(line, line[:-2] + crc + b"\r\n")) == "SignatureDoesNotMatch"
    assert _code(new(), body.replace(line, line[:-2] + line)) == "MalformedTrailerError"


def test_trailer_names_are_lower_case_and_values_trimmed() -> None:
    body = b"0\r\nX-Amz-Checksum-CRC32C: \tsOO8/Q== \r\n\r\n"
    assert _decode(ChunkedDecoder(0, trailers=NAMES), [body]) == (b"", CRC)


def test_the_line_ends_of_minios_go_client_are_read() -> None:
    unsigned = b"1\r\nx\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n"
    assert _decode(ChunkedDecoder(1, trailers=NAMES), [unsigned]) == (b"x", CRC)
    assert _code(ChunkedDecoder(1, trailers=NAMES), unsigned + b"\r\n") == "IncompleteBody"


def test_an_unsigned_body_may_announce_no_trailers() -> None:
    assert _decode(ChunkedDecoder(1, trailers=frozenset()), [b"1\r\nx\r\n0\r\n\r\n"]) == (b"x", {})


def test_upper_case_sizes_and_leading_zeros_are_read() -> None:
    body = b"000A\r\n0123456789\r\n0\r\n\r\n"
    assert _decode(ChunkedDecoder(10, trailers=frozenset()), [body])[0] == b"0123456789"


def test_a_plain_body_without_length_or_hash_is_handed_on_untouched() -> None:
    assert _decode(PlainDecoder(None), [b"a", b"", b"b"]) == (b"ab", {})


def test_a_plain_body_of_another_hash_is_refused_with_both_hashes() -> None:
    decoder = PlainDecoder(None, "0" * 64)
    decoder.feed(b"x")
    with pytest.raises(S3Error) as caught:
        decoder.finish()
    assert caught.value.code == "XAmzContentSHA256Mismatch"
    assert caught.value.fields == {
        "ClientComputedContentSHA256": "0" * 64,
        "S3ComputedContentSHA256": hashlib.sha256(b"x").hexdigest(),
    }


def _by_somebody_else(*, trailers: Mapping[str, str] | None) -> bytes:
    return SignedBody(seed(secret="a secret key that nobody here knows")).encode(CHUNKS, trailers)


@pytest.mark.parametrize("trailers", [None, CRC], ids=["plain", "trailer"])
@given(cut=st.integers(1, 500))
def test_signatures_are_read_over_where_they_are_not_to_be_verified(
    trailers: Mapping[str, str] | None, cut: int
) -> None:
    body = _by_somebody_else(trailers=trailers)
    decoder = ChunkedDecoder(len(DATA), unverified=True, trailers=None if trailers is None else NAMES)
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
    assert _decode(decoder, pieces) == (DATA, trailers or {})


def test_what_is_not_verified_has_its_form_all_the_same() -> None:
    def new() -> ChunkedDecoder:
        return ChunkedDecoder(len(DATA), unverified=True, trailers=NAMES)

    body = _by_somebody_else(trailers=CRC)
    assert _code(new(), body[:-2]) == "IncompleteBody"
    assert _code(new(), body + b"\r\n") == "IncompleteBody"
    assert _code(new(), body.replace(b";chunk-signature=", b";signature=", 1)) == "IncompleteBody"
    assert _code(new(), body.replace(b"x-amz-checksum-crc32c", b"x-amz-checksum-crc32")) == "MalformedTrailerError"
    without = body[: body.index(b"x-amz-trailer-signature")] + b"\r\n"
    assert _code(new(), without) == "IncompleteBody"
