"""CopyObject in all its forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import ask, refusal
from support.refused import refused
from support.signed import signed
from support.snapshot import unchanged

METADATA = {"colour": "blue"}


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="from", Body=b"content", Metadata=METADATA, ContentType="text/plain")
    return bucket


def test_a_copy_has_bytes_headers_and_metadata_of_its_source(s3: Any, stored: str, directory: Path):
    answer = s3.copy_object(Bucket=stored, Key="to/copy", CopySource={"Bucket": stored, "Key": "from"})

    got = s3.get_object(Bucket=stored, Key="to/copy")
    assert got["Body"].read() == b"content"
    assert (got["Metadata"], got["ContentType"], got["ETag"]) == (
        METADATA,
        "text/plain",
        answer["CopyObjectResult"]["ETag"],
    )
    assert answer["CopyObjectResult"]["LastModified"].replace(microsecond=0) == got["LastModified"]
    assert (directory / "to/copy").read_bytes() == b"content"
    assert (directory / "to/copy").stat().st_ino != (directory / "from").stat().st_ino


def test_a_copy_may_replace_headers_and_metadata(s3: Any, stored: str):
    s3.copy_object(
        Bucket=stored,
        Key="to",
        CopySource={"Bucket": stored, "Key": "from"},
        MetadataDirective="REPLACE",
        Metadata={"shape": "round"},
        CacheControl="no-cache",
    )

    got = s3.head_object(Bucket=stored, Key="to")
    assert (got["Metadata"], got["CacheControl"]) == ({"shape": "round"}, "no-cache")
    assert got["ContentType"] == "binary/octet-stream"


def test_metadata_given_without_replace_is_not_taken(s3: Any, stored: str):
    source = {"Bucket": stored, "Key": "from"}
    s3.copy_object(Bucket=stored, Key="to", CopySource=source, MetadataDirective="COPY", Metadata={"shape": "round"})

    assert s3.head_object(Bucket=stored, Key="to")["Metadata"] == METADATA


def test_a_copy_has_the_storage_class_that_it_asks_for(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x", StorageClass="STANDARD_IA")
    source = {"Bucket": bucket, "Key": "from"}

    s3.copy_object(Bucket=bucket, Key="plain", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="zone", CopySource=source, StorageClass="ONEZONE_IA")

    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="plain")
    assert s3.head_object(Bucket=bucket, Key="zone")["StorageClass"] == "ONEZONE_IA"


def test_a_copy_onto_itself_must_change_something(s3: Any, stored: str):
    source = {"Bucket": stored, "Key": "from"}

    assert refused(s3.copy_object, Bucket=stored, Key="from", CopySource=source) == (400, "InvalidRequest")
    s3.copy_object(
        Bucket=stored, Key="from", CopySource=source, MetadataDirective="REPLACE", Metadata={"shape": "round"}
    )
    got = s3.get_object(Bucket=stored, Key="from")
    assert (got["Body"].read(), got["Metadata"]) == (b"content", {"shape": "round"})


def test_a_copy_onto_itself_may_change_the_storage_class(s3: Any, stored: str):
    s3.copy_object(Bucket=stored, Key="from", CopySource={"Bucket": stored, "Key": "from"}, StorageClass="STANDARD_IA")

    got = s3.get_object(Bucket=stored, Key="from")
    assert (got["Body"].read(), got["Metadata"], got["StorageClass"]) == (b"content", METADATA, "STANDARD_IA")


def test_a_copy_goes_from_bucket_to_bucket(s3: Any, stored: str):
    other = f"{stored}-other"
    s3.create_bucket(Bucket=other)

    s3.copy_object(Bucket=other, Key="from", CopySource={"Bucket": stored, "Key": "from"})

    assert s3.get_object(Bucket=other, Key="from")["Body"].read() == b"content"


def test_a_copy_replaces_what_is_there(s3: Any, stored: str):
    s3.put_object(Bucket=stored, Key="to", Body=b"something longer than the content", Metadata={"old": "1"})

    s3.copy_object(Bucket=stored, Key="to", CopySource={"Bucket": stored, "Key": "from"})

    got = s3.get_object(Bucket=stored, Key="to")
    assert (got["Body"].read(), got["Metadata"]) == (b"content", METADATA)


def test_a_large_copy_is_whole_and_one_of_parts_becomes_one_piece(s3: Any, bucket: str):
    content = payload(6 * MIB)
    where = {"Bucket": bucket, "Key": "from"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    pieces = [content[: 5 * MIB], content[5 * MIB :]]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=n, Body=piece)["ETag"]}
        for n, piece in enumerate(pieces, 1)
    ]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    s3.copy_object(Bucket=bucket, Key="to", CopySource=where)

    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == content
    assert s3.head_object(**where)["ETag"].endswith('-2"')
    assert "-" not in s3.head_object(Bucket=bucket, Key="to")["ETag"]


@pytest.mark.parametrize(
    "key", ["a b+c", "ключ/日本", "100%25", "a//b", "..", "x?versionId=y", "tail/", "/lead", "a&b=c"]
)
def test_a_source_with_an_awkward_key_is_found(s3: Any, bucket: str, key: str):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": key})

    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == key.encode()


@pytest.mark.parametrize("form", ["{bucket}/{key}", "/{bucket}/{key}", "{bucket}%2F{key}"])
def test_a_source_may_begin_with_a_slash_or_be_encoded_whole(gateway: Gateway, bucket: str, form: str):
    assert ask(gateway, signed(gateway, "PUT", f"/{bucket}/a%20b", body=b"x")).status == 200
    source = form.format(bucket=bucket, key=quote("a b"))

    answer = ask(gateway, signed(gateway, "PUT", f"/{bucket}/to", headers={"x-amz-copy-source": source}))

    assert answer.status == 200
    assert ask(gateway, signed(gateway, "GET", f"/{bucket}/to")).body == b"x"


def test_a_copy_obeys_the_conditions_of_its_source(s3: Any, stored: str, directory: Path):
    head = s3.head_object(Bucket=stored, Key="from")
    etag, then = head["ETag"], head["LastModified"]
    wrong, earlier = '"0123"', then - timedelta(seconds=5)
    where = {"Bucket": stored, "CopySource": {"Bucket": stored, "Key": "from"}}

    for condition in (
        {"CopySourceIfMatch": wrong},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": datetime.now(UTC) + timedelta(hours=1)},
        {"CopySourceIfUnmodifiedSince": earlier},
    ):
        with unchanged(directory):
            assert refused(s3.copy_object, Key="refused", **where, **condition) == (412, "PreconditionFailed")
    for number, condition in enumerate(
        (
            {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": earlier},
            {"CopySourceIfNoneMatch": wrong},
            {"CopySourceIfModifiedSince": earlier},
            {"CopySourceIfUnmodifiedSince": then},
        )
    ):
        s3.copy_object(Key=f"copy-{number}", **where, **condition)
        assert s3.get_object(Bucket=stored, Key=f"copy-{number}")["Body"].read() == b"content"


def test_a_copy_obeys_the_conditions_of_its_target(s3: Any, stored: str):
    s3.put_object(Bucket=stored, Key="to", Body=b"old")
    where = {"Bucket": stored, "Key": "to", "CopySource": {"Bucket": stored, "Key": "from"}}

    assert refused(s3.copy_object, **where, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(s3.copy_object, **where, IfMatch='"0123"') == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=stored, Key="to")["Body"].read() == b"old"
    s3.copy_object(**where, IfMatch=s3.head_object(Bucket=stored, Key="to")["ETag"])
    assert s3.get_object(Bucket=stored, Key="to")["Body"].read() == b"content"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{bucket}/nothing", (404, "NoSuchKey")),
        ("no-such-bucket-at-all/from", (404, "NoSuchBucket")),
        ("{bucket}", (400, "InvalidArgument")),
        ("{bucket}/", (400, "InvalidArgument")),
        ("/", (400, "InvalidArgument")),
        ("{bucket}/%FF", (400, "InvalidArgument")),
        ("{bucket}/from?versionId=", (400, "InvalidArgument")),
        ("{bucket}/" + "k" * 1025, (400, "KeyTooLongError")),
        ("../{bucket}/from", (404, "NoSuchBucket")),
    ],
)
def test_a_source_that_is_not_to_be_had_is_refused(
    gateway: Gateway, stored: str, directory: Path, source: str, expected: tuple[int, str]
):
    request = signed(
        gateway, "PUT", f"/{stored}/to", headers={"x-amz-copy-source": source.format(bucket=stored)}, body=b""
    )

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == expected


@pytest.mark.parametrize("header", ["x-amz-metadata-directive", "x-amz-tagging-directive"])
def test_an_unknown_directive_is_refused(gateway: Gateway, stored: str, directory: Path, header: str):
    headers = {"x-amz-copy-source": f"{stored}/from", header: "MERGE"}

    with unchanged(directory):
        answer = ask(gateway, signed(gateway, "PUT", f"/{stored}/to", headers=headers))
    assert refusal(answer) == (400, "InvalidArgument")
