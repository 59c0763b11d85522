"""PutObject."""

from __future__ import annotations

import base64
import zlib

import pytest

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.identity.model import Caller
from s3gate.storage.backend import Stage
from s3gate.storage.memory import MemoryBackend
from support.operations import ALICE, BOB, Bench, md5, texts

CRC32_OF_ABC = base64.b64encode(zlib.crc32(b"abc").to_bytes(4, "big")).decode()


async def test_an_object_is_stored_with_its_md5_and_a_checksum(bench: Bench) -> None:
    stored = await bench("PUT", "/b/k", body=b"abc")
    assert stored.headers["etag"] == f'"{md5(b"abc")}"'
    assert stored.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert "x-amz-checksum-crc64nvme" in stored.headers
    assert await bench.content("/b/k") == b"abc"


async def test_the_checksum_that_a_client_sends_is_told_back_and_kept(bench: Bench) -> None:
    stored = await bench("PUT", "/b/k", body=b"abc", x_amz_checksum_crc32=CRC32_OF_ABC)
    assert stored.headers["x-amz-checksum-crc32"] == CRC32_OF_ABC
    assert (await bench.head("/b/k", x_amz_checksum_mode="ENABLED"))["x-amz-checksum-crc32"] == CRC32_OF_ABC


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_md5": "rL0Y20xC+Fzt72VPzMSk2A=="}, "BadDigest"),
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "BadDigest"),
        ({"content_length": "4"}, "IncompleteBody"),
        ({"content_length": "2"}, "IncompleteBody"),
        ({"content_length": None}, "MissingContentLength"),
        ({"x_amz_storage_class": "GLACIER"}, "InvalidStorageClass"),
        ({"x_amz_storage_class": "nonsense"}, "InvalidStorageClass"),
        ({"x_amz_acl": "public-read"}, "AccessControlListNotSupported"),
        ({"x_amz_acl": "open"}, "InvalidArgument"),
        ({"x_amz_meta_big": "x" * 2048}, "MetadataTooLarge"),
        ({"x_amz_website_redirect_location": "/"}, "NotImplemented"),
        ({"if_match": "e"}, "PreconditionFailed"),
        ({"if_none_match": "*"}, "PreconditionFailed"),
    ],
)
async def test_an_upload_that_is_refused_leaves_the_old_object(
    bench: Bench, headers: dict[str, str | None], code: str
) -> None:
    await bench("PUT", "/b/k", body=b"old", x_amz_meta_a="1")
    assert (await bench.fails("PUT", "/b/k", body=b"new", **headers)).code == code
    assert await bench.content("/b/k") == b"old"
    assert (await bench.head("/b/k"))["x-amz-meta-a"] == "1"


@pytest.mark.parametrize(
    "headers", [{"if_none_match": "*"}, {"x_amz_checksum_crc32": "bad"}, {"content_length": str(6 << 30)}]
)
async def test_an_upload_that_its_headers_refuse_is_not_read(bench: Bench, headers: dict[str, str]) -> None:
    await bench("PUT", "/b/k", body=b"old")
    await bench.fails("PUT", "/b/k", body=b"new", **headers)
    assert bench.last_body.asked == 0


class Overtaken(MemoryBackend):
    """A store where another writer is always quicker, between the first look at a key and the commit."""

    async def commit_object(
        self, bucket: Bucket, stage: Stage, key: str, record: ObjectRecord, condition: WriteCondition
    ) -> ObjectRecord:
        await super().commit_object(bucket, stage, key, record, NO_CONDITION)
        return await super().commit_object(bucket, stage, key, record, condition)


@pytest.mark.usefixtures("runner")
async def test_the_condition_that_counts_is_decided_when_the_object_is_committed() -> None:
    bench = Bench(Overtaken())
    await bench.storage.create_bucket("b", ALICE, "us-east-1")
    assert (await bench.fails("PUT", "/b/k", if_none_match="*")).code == "PreconditionFailed"
    assert bench.last_body.asked == 1


@pytest.mark.parametrize("etag", ["e", '"e"', "*"])
async def test_if_match_where_there_is_no_object_is_no_such_key(bench: Bench, etag: str) -> None:
    assert (await bench.fails("PUT", "/b/k", if_match=etag)).code == "NoSuchKey"


async def test_if_match_lets_the_writer_through_who_knows_the_object(bench: Bench) -> None:
    etag = (await bench("PUT", "/b/k", body=b"1", if_none_match="*")).headers["etag"]
    await bench("PUT", "/b/k", body=b"2", if_match=etag)
    assert (await bench.fails("PUT", "/b/k", body=b"3", if_match=etag)).code == "PreconditionFailed"
    assert await bench.content("/b/k") == b"2"


async def test_a_key_has_1024_bytes_at_most(bench: Bench) -> None:
    await bench("PUT", "/b/" + "k" * 1024)
    assert (await bench.fails("PUT", "/b/" + "k" * 1025)).code == "KeyTooLongError"
    assert (await bench.fails("PUT", "/b/" + "\u00e9" * 513)).code == "KeyTooLongError"


async def test_content_headers_and_metadata_are_kept_as_sent(bench: Bench) -> None:
    sent = {
        "content-type": "text/plain",
        "cache-control": "max-age=3",
        "content-disposition": 'attachment; filename="x"',
        "content-language": "de",
        "expires": "not even a date",
        "x-amz-meta-empty": "",
        "x-amz-meta-word": "v",
        "x-amz-storage-class": "STANDARD_IA",
    }
    await bench("PUT", "/b/k", **{name.replace("-", "_"): value for name, value in sent.items()})
    headers = await bench.head("/b/k")
    assert {name: headers[name] for name in sent} == sent


async def test_metadata_that_is_not_ascii_is_text_again_when_it_is_read(bench: Bench) -> None:
    await bench("PUT", "/b/k", x_amz_meta_city="Z\u00fcrich".encode().decode("latin-1"))
    assert (await bench.head("/b/k"))["x-amz-meta-city"] == "Z\u00fcrich"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("gzip", "gzip"),
        ("deflate, gzip", "deflate, gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("AWS-Chunked,gzip", "gzip"),
        ("aws-chunked", None),
        ("aws-chunked, aws-chunked", None),
    ],
)
async def test_aws_chunked_is_no_encoding_of_the_object(bench: Bench, sent: str, kept: str | None) -> None:
    await bench("PUT", "/b/k", content_encoding=sent)
    assert (await bench.head("/b/k")).get("content-encoding") == kept


async def test_an_object_without_a_type_is_of_s3s_default_type_and_class(bench: Bench) -> None:
    await bench("PUT", "/b/k", content_type="")
    headers = await bench.head("/b/k")
    assert headers["content-type"] == "binary/octet-stream"
    assert "x-amz-storage-class" not in headers


async def test_an_object_belongs_to_whoever_stored_it(bench: Bench) -> None:
    await bench("PUT", "/b/alices")
    bench.caller = Caller(BOB, "readwrite", "BK")
    await bench("PUT", "/b/bobs")
    assert texts(await bench("GET", "/b"), "Contents/Owner/DisplayName") == ["alice", "bob"]
