"""GetObject and HeadObject."""

from __future__ import annotations

import pytest

from s3gate.core.values import ObjectRecord
from s3gate.identity.model import ANONYMOUS, Caller
from support.operations import ALICE, Bench, md5, texts
from support.versions import put_versions, set_versioning

DATA = b"0123456789"
PAST = "Sat, 29 Oct 1994 19:43:31 GMT"
FUTURE = "Sat, 29 Oct 2100 19:43:31 GMT"


async def put(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=DATA)


@pytest.mark.parametrize(
    ("asked", "content", "told"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=-100", DATA, "bytes 0-9/10"),
    ],
)
async def test_a_range_is_answered_with_those_bytes(bench: Bench, asked: str, content: bytes, told: str) -> None:
    await put(bench)
    result = await bench("GET", "/b/k", range=asked)
    assert (result.status, result.headers["content-range"]) == (206, told)
    assert result.headers["content-length"] == str(len(content))
    assert await bench.content("/b/k", range=asked) == content
    head = await bench("HEAD", "/b/k", range=asked)
    assert (head.status, head.headers["content-range"]) == (206, told)


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "bytes=4-2", "bytes=-", "lines=1-2", "nonsense"])
async def test_what_is_no_single_range_is_answered_with_the_whole_object(bench: Bench, asked: str) -> None:
    await put(bench)
    assert (await bench("GET", "/b/k", range=asked)).status == 200
    assert await bench.content("/b/k", range=asked) == DATA


async def test_a_range_beyond_the_end_cannot_be_satisfied(bench: Bench) -> None:
    await put(bench)
    error = await bench.fails("GET", "/b/k", range="bytes=10-")
    assert (error.code, error.headers["content-range"]) == ("InvalidRange", "bytes */10")
    await bench("PUT", "/b/empty")
    assert (await bench.fails("GET", "/b/empty", range="bytes=0-0")).code == "InvalidRange"


async def test_a_get_and_a_head_tell_the_same(bench: Bench) -> None:
    await put(bench)
    get = await bench("GET", "/b/k", x_amz_checksum_mode="enabled")
    head = await bench("HEAD", "/b/k", x_amz_checksum_mode="enabled")
    assert get.headers == head.headers
    assert get.headers["etag"] == f'"{md5(DATA)}"'
    assert get.headers["content-length"] == "10"
    assert get.headers["accept-ranges"] == "bytes"
    assert "x-amz-checksum-crc64nvme" in get.headers


