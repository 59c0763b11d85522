"""CopyObject."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Awaitable, Callable

import pytest

from s3gate.core.checksums import Checksum
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord
from s3gate.identity.model import Caller
from s3gate.operations.copy_source import CopySource, copy_source
from support.operations import ALICE, BOB, Bench, md5, texts
from support.versions import put_versions, set_versioning

CRC32 = base64.b64encode(zlib.crc32(b"data").to_bytes(4, "big")).decode()
SHA256 = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
PAST = "Sat, 29 Oct 1994 19:43:31 GMT"
FUTURE = "Sat, 29 Oct 2100 19:43:31 GMT"


@pytest.fixture
def meta() -> dict[str, str]:
    return {"content_type": "audio/ogg", "x_amz_meta_a": "1", "x_amz_storage_class": "STANDARD_IA"}


async def put(bench: Bench, key: str = "src", data: bytes = b"data", **headers: str) -> None:
    await bench("PUT", f"/b/{key}", body=data, **headers)


async def change(bench: Bench, key: str, **fields: object) -> None:
    """Make the record of an object another one, as a store or another program might."""
    bucket = await bench.storage.find_bucket("b")
    record = await bench.storage.stat_object(bucket, key)
    values = {name: getattr(record, name) for name in ObjectRecord.__struct_fields__} | fields
    await bench.storage.update_object(bucket, key, lambda _: ObjectRecord(**values))


async def test_a_copy_has_the_bytes_metadata_etag_and_checksum_of_its_source(
    bench: Bench, meta: dict[str, str]
) -> None:
    await put(bench, **meta)
    result = await bench("PUT", "/b/dst", x_amz_copy_source="/b/src")
    assert texts(result, "ETag") == [f'"{md5(b"data")}"']
    assert len(texts(result, "LastModified")) == len(texts(result, "ChecksumCRC64NVME")) == 1
    assert await bench.content("/b/dst") == b"data"
    headers = await bench.head("/b/dst", x_amz_checksum_mode="ENABLED")
    assert (headers["content-type"], headers["x-amz-meta-a"]) == ("audio/ogg", "1")
    assert headers["x-amz-checksum-crc64nvme"] == texts(result, "ChecksumCRC64NVME")[0]
    assert "x-amz-storage-class" not in headers


async def test_a_copy_that_is_hashed_is_no_upload_to_the_store(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(bench)
    calls = []
    bucket = await bench.storage.find_bucket("b")
    async with bench.storage.stage(bucket) as stage:
        kind = type(stage)
    for name in ("copy", "write"):
        plain = getattr(kind, name)

        async def noted(*arguments: object, name: str = name, plain: Callable[..., Awaitable[None]] = plain) -> None:
            calls.append(name)
            await plain(*arguments)

        monkeypatch.setattr(kind, name, noted)
    await bench("PUT", "/b/dst", x_amz_copy_source="/b/src", x_amz_checksum_algorithm="SHA256")
    assert calls == ["copy", "write"]
    assert await bench.content("/b/dst") == b"data"


async def test_metadata_that_is_replaced_is_replaced_whole(bench: Bench, meta: dict[str, str]) -> None:
    await put(bench, **meta)
    await bench(
        "PUT",
        "/b/dst",
        x_amz_copy_source="b/src",
        x_amz_metadata_directive="REPLACE",
        content_type="audio/mpeg",
        x_amz_meta_b="2",
    )
    headers = await bench.head("/b/dst")
    assert (headers["content-type"], headers["x-amz-meta-b"]) == ("audio/mpeg", "2")
    assert "x-amz-meta-a" not in headers


async def test_metadata_that_is_sent_with_a_plain_copy_does_not_count(bench: Bench, meta: dict[str, str]) -> None:
    await put(bench, **meta)
    await bench("PUT", "/b/dst", x_amz_copy_source="b/src", content_type="audio/mpeg", x_amz_meta_b="2")
    headers = await bench.head("/b/dst")
    assert (headers["content-type"], headers["x-amz-meta-a"]) == ("audio/ogg", "1")
    assert "x-amz-meta-b" not in headers


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_metadata_directive": "MOVE"}, "InvalidArgument"),
        ({"x_amz_tagging_directive": "replace"}, "InvalidArgument"),
        ({"x_amz_copy_source": "/b"}, "InvalidArgument"),
        ({"x_amz_copy_source": "/b/"}, "InvalidArgument"),
        ({"x_amz_copy_source": "/b/%ff"}, "InvalidArgument"),
        ({"x_amz_copy_source": "/b/src?versionId=x"}, "InvalidArgument"),
        ({"x_amz_copy_source": "/b/src?versionId=0123456789abcdef01234567"}, "NoSuchVersion"),
        ({"x_amz_copy_source": "/b/missing"}, "NoSuchKey"),
        ({"x_amz_copy_source": "/none/src"}, "NoSuchBucket"),
        ({"x_amz_copy_source": "arn:aws:s3:us-west-2:1:accesspoint/p/object/k"}, "NotImplemented"),
        ({"x_amz_copy_source_if_match": "wrong"}, "PreconditionFailed"),
        ({"x_amz_copy_source_if_none_match": md5(b"data")}, "PreconditionFailed"),
        ({"x_amz_copy_source_if_modified_since": FUTURE}, "PreconditionFailed"),
        ({"x_amz_copy_source_if_unmodified_since": PAST}, "PreconditionFailed"),
        ({"x_amz_source_expected_bucket_owner": BOB.id}, "AccessDenied"),
        ({"x_amz_checksum_algorithm": "CRC7"}, "InvalidRequest"),
        ({"x_amz_tagging": "a=b&a=c"}, "InvalidArgument"),
        ({"if_none_match": "*"}, "PreconditionFailed"),
        ({"if_match": "wrong"}, "PreconditionFailed"),
    ],
)
async def test_a_copy_that_is_refused_leaves_its_target(bench: Bench, headers: dict[str, str], code: str) -> None:
    await put(bench)
    await put(bench, "dst", b"old")
    headers = {"x_amz_copy_source": "/b/src", **headers}
    assert (await bench.fails("PUT", "/b/dst", **headers)).code == code
    assert await bench.content("/b/dst") == b"old"


async def test_conditions_that_hold_let_a_copy_through(bench: Bench) -> None:
    await put(bench)
    await bench(
        "PUT",
        "/b/dst",
        x_amz_copy_source="/b/src?versionId=null",
        x_amz_copy_source_if_match=f'"{md5(b"data")}"',
        x_amz_copy_source_if_unmodified_since=PAST,
        x_amz_source_expected_bucket_owner=ALICE.id,
        if_none_match="*",
    )
    assert await bench.content("/b/dst") == b"data"


async def test_who_may_not_read_the_source_may_not_copy_it(bench: Bench) -> None:
    await put(bench)
    bench.denied = frozenset({("s3:GetObject", "src")})
    assert (await bench.fails("PUT", "/b/dst", x_amz_copy_source="/b/src")).code == "AccessDenied"


async def test_a_copy_between_buckets_belongs_to_whoever_makes_it(bench: Bench) -> None:
    await put(bench)
    await bench.storage.create_bucket("other", ALICE, "us-east-1")
    bench.caller = Caller(BOB, "readwrite", "BK")
    await bench("PUT", "/other/dst", x_amz_copy_source="/b/src")
    assert texts(await bench("GET", "/other"), "Contents/Owner/DisplayName") == ["bob"]


async def test_a_copy_onto_itself_that_changes_nothing_is_illegal(bench: Bench) -> None:
    await put(bench)
    error = await bench.fails("PUT", "/b/src", x_amz_copy_source="/b/src")
    assert error.code == "InvalidRequest"
    assert error.message.startswith("This copy request is illegal because it is trying to copy an object to itself")


async def test_a_copy_onto_itself_changes_the_record_and_no_byte(bench: Bench, meta: dict[str, str]) -> None:
    await put(bench, **meta)
    result = await bench(
        "PUT", "/b/src", x_amz_copy_source="/b/src", x_amz_metadata_directive="REPLACE", x_amz_meta_b="2"
    )
    assert texts(result, "ETag") == [f'"{md5(b"data")}"']
    headers = await bench.head("/b/src")
    assert headers["x-amz-meta-b"] == "2"
    assert "x-amz-meta-a" not in headers
    assert await bench.content("/b/src") == b"data"


async def test_a_copy_onto_itself_may_change_the_storage_class_or_the_checksum(bench: Bench) -> None:
    await put(bench)
    await bench("PUT", "/b/src", x_amz_copy_source="/b/src", x_amz_storage_class="ONEZONE_IA")
    assert (await bench.head("/b/src"))["x-amz-storage-class"] == "ONEZONE_IA"
    await bench(
        "PUT",
        "/b/src",
        x_amz_copy_source="/b/src",
        x_amz_checksum_algorithm="CRC32",
        x_amz_storage_class="ONEZONE_IA",
    )
    assert (await bench.head("/b/src", x_amz_checksum_mode="ENABLED"))["x-amz-checksum-crc32"] == CRC32


async def test_a_condition_on_the_target_holds_for_a_copy_onto_itself(bench: Bench) -> None:
    await put(bench)
    headers = {"x_amz_copy_source": "/b/src", "x_amz_metadata_directive": "REPLACE"}
    assert (await bench.fails("PUT", "/b/src", **headers, if_match="wrong")).code == "PreconditionFailed"
    assert (await bench("PUT", "/b/src", **headers, if_match=md5(b"data"))).status == 200


async def test_a_checksum_that_is_asked_for_is_computed_for_the_copy(bench: Bench) -> None:
    await put(bench)
    result = await bench("PUT", "/b/dst", x_amz_copy_source="/b/src", x_amz_checksum_algorithm="crc32")
    assert texts(result, "ChecksumCRC32") == [CRC32]
    assert texts(result, "ETag") == [f'"{md5(b"data")}"']


async def test_a_copy_of_an_object_in_parts_is_one_in_one_piece(bench: Bench) -> None:
    await put(bench)
    await change(bench, "src", etag="abc-2", checksum=Checksum("SHA256", "x-2", "COMPOSITE"))
    result = await bench("PUT", "/b/dst", x_amz_copy_source="/b/src")
    assert texts(result, "ETag") == [f'"{md5(b"data")}"']
    assert texts(result, "ChecksumType") == ["FULL_OBJECT"]
    assert texts(result, "ChecksumSHA256") == [SHA256]


async def test_tags_go_along_unless_they_are_replaced(bench: Bench) -> None:
    await put(bench)
    await change(bench, "src", tags={"a": "1"})
    await bench("PUT", "/b/with", x_amz_copy_source="/b/src", x_amz_tagging_directive="COPY")
    await bench("PUT", "/b/without", x_amz_copy_source="/b/src", x_amz_tagging_directive="REPLACE")
    await bench("PUT", "/b/ignored", x_amz_copy_source="/b/src", x_amz_tagging="b=2&c=3")
    await bench(
        "PUT", "/b/others", x_amz_copy_source="/b/src", x_amz_tagging_directive="REPLACE", x_amz_tagging="b=2&c=3"
    )
    assert (await bench.head("/b/with"))["x-amz-tagging-count"] == "1"
    assert "x-amz-tagging-count" not in await bench.head("/b/without")
    assert texts(await bench("GET", "/b/ignored", "tagging"), "TagSet/Tag/Key") == ["a"]
    assert texts(await bench("GET", "/b/others", "tagging"), "TagSet/Tag/Key") == ["b", "c"]


@pytest.mark.parametrize(
    ("action", "key"), [("s3:GetObjectTagging", "src"), ("s3:PutObjectTagging", "dst")], ids=["read", "write"]
)
async def test_tags_go_along_only_for_who_may_read_and_write_them(bench: Bench, action: str, key: str) -> None:
    await put(bench)
    await put(bench, "tagged", x_amz_tagging="a=1")
    bench.denied = frozenset({(action, key.replace("src", "tagged"))})
    assert (await bench.fails("PUT", "/b/dst", x_amz_copy_source="/b/tagged")).code == "AccessDenied"
    assert (await bench("PUT", "/b/dst", x_amz_copy_source="/b/src")).status == 200


async def test_a_source_of_more_than_5_gib_is_refused(bench: Bench) -> None:
    await put(bench)
    await change(bench, "src", size=(5 << 30) + 1)
    assert (await bench.fails("PUT", "/b/dst", x_amz_copy_source="/b/src")).code == "InvalidRequest"


async def test_an_empty_object_is_copied(bench: Bench) -> None:
    await put(bench, data=b"")
    await bench("PUT", "/b/dst", x_amz_copy_source="/b/src")
    assert await bench.content("/b/dst") == b""


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("b/k", CopySource("b", "k")),
        ("/b/k", CopySource("b", "k")),
        ("/b/a/b/c", CopySource("b", "a/b/c")),
        ("b//k", CopySource("b", "/k")),
        ("b/%20", CopySource("b", " ")),
        ("b/a+b", CopySource("b", "a+b")),
        ("b/a%2Bb%252B", CopySource("b", "a+b%2B")),
        ("b/%3FversionId", CopySource("b", "?versionId")),
        ("b/k?versionId=null", CopySource("b", "k", "null")),
        ("b%2Fk", CopySource("b", "k")),
        ("b/Z\u00fcrich", CopySource("b", "Z\u00fcrich")),
        ("b/Z%C3%BCrich", CopySource("b", "Z\u00fcrich")),
    ],
)
def test_a_source_is_a_path_that_is_decoded_once(text: str, source: CopySource) -> None:
    assert copy_source(text) == source


def test_a_source_with_an_empty_version_is_an_invalid_argument() -> None:
    with pytest.raises(S3Error) as caught:
        copy_source("b/k?versionId=")
    assert caught.value.code == "InvalidArgument"


async def test_a_version_is_copied_by_its_id_and_both_ids_are_told(versioned: Bench) -> None:
    first, second = await put_versions(versioned, "src", b"1", b"2")
    copied = await versioned("PUT", "/b/dst", x_amz_copy_source=f"/b/src?versionId={first}")
    assert copied.headers["x-amz-copy-source-version-id"] == first
    made = copied.headers["x-amz-version-id"]
    assert await versioned.content("/b/dst", f"versionId={made}") == b"1"
    current = await versioned("PUT", "/b/dst", x_amz_copy_source="/b/src")
    assert current.headers["x-amz-copy-source-version-id"] == second


async def test_a_copy_out_of_a_versioned_bucket_has_no_version_where_nothing_was_versioned(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "src", b"1")
    await versioned.storage.create_bucket("plain", ALICE, "us-east-1")
    copied = await versioned("PUT", "/plain/dst", x_amz_copy_source=f"/b/src?versionId={version}")
    assert copied.headers == {"x-amz-copy-source-version-id": version}
    back = await versioned("PUT", "/b/back", x_amz_copy_source="/plain/dst")
    assert list(back.headers) == ["x-amz-version-id"]


async def test_a_part_is_copied_from_a_version(versioned: Bench) -> None:
    first, _ = await put_versions(versioned, "src", b"1", b"2")
    begun = await versioned("POST", "/b/dst", "uploads")
    upload = f"uploadId={texts(begun, 'UploadId')[0]}"
    source = f"/b/src?versionId={first}"
    part = await versioned("PUT", "/b/dst", f"partNumber=1&{upload}", x_amz_copy_source=source)
    assert part.headers == {"x-amz-copy-source-version-id": first}
    etag = texts(part, "ETag")[0]
    body = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>"
    done = await versioned("POST", "/b/dst", upload, body=body)
    assert await versioned.content("/b/dst", f"versionId={done.headers['x-amz-version-id']}") == b"1"


async def test_a_delete_marker_is_no_source(versioned: Bench) -> None:
    await put_versions(versioned, "src", b"1")
    marker = (await versioned("DELETE", "/b/src")).headers["x-amz-version-id"]
    assert (await versioned.fails("PUT", "/b/dst", x_amz_copy_source="/b/src")).code == "NoSuchKey"
    error = await versioned.fails("PUT", "/b/dst", x_amz_copy_source=f"/b/src?versionId={marker}")
    assert error.code == "InvalidRequest"
    assert "delete marker" in error.message


async def test_a_version_takes_a_permission_of_its_own_to_be_copied(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "src", b"1")
    versioned.denied = frozenset({("s3:GetObjectVersion", "src")})
    source = f"/b/src?versionId={version}"
    assert (await versioned.fails("PUT", "/b/dst", x_amz_copy_source=source)).code == "AccessDenied"
    assert (await versioned("PUT", "/b/dst", x_amz_copy_source="/b/src")).status == 200


async def test_a_copy_onto_itself_in_a_versioned_bucket_is_a_new_version(versioned: Bench) -> None:
    (first,) = await put_versions(versioned, "src", b"data")
    assert (await versioned.fails("PUT", "/b/src", x_amz_copy_source="/b/src")).code == "InvalidRequest"
    copied = await versioned(
        "PUT", "/b/src", x_amz_copy_source="/b/src", x_amz_metadata_directive="REPLACE", x_amz_meta_b="2"
    )
    second = copied.headers["x-amz-version-id"]
    assert second != first
    assert "x-amz-meta-b" not in await versioned.head("/b/src", f"versionId={first}")
    assert (await versioned.head("/b/src"))["x-amz-meta-b"] == "2"


async def test_an_old_version_copied_onto_its_key_is_current_again(versioned: Bench) -> None:
    first, second = await put_versions(versioned, "src", b"1", b"2")
    restored = await versioned("PUT", "/b/src", x_amz_copy_source=f"/b/src?versionId={first}")
    assert await versioned.content("/b/src") == b"1"
    ids = texts(await versioned("GET", "/b", "versions"), "Version/VersionId")
    assert ids == [restored.headers["x-amz-version-id"], second, first]


async def test_where_versioning_is_suspended_a_copy_onto_itself_keeps_the_versions_with_ids(versioned: Bench) -> None:
    (first,) = await put_versions(versioned, "src", b"1")
    await set_versioning(versioned, "Suspended")
    replaced = {"x_amz_copy_source": "/b/src", "x_amz_metadata_directive": "REPLACE", "x_amz_meta_b": "2"}
    copied = await versioned("PUT", "/b/src", **replaced)
    assert copied.headers == {"x-amz-copy-source-version-id": first}
    assert texts(await versioned("GET", "/b", "versions"), "Version/VersionId") == ["null", first]
    assert "x-amz-meta-b" not in await versioned.head("/b/src", f"versionId={first}")
