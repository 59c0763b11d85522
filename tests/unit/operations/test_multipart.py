"""The life of a multipart upload, from CreateMultipartUpload to CompleteMultipartUpload or its end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from s3gate.core.checksums import ALGORITHMS, combine, composite
from s3gate.core.names import new_upload_id
from s3gate.identity.model import Caller
from s3gate.operations import completion
from s3gate.operations.completion import MIN_PART_BYTES
from support.operations import ALICE, BOB, Bench, md5, texts

FULL = b"a" * MIN_PART_BYTES
TAIL = b"tail"


def checksum(name: str, data: bytes) -> str:
    digest = ALGORITHMS[name].new()
    digest.update(data)
    return base64.b64encode(digest.digest()).decode()


async def create(bench: Bench, key: str = "k", **headers: str) -> str:
    (upload_id,) = texts(await bench("POST", f"/b/{key}", "uploads", **headers), "UploadId")
    return upload_id


async def part(bench: Bench, upload_id: str, number: int, data: bytes, key: str = "k", **headers: str) -> str:
    result = await bench("PUT", f"/b/{key}", f"partNumber={number}&uploadId={upload_id}", body=data, **headers)
    return result.headers["etag"].strip('"')


def named(parts: Sequence[tuple[int, str]], extra: str = "") -> str:
    inner = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>{extra}</Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>"


async def begun(bench: Bench, **headers: str) -> tuple[str, list[tuple[int, str]]]:
    """An upload of two parts, and how a client names them."""
    upload_id = await create(bench, **headers)
    etags = [(1, await part(bench, upload_id, 1, FULL)), (3, await part(bench, upload_id, 3, TAIL))]
    return upload_id, etags


async def test_an_upload_in_parts_makes_the_object_that_they_are(bench: Bench) -> None:
    upload_id, etags = await begun(bench, content_type="text/x", x_amz_meta_a="1", x_amz_storage_class="STANDARD_IA")
    assert (await bench.fails("GET", "/b/k")).code == "NoSuchKey"
    result = await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    etag = hashlib.md5(hashlib.md5(FULL).digest() + hashlib.md5(TAIL).digest()).hexdigest() + "-2"
    assert texts(result, "ETag") == [f'"{etag}"']
    assert (texts(result, "Bucket"), texts(result, "Key")) == (["b"], ["k"])
    assert texts(result, "Location") == ["http://s3.example/b/k"]
    assert await bench.content("/b/k") == FULL + TAIL
    headers = await bench.head("/b/k")
    assert (headers["etag"], headers["content-type"], headers["x-amz-meta-a"]) == (f'"{etag}"', "text/x", "1")
    assert headers["x-amz-storage-class"] == "STANDARD_IA"
    assert headers["content-length"] == str(len(FULL + TAIL))


async def test_an_upload_may_say_that_its_metadata_are_its_own_and_not_that_they_are_copied(bench: Bench) -> None:
    upload_id, etags = await begun(bench, x_amz_metadata_directive="REPLACE", x_amz_meta_a="1")
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    assert (await bench.head("/b/k"))["x-amz-meta-a"] == "1"
    assert (await bench.fails("POST", "/b/k", "uploads", x_amz_metadata_directive="COPY")).code == "NotImplemented"


async def test_a_part_of_the_object_can_be_read_by_its_number(bench: Bench) -> None:
    upload_id, etags = await begun(bench)
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    result = await bench("GET", "/b/k", "partNumber=3", x_amz_checksum_mode="ENABLED")
    assert result.status == 206
    assert result.headers["x-amz-mp-parts-count"] == "2"
    assert result.headers["content-range"] == f"bytes {len(FULL)}-{len(FULL) + 3}/{len(FULL) + 4}"
    assert result.headers["x-amz-checksum-crc64nvme"] == checksum("CRC64NVME", TAIL)
    assert await bench.content("/b/k", "partNumber=3") == TAIL
    assert await bench.content("/b/k", "partNumber=1") == FULL
    assert (await bench.fails("HEAD", "/b/k", "partNumber=2")).code == "InvalidPart"


async def test_a_part_that_is_sent_again_replaces_the_first(bench: Bench) -> None:
    upload_id = await create(bench)
    await part(bench, upload_id, 1, b"first")
    etag = await part(bench, upload_id, 1, b"second")
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named([(1, etag)]))
    assert await bench.content("/b/k") == b"second"


async def test_parts_that_are_not_named_are_left_out(bench: Bench) -> None:
    upload_id, etags = await begun(bench)
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags[1:]))
    assert await bench.content("/b/k") == TAIL


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda etags: [], "MalformedXML"),
        (lambda etags: etags[::-1], "InvalidPartOrder"),
        (lambda etags: [etags[0], etags[0]], "InvalidPartOrder"),
        (lambda etags: [(2, etags[0][1])], "InvalidPart"),
        (lambda etags: [(1, "f" * 32)], "InvalidPart"),
        (lambda etags: [(10_001, etags[0][1])], "InvalidArgument"),
    ],
)
async def test_parts_that_are_named_wrong_complete_nothing(bench: Bench, change, code: str) -> None:  # type: ignore[no-untyped-def]
    upload_id, etags = await begun(bench)
    assert (await bench.fails("POST", "/b/k", f"uploadId={upload_id}", body=named(change(etags)))).code == code
    assert (await bench.fails("GET", "/b/k")).code == "NoSuchKey"
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))


async def test_a_part_that_is_wrong_is_told_with_its_upload(bench: Bench) -> None:
    upload_id = await create(bench)
    error = await bench.fails("POST", "/b/k", f"uploadId={upload_id}", body=named([(7, "e")]))
    assert error.fields == {"UploadId": upload_id, "PartNumber": "7", "ETag": "e"}


async def test_a_part_before_the_last_has_5_mib_at_least(bench: Bench) -> None:
    upload_id = await create(bench)
    small = FULL[:-1]
    etags = [(1, await part(bench, upload_id, 1, small)), (2, await part(bench, upload_id, 2, TAIL))]
    error = await bench.fails("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    assert error.code == "EntityTooSmall"
    assert error.fields == {
        "ProposedSize": str(len(small)),
        "MinSizeAllowed": str(MIN_PART_BYTES),
        "PartNumber": "1",
        "ETag": md5(small),
    }


async def test_an_empty_body_completes_nothing(bench: Bench) -> None:
    upload_id, _ = await begun(bench)
    assert (await bench.fails("POST", "/b/k", f"uploadId={upload_id}")).code == "MalformedXML"


async def test_a_client_that_did_not_hear_the_answer_may_ask_again(bench: Bench) -> None:
    upload_id, etags = await begun(bench)
    first = await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    second = await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    assert second.document == first.document
    assert (await bench.fails("POST", "/b/k", f"uploadId={upload_id}", body=named(etags[1:]))).code == "NoSuchUpload"
    await bench("PUT", "/b/k", body=b"other")
    assert (await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))).document == first.document
    assert (await bench.fails("POST", "/b/other", f"uploadId={upload_id}", body=named(etags))).code == "NoSuchUpload"
    assert await bench.content("/b/k") == b"other"


async def test_an_id_that_was_never_an_upload_is_none_whatever_lies_at_the_key(bench: Bench) -> None:
    """An object may have come with the record of an upload to another store."""
    upload_id, etags = await begun(bench)
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))
    stranger = new_upload_id()
    bucket = await bench.storage.find_bucket("b")
    await bench.storage.update_object(bucket, "k", lambda record: replace(record, upload_id=stranger))
    for each in (stranger, "", "x"):
        assert (await bench.fails("POST", "/b/k", f"uploadId={each}", body=named(etags))).code == "NoSuchUpload"


async def test_an_object_that_takes_long_to_assemble_is_answered_late(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id, etags = await begun(bench)
    complete = completion._complete

    async def slowly(*arguments: object) -> object:
        await asyncio.sleep(0.05)
        return await complete(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(completion, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(completion, "_complete", slowly)

    result = await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))

    assert result.late is not None
    assert b"<CompleteMultipartUploadResult" in await result.late
    assert await bench.content("/b/k") == FULL + TAIL


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("PUT", "partNumber=1&uploadId="),
        ("GET", "uploadId="),
        ("DELETE", "uploadId="),
        ("POST", "uploadId="),
    ],
)
@pytest.mark.parametrize("upload_id", ["", "abc1234def", "../../etc"])
async def test_an_upload_that_is_not_there_is_no_such_upload(
    bench: Bench, method: str, query: str, upload_id: str
) -> None:
    await bench("PUT", "/b/k", body=b"x")
    body = named([(1, "e" * 32)]) if method == "POST" else b""
    assert (await bench.fails(method, "/b/k", query + upload_id, body=body)).code == "NoSuchUpload"
    assert await bench.content("/b/k") == b"x"


async def test_an_upload_belongs_to_its_key(bench: Bench) -> None:
    upload_id = await create(bench)
    assert (await bench.fails("PUT", "/b/other", f"partNumber=1&uploadId={upload_id}")).code == "NoSuchUpload"


async def test_an_upload_that_was_aborted_is_gone(bench: Bench) -> None:
    upload_id, etags = await begun(bench)
    assert (await bench("DELETE", "/b/k", f"uploadId={upload_id}")).status == 204
    assert (await bench.fails("DELETE", "/b/k", f"uploadId={upload_id}")).code == "NoSuchUpload"
    assert (await bench.fails("POST", "/b/k", f"uploadId={upload_id}", body=named(etags))).code == "NoSuchUpload"


async def test_aborting_an_upload_leaves_the_object_at_its_key(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=b"old")
    upload_id, _ = await begun(bench)
    await bench("DELETE", "/b/k", f"uploadId={upload_id}")
    assert await bench.content("/b/k") == b"old"


@pytest.mark.parametrize(
    ("there", "headers", "code"),
    [
        (True, {"if_none_match": "*"}, "PreconditionFailed"),
        (True, {"if_match": "wrong"}, "PreconditionFailed"),
        (False, {"if_match": "*"}, "NoSuchKey"),
        (True, {"if_match": md5(b"old")}, ""),
        (False, {"if_none_match": "*"}, ""),
        (True, {"if_none_match": "other"}, ""),
    ],
)
async def test_an_upload_is_completed_under_conditions(
    bench: Bench, there: bool, headers: dict[str, str], code: str
) -> None:
    if there:
        await bench("PUT", "/b/k", body=b"old")
    upload_id, etags = await begun(bench)
    query, body = f"uploadId={upload_id}", named(etags)
    if code:
        assert (await bench.fails("POST", "/b/k", query, body=body, **headers)).code == code
        assert len(texts(await bench("GET", "/b/k", query), "Part")) == 2
    else:
        await bench("POST", "/b/k", query, body=body, **headers)


@pytest.mark.parametrize("number", ["0", "10001", "x", ""])
async def test_a_part_has_a_number_from_1_to_10000(bench: Bench, number: str) -> None:
    upload_id = await create(bench)
    error = await bench.fails("PUT", "/b/k", f"partNumber={number}&uploadId={upload_id}", body=b"x")
    assert error.code == "InvalidArgument"


async def test_a_part_is_verified_like_an_object(bench: Bench) -> None:
    upload_id = await create(bench)
    query = f"partNumber=1&uploadId={upload_id}"
    assert (await bench.fails("PUT", "/b/k", query, body=b"x", x_amz_checksum_crc32="AAAAAA==")).code == "BadDigest"
    assert (await bench.fails("PUT", "/b/k", query, body=b"x", content_md5="x")).code == "InvalidDigest"
    assert (await bench.fails("PUT", "/b/k", query, body=b"x", content_length=str(6 << 30))).code == "EntityTooLarge"
    assert texts(await bench("GET", "/b/k", f"uploadId={upload_id}"), "Part") == []


# --- checksums


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
async def test_the_checksum_of_the_object_is_made_of_those_of_its_parts(bench: Bench, name: str, kind: str) -> None:
    upload_id, etags = await begun(bench, x_amz_checksum_algorithm=name, x_amz_checksum_type=kind)
    values = [checksum(name, FULL), checksum(name, TAIL)]
    expected = composite(name, values)
    if kind == "FULL_OBJECT":
        expected = combine(name, zip(values, map(len, (FULL, TAIL)), strict=True))
        assert expected.value == checksum(name, FULL + TAIL)
    header = {ALGORITHMS[name].header: expected.value}
    result = await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags), **header)
    assert texts(result, ALGORITHMS[name].element) == [expected.value]
    assert texts(result, "ChecksumType") == [kind]
    headers = await bench.head("/b/k", x_amz_checksum_mode="ENABLED")
    assert (headers[ALGORITHMS[name].header], headers["x-amz-checksum-type"]) == (expected.value, kind)
    one = await bench.head("/b/k", "partNumber=1", x_amz_checksum_mode="ENABLED")
    assert (one[ALGORITHMS[name].header], one["x-amz-checksum-type"]) == (values[0], kind)


async def test_an_upload_tells_the_checksum_that_was_chosen_for_it(bench: Bench) -> None:
    chosen = await bench("POST", "/b/k", "uploads", x_amz_checksum_algorithm="sha256")
    assert chosen.headers == {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "COMPOSITE"}
    assert (await bench("POST", "/b/k", "uploads")).headers == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"x_amz_checksum_type": "COMPOSITE"},
        {"x_amz_checksum_algorithm": "CRC7"},
        {"x_amz_checksum_algorithm": "SHA256", "x_amz_checksum_type": "FULL_OBJECT"},
        {"x_amz_checksum_algorithm": "CRC64NVME", "x_amz_checksum_type": "COMPOSITE"},
        {"x_amz_checksum_algorithm": "CRC32", "x_amz_checksum_type": "HALF"},
    ],
)
async def test_a_checksum_that_cannot_be_had_begins_no_upload(bench: Bench, headers: dict[str, str]) -> None:
    assert (await bench.fails("POST", "/b/k", "uploads", **headers)).code == "InvalidRequest"


async def test_a_part_is_checked_by_the_algorithm_of_its_upload(bench: Bench) -> None:
    upload_id = await create(bench, x_amz_checksum_algorithm="SHA256")
    query = f"partNumber=1&uploadId={upload_id}"
    crc = checksum("CRC32", TAIL)
    error = await bench.fails("PUT", "/b/k", query, body=TAIL, x_amz_checksum_crc32=crc)
    assert error.code == "InvalidRequest"
    assert "expected checksum Type: sha256, actual checksum Type: crc32" in error.message
    stored = await bench("PUT", "/b/k", query, body=TAIL)
    assert stored.headers["x-amz-checksum-sha256"] == checksum("SHA256", TAIL)


async def test_a_part_may_repeat_what_was_chosen_for_its_upload_and_nothing_else(bench: Bench) -> None:
    upload_id = await create(bench, x_amz_checksum_algorithm="CRC64NVME", x_amz_checksum_type="FULL_OBJECT")
    headers = {"x_amz_checksum_algorithm": "CRC64NVME", "x_amz_checksum_type": "FULL_OBJECT"}
    await part(bench, upload_id, 1, TAIL, **headers, x_amz_checksum_crc64nvme=checksum("CRC64NVME", TAIL))
    query = f"partNumber=1&uploadId={upload_id}"
    assert (await bench.fails("PUT", "/b/k", query, x_amz_checksum_type="COMPOSITE")).code == "InvalidRequest"
    assert (await bench.fails("PUT", "/b/k", query, x_amz_checksum_algorithm="CRC32")).code == "InvalidRequest"


async def test_a_composite_checksum_may_be_named_without_the_number_of_its_parts(bench: Bench) -> None:
    upload_id, etags = await begun(bench, x_amz_checksum_algorithm="CRC32C")
    value, _, number = composite("CRC32C", [checksum("CRC32C", FULL), checksum("CRC32C", TAIL)]).value.partition("-")
    assert number == "2"
    headers = {"x_amz_checksum_crc32c": value, "x_amz_checksum_type": "COMPOSITE"}
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named(etags), **headers)


async def test_an_upload_that_chose_no_checksum_takes_any(bench: Bench) -> None:
    upload_id = await create(bench)
    query = f"partNumber=1&uploadId={upload_id}"
    crc = checksum("CRC32", TAIL)
    stored = await bench("PUT", "/b/k", query, body=TAIL, x_amz_checksum_crc32=crc)
    assert stored.headers["x-amz-checksum-crc32"] == crc
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named([(1, md5(TAIL))]))
    headers = await bench.head("/b/k", x_amz_checksum_mode="ENABLED")
    assert headers["x-amz-checksum-crc64nvme"] == checksum("CRC64NVME", TAIL)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_checksum_sha256": "bad"}, "BadDigest"),
        ({"x_amz_checksum_sha256": "AAAA-2"}, "BadDigest"),
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "InvalidRequest"),
        ({"x_amz_checksum_type": "FULL_OBJECT"}, "InvalidRequest"),
        ({"x_amz_mp_object_size": "3"}, "InvalidRequest"),
        ({"x_amz_mp_object_size": "x"}, "InvalidRequest"),
        ({"x_amz_mp_object_size": str(len(FULL + TAIL)), "x_amz_checksum_type": "COMPOSITE"}, ""),
    ],
)
async def test_what_the_client_expects_of_the_object_is_compared(
    bench: Bench, headers: dict[str, str], code: str
) -> None:
    upload_id, etags = await begun(bench, x_amz_checksum_algorithm="SHA256")
    query, body = f"uploadId={upload_id}", named(etags)
    if code:
        assert (await bench.fails("POST", "/b/k", query, body=body, **headers)).code == code
        assert (await bench.fails("GET", "/b/k")).code == "NoSuchKey"
    else:
        await bench("POST", "/b/k", query, body=body, **headers)


async def test_the_checksum_that_a_client_names_for_a_part_is_compared(bench: Bench) -> None:
    upload_id = await create(bench, x_amz_checksum_algorithm="CRC32")
    etag = await part(bench, upload_id, 1, TAIL)
    query = f"uploadId={upload_id}"
    wrong = named([(1, etag)], "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")
    other = named([(1, etag)], "<ChecksumSHA256>AAAAAA==</ChecksumSHA256>")
    right = named([(1, etag)], f"<ChecksumCRC32>{checksum('CRC32', TAIL)}</ChecksumCRC32>")
    assert (await bench.fails("POST", "/b/k", query, body=wrong)).code == "InvalidPart"
    assert (await bench.fails("POST", "/b/k", query, body=other)).code == "InvalidRequest"
    await bench("POST", "/b/k", query, body=right)


# --- UploadPartCopy


async def test_a_part_can_be_a_copy_or_a_range_of_an_object(bench: Bench) -> None:
    await bench("PUT", "/b/src", body=b"0123456789")
    upload_id = await create(bench, x_amz_checksum_algorithm="CRC32")
    query = f"partNumber=1&uploadId={upload_id}"
    whole = await bench("PUT", "/b/k", query, x_amz_copy_source="/b/src")
    assert texts(whole, "ETag") == [f'"{md5(b"0123456789")}"']
    some = await bench("PUT", "/b/k", query, x_amz_copy_source="b/src", x_amz_copy_source_range="bytes=2-5")
    assert texts(some, "ETag") == [f'"{md5(b"2345")}"']
    assert texts(some, "ChecksumCRC32") == [checksum("CRC32", b"2345")]
    await bench("POST", "/b/k", f"uploadId={upload_id}", body=named([(1, md5(b"2345"))]))
    assert await bench.content("/b/k") == b"2345"


@pytest.mark.parametrize(
    "asked", ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=0-2,3-5", "bytes=5-2", "bytes=0-21"]
)
async def test_a_range_that_the_source_does_not_have_is_refused(bench: Bench, asked: str) -> None:
    await bench("PUT", "/b/src", body=b"01234")
    upload_id = await create(bench)
    query = f"partNumber=1&uploadId={upload_id}"
    error = await bench.fails("PUT", "/b/k", query, x_amz_copy_source="/b/src", x_amz_copy_source_range=asked)
    assert error.code in ("InvalidArgument", "InvalidRange")


async def test_the_source_of_a_part_is_held_to_its_conditions(bench: Bench) -> None:
    await bench("PUT", "/b/src", body=b"01234")
    upload_id = await create(bench)
    query = f"partNumber=1&uploadId={upload_id}"
    headers = {"x_amz_copy_source": "/b/src", "x_amz_copy_source_if_match": "wrong"}
    assert (await bench.fails("PUT", "/b/k", query, **headers)).code == "PreconditionFailed"
    bench.denied = frozenset({("s3:GetObject", "src")})
    assert (await bench.fails("PUT", "/b/k", query, x_amz_copy_source="/b/src")).code == "AccessDenied"


# --- ListParts and ListMultipartUploads


async def test_parts_are_listed_in_pages_with_all_that_is_known_of_them(bench: Bench) -> None:
    upload_id = await create(bench, x_amz_checksum_algorithm="CRC32")
    for number in (1, 2, 5):
        await part(bench, upload_id, number, b"x" * number)
    first = await bench("GET", "/b/k", f"uploadId={upload_id}&max-parts=2")
    assert texts(first, "Part/PartNumber") == ["1", "2"]
    assert texts(first, "Part/Size") == ["1", "2"]
    assert texts(first, "Part/ETag") == [f'"{md5(b"x")}"', f'"{md5(b"xx")}"']
    assert texts(first, "Part/ChecksumCRC32") == [checksum("CRC32", b"x"), checksum("CRC32", b"xx")]
    assert (texts(first, "IsTruncated"), texts(first, "NextPartNumberMarker")) == (["true"], ["2"])
    assert (texts(first, "Owner/ID"), texts(first, "Initiator/DisplayName")) == ([ALICE.id], ["alice"])
    assert texts(first, "StorageClass") == ["STANDARD"]
    second = await bench("GET", "/b/k", f"uploadId={upload_id}&part-number-marker=2")
    assert (texts(second, "Part/PartNumber"), texts(second, "IsTruncated")) == (["5"], ["false"])


async def test_uploads_are_listed_with_who_began_them(bench: Bench) -> None:
    first = await create(bench, "a")
    bench.caller = Caller(BOB, "readwrite", "BK")
    second = await create(bench, "b")
    page = await bench("GET", "/b", "uploads")
    assert texts(page, "Upload/UploadId") == [first, second]
    assert texts(page, "Upload/Initiator/ID") == [ALICE.id, BOB.id]
    assert texts(page, "Upload/Owner/DisplayName") == ["alice", "bob"]
    assert texts(page, "IsTruncated") == ["false"]


async def test_uploads_come_in_pages_that_go_on_at_their_markers(bench: Bench) -> None:
    expected = [(key, await create(bench, key)) for key in ("a", "b", "b", "c")]
    expected = sorted(expected)
    seen: list[tuple[str, str]] = []
    markers = ""
    while True:
        page = await bench("GET", "/b", f"uploads&max-uploads=1{markers}")
        seen += zip(texts(page, "Upload/Key"), texts(page, "Upload/UploadId"), strict=True)
        if texts(page, "IsTruncated") == ["false"]:
            break
        (key,), (upload_id,) = texts(page, "NextKeyMarker"), texts(page, "NextUploadIdMarker")
        markers = f"&key-marker={key}&upload-id-marker={upload_id}"
    assert seen == expected


async def test_a_key_marker_alone_has_all_uploads_of_its_key_behind_it(bench: Bench) -> None:
    for key in ("a", "b", "b", "c"):
        await create(bench, key)
    assert texts(await bench("GET", "/b", "uploads&key-marker=b"), "Upload/Key") == ["c"]
    assert len(texts(await bench("GET", "/b", "uploads&upload-id-marker=zzz"), "Upload/Key")) == 4


async def test_uploads_are_rolled_up_by_a_delimiter(bench: Bench) -> None:
    for key in ("a", "d/1", "d/2", "e/1", "f+g"):
        await create(bench, key)
    page = await bench("GET", "/b", "uploads&delimiter=/&max-uploads=2&encoding-type=url")
    assert (texts(page, "Upload/Key"), texts(page, "CommonPrefixes/Prefix")) == (["a"], ["d/"])
    assert texts(page, "NextKeyMarker") == ["d/"]
    page = await bench("GET", "/b", "uploads&delimiter=/&key-marker=d/&encoding-type=url")
    assert (texts(page, "Upload/Key"), texts(page, "CommonPrefixes/Prefix")) == (["f%2Bg"], ["e/"])
    assert texts(await bench("GET", "/b", "uploads&prefix=d/"), "Upload/Key") == ["d/1", "d/2"]


async def test_no_uploads_may_be_asked_for(bench: Bench) -> None:
    await create(bench)
    page = await bench("GET", "/b", "uploads&max-uploads=0")
    assert (texts(page, "Upload"), texts(page, "IsTruncated")) == ([], ["false"])