@pytest.mark.parametrize("headers", [{}, {"x_amz_checksum_mode": "ENABLED", "range": "bytes=0-3"}])
async def test_a_checksum_is_told_only_to_who_asks_and_gets_the_whole(bench: Bench, headers: dict[str, str]) -> None:
    await put(bench)
    assert not any(name.startswith("x-amz-checksum") for name in (await bench.head("/b/k", **headers)))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"if_match": "wrong"}, "PreconditionFailed"),
        ({"if_unmodified_since": PAST}, "PreconditionFailed"),
        ({"if_none_match": f'"{md5(DATA)}"'}, "NotModified"),
        ({"if_modified_since": FUTURE}, "NotModified"),
        ({"if_match": md5(DATA), "if_unmodified_since": PAST}, ""),
        ({"if_none_match": "other", "if_modified_since": FUTURE}, ""),
        ({"if_none_match": md5(DATA), "if_modified_since": PAST}, "NotModified"),
        ({"if_modified_since": "no date"}, ""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_conditions_are_decided_as_s3_decides_them(
    bench: Bench, method: str, headers: dict[str, str], code: str
) -> None:
    await put(bench)
    if code:
        error = await bench.fails(method, "/b/k", **headers)
        assert error.code == code
        if code == "NotModified":
            assert error.headers["etag"] == f'"{md5(DATA)}"'
    else:
        assert (await bench(method, "/b/k", **headers)).status == 200


async def test_the_answer_to_a_get_can_be_given_other_headers(bench: Bench) -> None:
    await put(bench)
    query = (
        "response-content-type=foo/bar&response-cache-control=no-cache&response-expires=123&response-content-language=eo"
        "&response-content-disposition=bla&response-content-encoding=aaa"
    )
    headers = await bench.head("/b/k", query)
    assert [headers[name] for name in ("content-type", "cache-control", "expires", "content-language")] == [
        "foo/bar",
        "no-cache",
        "123",
        "eo",
    ]
    assert (headers["content-disposition"], headers["content-encoding"]) == ("bla", "aaa")
    bench.caller = ANONYMOUS
    assert (await bench.fails("GET", "/b/k", "response-expires=1")).code == "InvalidRequest"


async def test_part_1_of_an_object_in_one_piece_is_the_object(bench: Bench) -> None:
    await put(bench)
    result = await bench("GET", "/b/k", "partNumber=1")
    assert (result.status, result.headers["content-range"]) == (206, "bytes 0-9/10")
    assert "x-amz-mp-parts-count" not in result.headers
    assert (await bench.fails("GET", "/b/k", "partNumber=2")).code == "InvalidPart"


async def test_a_range_and_a_part_exclude_each_other(bench: Bench) -> None:
    await put(bench)
    assert (await bench.fails("GET", "/b/k", "partNumber=1", range="bytes=0-1")).code == "InvalidRequest"


@pytest.mark.parametrize("number", ["0", "10001", "x"])
async def test_a_part_number_that_no_part_can_have_is_an_invalid_argument(bench: Bench, number: str) -> None:
    assert (await bench.fails("GET", "/b/k", f"partNumber={number}")).code == "InvalidArgument"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_where_nothing_was_versioned_an_object_has_the_version_null_and_no_other(
    bench: Bench, method: str
) -> None:
    await put(bench)
    assert "x-amz-version-id" not in (await bench(method, "/b/k", "versionId=null")).headers
    assert (await bench.fails(method, "/b/k", "versionId=0123456789abcdef01234567")).code == "NoSuchVersion"
    assert (await bench.fails(method, "/b/k", "versionId=x")).code == "InvalidArgument"


async def test_an_object_that_is_not_there_is_no_such_key(bench: Bench) -> None:
    assert (await bench.fails("GET", "/b/k")).code == "NoSuchKey"
    assert (await bench.fails("HEAD", "/b/k")).code == "NoSuchKey"
    assert (await bench.fails("GET", "/b/" + "k" * 1025)).code == "KeyTooLongError"


async def test_the_number_of_tags_is_told(bench: Bench) -> None:
    await put(bench)
    bucket = await bench.storage.find_bucket("b")

    def tagged(record: ObjectRecord) -> ObjectRecord:
        return ObjectRecord(record.etag, record.size, record.modified_ns, tags={"a": "1", "b": "2"})

    await bench.storage.update_object(bucket, "k", tagged)
    assert (await bench.head("/b/k"))["x-amz-tagging-count"] == "2"


async def test_a_reader_is_closed_when_the_answer_is_a_refusal(bench: Bench) -> None:
    await put(bench)
    closed = []
    opened = await bench.storage.open_object(await bench.storage.find_bucket("b"), "k")

    class Watched:
        record = opened.record

        async def close(self) -> None:
            closed.append(True)

    async def open_object(bucket: object, key: str, version_id: str | None = None) -> Watched:
        return Watched()

    bench.storage.open_object = open_object  # type: ignore[method-assign,assignment]
    bench.caller = Caller(ALICE, "readwrite", "AK")
    assert (await bench.fails("GET", "/b/k", if_match="wrong")).code == "PreconditionFailed"
    assert closed == [True]


async def test_every_version_is_read_by_its_id_and_the_newest_without_one(versioned: Bench) -> None:
    ids = await put_versions(versioned, "k", b"1", b"two", b"3")
    for version, content in zip(ids, (b"1", b"two", b"3"), strict=True):
        assert await versioned.content("/b/k", f"versionId={version}") == content
        headers = await versioned.head("/b/k", f"versionId={version}")
        assert (headers["x-amz-version-id"], headers["etag"]) == (version, f'"{md5(content)}"')
        attributes = await versioned(
            "GET", "/b/k", f"attributes&versionId={version}", x_amz_object_attributes="ETag,ObjectSize"
        )
        assert attributes.headers["x-amz-version-id"] == version
        assert texts(attributes, "ETag") == [md5(content)]
    assert (await versioned.head("/b/k"))["x-amz-version-id"] == ids[-1]


async def test_an_object_from_before_versioning_is_the_version_null(bench: Bench) -> None:
    await put(bench)
    await set_versioning(bench, "Enabled")
    assert (await bench.head("/b/k"))["x-amz-version-id"] == "null"
    await put_versions(bench, "k", b"new")
    assert await bench.content("/b/k", "versionId=null") == DATA


async def test_the_attributes_of_a_version_take_the_permission_to_read_versions(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "k", b"1")
    versioned.denied = frozenset({("s3:GetObjectVersion", "k")})
    asked = {"x_amz_object_attributes": "ETag"}
    assert (await versioned.fails("GET", "/b/k", f"attributes&versionId={version}", **asked)).code == "AccessDenied"
    assert (await versioned("GET", "/b/k", "attributes", **asked)).status == 200
