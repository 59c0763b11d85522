"""The directory behind a bucket is everybody's: files of other programs are objects as they stand."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from support.files import MIB, payload
from support.refused import refused


def test_a_file_that_is_dropped_in_is_listed_and_served(s3: Any, bucket: str, directory: Path):
    (directory / "deep/er").mkdir(parents=True)
    content = payload(2 * MIB)
    (directory / "deep/er/file.bin").write_bytes(content)
    (directory / "ünï cöde").write_bytes(b"x")

    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    got = s3.get_object(Bucket=bucket, Key="deep/er/file.bin")

    assert [(item["Key"], item["Size"]) for item in listed] == [("deep/er/file.bin", 2 * MIB), ("ünï cöde", 1)]
    assert got["Body"].read() == content
    assert got["ETag"] == listed[0]["ETag"] == s3.head_object(Bucket=bucket, Key="deep/er/file.bin")["ETag"]
    assert int(got["LastModified"].timestamp()) == int((directory / "deep/er/file.bin").stat().st_mtime)
    assert s3.get_object(Bucket=bucket, Key="deep/er/file.bin", Range="bytes=5-9")["Body"].read() == content[5:10]


def test_a_file_that_another_program_changes_is_served_as_it_is_now(s3: Any, bucket: str, directory: Path):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"from s3", Metadata={"colour": "blue"})["ETag"]
    (directory / "k").write_bytes(b"changed, and longer")

    got = s3.get_object(Bucket=bucket, Key="k")

    assert got["Body"].read() == b"changed, and longer"
    assert got["ContentLength"] == 19
    assert got["ETag"] != first
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Size"] == 19
    assert refused(s3.get_object, Bucket=bucket, Key="k", IfMatch=first) == (412, "PreconditionFailed")


def test_a_file_that_another_program_replaces_has_nothing_of_the_old_one(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old", Metadata={"colour": "blue"}, ContentType="text/plain")
    (directory / "new").write_bytes(b"new")
    os.replace(directory / "new", directory / "k")

    got = s3.get_object(Bucket=bucket, Key="k")

    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"new", {}, "binary/octet-stream")


def test_a_dropped_file_has_the_type_that_its_name_says(s3: Any, bucket: str, directory: Path):
    for name in ("page.html", "picture.png", "nothing"):
        (directory / name).write_bytes(b"x")

    types = [s3.head_object(Bucket=bucket, Key=name)["ContentType"] for name in ("page.html", "picture.png", "nothing")]

    assert types == ["text/html", "image/png", "binary/octet-stream"]


def test_a_file_that_another_program_removes_is_gone(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    (directory / "a/k").unlink()

    assert refused(s3.get_object, Bucket=bucket, Key="a/k") == (404, "NoSuchKey")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"again")
    assert (directory / "a/k").read_bytes() == b"again"


def test_a_file_of_another_program_is_replaced_and_deleted_as_any_object(s3: Any, bucket: str, directory: Path):
    for name in ("one", "two"):
        (directory / name).write_bytes(b"theirs")

    s3.put_object(Bucket=bucket, Key="one", Body=b"ours")
    s3.delete_object(Bucket=bucket, Key="two")

    assert (directory / "one").read_bytes() == b"ours"
    assert not (directory / "two").exists()


def test_a_moved_file_is_moved_with_its_metadata(s3: Any, bucket: str, directory: Path):
    etag = s3.put_object(Bucket=bucket, Key="old", Body=b"x", Metadata={"colour": "blue"})["ETag"]
    os.rename(directory / "old", directory / "new")

    got = s3.head_object(Bucket=bucket, Key="new")

    assert (got["Metadata"], got["ETag"]) == ({"colour": "blue"}, etag)


def test_a_file_that_other_programs_read_is_complete_at_every_moment(s3: Any, bucket: str, directory: Path):
    old, new = payload(3 * MIB, 1), payload(3 * MIB, 2)
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    with (directory / "k").open("rb") as reading:
        s3.put_object(Bucket=bucket, Key="k", Body=new)
        assert reading.read() == old
    assert (directory / "k").read_bytes() == new


def test_what_is_no_plain_file_is_no_object(s3: Any, bucket: str, directory: Path):
    os.mkfifo(directory / "fifo")
    os.symlink("/etc/passwd", directory / "link")
    os.symlink("nowhere", directory / "dangling")
    os.symlink("/etc", directory / "etc")
    (directory / "file").write_bytes(b"x")

    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["file"]
    for key in ("fifo", "link", "dangling", "etc/passwd"):
        assert refused(s3.get_object, Bucket=bucket, Key=key) == (404, "NoSuchKey"), key


def test_a_directory_is_no_object_but_a_place_for_some(s3: Any, bucket: str, directory: Path):
    (directory / "empty").mkdir()
    (directory / "full").mkdir()
    (directory / "full/file").write_bytes(b"x")

    assert refused(s3.get_object, Bucket=bucket, Key="empty") == (404, "NoSuchKey")
    assert refused(s3.get_object, Bucket=bucket, Key="empty/") == (404, "NoSuchKey")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["full/file"]
    s3.put_object(Bucket=bucket, Key="full", Body=b"beside a directory")
    assert s3.get_object(Bucket=bucket, Key="full")["Body"].read() == b"beside a directory"
    assert s3.get_object(Bucket=bucket, Key="full/file")["Body"].read() == b"x"


def test_a_name_that_is_not_utf_8_neither_breaks_a_listing_nor_is_an_object(s3: Any, bucket: str, directory: Path):
    (directory / "before").write_bytes(b"x")
    with open(os.fsencode(directory) + b"/caf\xe9", "wb") as file:
        file.write(b"x")
    (directory / "zebra").write_bytes(b"x")

    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["before", "zebra"]


def test_the_gateways_own_directory_is_never_shown(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    assert (directory / ".s3gate").is_dir()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert refused(s3.get_object, Bucket=bucket, Key=".s3gate/bucket.json") == (404, "NoSuchKey")
    assert ".s3gate" not in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    assert refused(s3.head_bucket, Bucket=".s3gate")[0] in (400, 404)


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_an_entity_tag_of_a_foreign_file_holds_until_the_file_changes(s3: Any, bucket: str, directory: Path, size: int):
    path = directory / "k"
    path.write_bytes(payload(size))
    first = s3.head_object(Bucket=bucket, Key="k")["ETag"]

    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=first)["ETag"] == first
    later = time.time() + 10
    os.utime(path, (later, later))
    path.write_bytes(payload(size + 1))
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] != first


def test_a_copy_gives_a_foreign_file_the_entity_tag_of_its_content(s3: Any, bucket: str, directory: Path):
    (directory / "from").write_bytes(b"content")

    answer = s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})

    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"content"
    assert answer["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
