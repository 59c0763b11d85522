"""Objects put and read back: bytes, headers and metadata."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import ask, chunked
from support.refused import refused
from support.signed import UNSIGNED, signed

HEADERS = {
    "ContentType": "text/x-test; charset=utf-8",
    "CacheControl": "max-age=3600, private",
    "ContentDisposition": 'attachment; filename="a file.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de-AT, en",
    "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
}


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 262_144, 262_145, MIB, 3 * MIB + 7])
def test_an_object_is_read_back_as_it_was_put_and_is_a_plain_file(s3: Any, bucket: str, directory: Path, size: int):
    content = payload(size)

    put = s3.put_object(Bucket=bucket, Key="folder/object.bin", Body=content)
    got = s3.get_object(Bucket=bucket, Key="folder/object.bin")

    etag = f'"{hashlib.md5(content).hexdigest()}"'
    assert got["Body"].read() == content
    assert (got["ContentLength"], got["ETag"], put["ETag"]) == (size, etag, etag)
    assert (directory / "folder/object.bin").read_bytes() == content


def test_head_says_what_get_says_without_the_body(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"content", Metadata={"colour": "blue"}, **HEADERS)

    got = ask(gateway, signed(gateway, "GET", f"/{bucket}/k"))
    head = ask(gateway, signed(gateway, "HEAD", f"/{bucket}/k"))

    of_each_answer = {"x-amz-request-id", "x-amz-id-2", "date"}
    assert (got.status, head.status) == (200, 200)
    assert {n: v for n, v in got.headers.items() if n not in of_each_answer} == {
        n: v for n, v in head.headers.items() if n not in of_each_answer
    }
    assert head.headers["content-length"] == "7"
    assert head.headers["accept-ranges"] == "bytes"


def test_all_headers_of_an_object_come_back(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **HEADERS)

    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in HEADERS} == HEADERS


def test_an_object_without_a_type_is_binary(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="picture.png", Body=b"x")

    assert s3.head_object(Bucket=bucket, Key="picture.png")["ContentType"] == "binary/octet-stream"


def test_a_new_object_takes_nothing_over_from_the_old_one(s3: Any, bucket: str):
    s3.put_object(
        Bucket=bucket, Key="k", Body=b"long content", Metadata={"a": "1"}, StorageClass="STANDARD_IA", **HEADERS
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")

    answer = s3.get_object(Bucket=bucket, Key="k")

    assert answer["Body"].read() == b"new"
    assert answer["Metadata"] == {}
    assert not {"CacheControl", "ContentEncoding", "StorageClass"} & set(answer)


@pytest.mark.parametrize(
    "storage", ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"]
)
def test_the_storage_class_is_echoed(s3: Any, bucket: str, storage: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass=storage)

    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == storage
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == storage


def test_the_standard_class_is_told_in_listings_alone(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD")

    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD"


def test_metadata_comes_back(s3: Any, bucket: str):
    metadata = {"colour": "blue", "two-words": "a b", "empty": "", "symbols": "!#$%&'()*+,-./:;<=>?@[]^_`{|}~\""}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=metadata)

    assert s3.get_object(Bucket=bucket, Key="k")["Metadata"] == metadata


@pytest.mark.parametrize(
    "value",
    ["grün".encode(), "grün".encode("latin-1"), "日本語 ключ".encode(), b"=?UTF-8?B?Z3LDvG4=?=", b"\xff\xfe", b"a\tb"],
    ids=["utf-8", "latin-1", "cjk", "rfc2047", "no text", "tab"],
)
def test_metadata_that_is_not_ascii_comes_back_byte_for_byte(gateway: Gateway, bucket: str, value: bytes):
    put = signed(gateway, "PUT", f"/{bucket}/k", headers={"x-amz-meta-text": value.decode("latin-1")}, body=b"x")

    assert ask(gateway, put).status == 200
    answer = ask(gateway, signed(gateway, "GET", f"/{bucket}/k"))
    assert answer.headers["x-amz-meta-text"].encode("latin-1") == value


def test_names_of_metadata_are_lower_case_and_repeated_ones_are_joined(gateway: Gateway, bucket: str):
    put = signed(gateway, "PUT", f"/{bucket}/k", headers={"X-Amz-Meta-MiXed": "Value"}, body=b"x")
    assert ask(gateway, put).status == 200

    assert ask(gateway, signed(gateway, "GET", f"/{bucket}/k")).headers["x-amz-meta-mixed"] == "Value"


def test_two_kilobytes_of_metadata_are_taken(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"name": "v" * 2044})

    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"name": "v" * 2044}


def test_aws_chunked_is_no_encoding_of_the_object(gateway: Gateway, s3: Any, bucket: str):
    put = signed(gateway, "PUT", f"/{bucket}/k", headers={"Content-Encoding": "gzip,aws-chunked"}, body=b"x")

    assert ask(gateway, put).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("content", [None, UNSIGNED], ids=["signed", "unsigned"])
def test_a_body_of_unknown_length_is_stored(gateway: Gateway, s3: Any, bucket: str, content: str | None):
    pieces = [payload(70_000, 1), payload(5, 2), payload(300_000, 3)]
    whole = b"".join(pieces)
    request = signed(
        gateway,
        "PUT",
        f"/{bucket}/k",
        headers={"Transfer-Encoding": "chunked"},
        content=content or hashlib.sha256(whole).hexdigest(),
    )
    answer = ask(gateway, replace(request, body=chunked(pieces)))

    assert answer.status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == whole


def test_the_time_of_an_object_is_that_of_its_put(s3: Any, bucket: str):
    before = datetime.now(UTC).replace(microsecond=0)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]

    assert before <= modified <= datetime.now(UTC)
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    assert timedelta() <= listed - modified < timedelta(seconds=1)


def test_the_answer_may_be_given_other_headers(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **HEADERS)
    wanted = {
        "ContentType": "application/x-other",
        "CacheControl": "no-cache",
        "ContentDisposition": 'attachment; filename="ü.txt"',
        "ContentEncoding": "br",
        "ContentLanguage": "fr",
        "Expires": datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC),
    }

    answer = s3.get_object(Bucket=bucket, Key="k", **{f"Response{name}": value for name, value in wanted.items()})

    assert {name: answer[name] for name in wanted if name != "ContentDisposition"} == {
        name: value for name, value in wanted.items() if name != "ContentDisposition"
    }
    assert answer["ContentDisposition"].encode("latin-1").decode() == wanted["ContentDisposition"]
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == HEADERS["ContentType"]


def test_an_object_that_is_not_there_says_so(s3: Any, bucket: str):
    assert refused(s3.get_object, Bucket=bucket, Key="nothing") == (404, "NoSuchKey")
    assert refused(s3.head_object, Bucket=bucket, Key="nothing") == (404, "404")


def test_a_deleted_object_is_gone_and_deleting_it_again_succeeds(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="a/b/c", Body=b"x")

    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key="a/b/c")["ResponseMetadata"]["HTTPStatusCode"] == 204

    assert refused(s3.get_object, Bucket=bucket, Key="a/b/c") == (404, "NoSuchKey")
    assert not (directory / "a/b/c").exists()


def test_an_object_that_is_overwritten_while_it_is_read_is_read_whole(gateway: Gateway, s3: Any, bucket: str):
    old, new = payload(8 * MIB, 1), payload(8 * MIB, 2)
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    reading = s3.get_object(Bucket=bucket, Key="k")["Body"]
    first = reading.read(100_000)

    s3.put_object(Bucket=bucket, Key="k", Body=new)

    assert first + reading.read() == old
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == new


def test_every_answer_names_its_request(gateway: Gateway, bucket: str):
    answers = [ask(gateway, signed(gateway, "GET", target)) for target in ("/", f"/{bucket}", f"/{bucket}/none")]

    ids = [answer.headers["x-amz-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    assert all(len(each) == 16 for each in ids)
    assert all(answer.headers["x-amz-id-2"] for answer in answers)
