"""A disk that fills up, and limits that are like one: nothing is lost or left over, and it goes on afterwards."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.disk import SmallDiskGateway, control_files, fill, staged
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import wait_for, workers
from support.wire_client import Answer, ask

DISK = 16 * MIB
# Headers that make a record too long for an extended attribute.
LONG = {"Content-Disposition": "x" * 8000}
PART = 5 * MIB
OLD = payload(MIB, seed=1)


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def assert_refused(answer: Answer, code: str = "InsufficientStorage", status: int = 507) -> None:
    assert (answer.status, answer.code) == (status, code)


def refusal(error: ClientError) -> tuple[int, str]:
    return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


def assert_is(gateway: Gateway, path: str, data: bytes) -> None:
    answer = ask(gateway, "GET", path)
    assert (answer.status, answer.etag) == (200, etag_of(data))
    assert answer.body == data


def listed(gateway: Gateway) -> list[str]:
    found = gateway.boto3().list_objects_v2(Bucket="bucket")
    return [each["Key"] for each in found.get("Contents", [])]


@pytest.fixture(params=["xattr", "sidecar"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDiskGateway]:
    """A gateway over 16 MiB, its records in extended attributes or in sidecars, with one bucket."""
    settings = ("--no-auth", "--create-bucket", "bucket", "--metadata", request.param)
    with SmallDiskGateway(tmp_path / "small", *settings, size=DISK) as running:
        yield running


def test_a_put_that_fills_the_disk_leaves_the_old_object_and_no_stage(gateway):
    assert ask(gateway, "PUT", "/bucket/dir/object", OLD).status == 200
    assert ask(gateway, "PUT", "/bucket/filler", payload(10 * MIB, seed=2)).status == 200

    assert_refused(ask(gateway, "PUT", "/bucket/dir/object", payload(6 * MIB, seed=3)))

    assert_is(gateway, "/bucket/dir/object", OLD)
    assert listed(gateway) == ["dir/object", "filler"]
    assert staged(gateway.served) == []
    # What the failed one took is free again at once.
    assert ask(gateway, "PUT", "/bucket/dir/object", payload(2 * MIB, seed=4)).status == 200


def test_on_a_disk_without_one_byte_left_objects_are_read_listed_and_deleted_and_then_written_again(gateway):
    assert ask(gateway, "PUT", "/bucket/object", OLD).status == 200
    fill(gateway.served / "bucket/filler")

    for path in ("/bucket/object", "/bucket/new", "/bucket/dir/new"):
        assert_refused(ask(gateway, "PUT", path, b"x" * 5000))
    assert_is(gateway, "/bucket/object", OLD)
    assert listed(gateway) == ["filler", "object"]
    assert staged(gateway.served) == []

    assert ask(gateway, "DELETE", "/bucket/filler").status == 204
    for path in ("/bucket/object", "/bucket/new", "/bucket/dir/new"):
        assert ask(gateway, "PUT", path, b"x" * 5000).status == 200
        assert_is(gateway, path, b"x" * 5000)


def test_what_is_refused_leaves_no_record_behind(gateway):
    assert ask(gateway, "PUT", "/bucket/object", OLD, LONG).status == 200
    assert ask(gateway, "PUT", "/bucket/filler", payload(10 * MIB, seed=2)).status == 200
    kept = control_files(gateway.served)

    for _ in range(3):
        assert_refused(ask(gateway, "PUT", "/bucket/object", payload(6 * MIB, seed=3), LONG))
        assert_refused(
            ask(gateway, "PUT", "/bucket/object", b"x", {**LONG, "If-None-Match": "*"}), "PreconditionFailed", 412
        )
    fill(gateway.served / "bucket/rest")
    for body in (b"", b"x", b"x" * 5000):
        assert_refused(ask(gateway, "PUT", "/bucket/object", body, LONG))

    assert control_files(gateway.served) == kept
    assert_is(gateway, "/bucket/object", OLD)


def test_a_copy_that_fills_the_disk_leaves_the_old_object_and_no_stage(gateway):
    assert ask(gateway, "PUT", "/bucket/object", OLD).status == 200
    assert ask(gateway, "PUT", "/bucket/large", payload(9 * MIB, seed=2)).status == 200

    assert_refused(ask(gateway, "PUT", "/bucket/object", headers={"x-amz-copy-source": "/bucket/large"}))

    assert_is(gateway, "/bucket/object", OLD)
    assert staged(gateway.served) == []


def test_a_part_that_fills_the_disk_leaves_the_earlier_part_of_its_number(gateway):
    s3 = gateway.boto3()
    upload = {"Bucket": "bucket", "Key": "joined"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    first = s3.upload_part(**upload, PartNumber=1, Body=OLD)
    assert ask(gateway, "PUT", "/bucket/filler", payload(10 * MIB, seed=2)).status == 200

    for number in (1, 2):
        with pytest.raises(ClientError) as caught:
            s3.upload_part(**upload, PartNumber=number, Body=payload(6 * MIB, seed=3))
        assert refusal(caught.value) == (507, "InsufficientStorage")

    (part,) = s3.list_parts(**upload)["Parts"]
    assert (part["PartNumber"], part["Size"], part["ETag"]) == (1, len(OLD), first["ETag"])
    assert staged(gateway.served) == []
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": first["ETag"]}]})
    assert ask(gateway, "GET", "/bucket/joined").body == OLD


class Upload:
    """An upload of two parts, under way over an object of its key."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.old = s3.put_object(Bucket="bucket", Key="joined", Body=OLD)["ETag"]
        self.where = {"Bucket": "bucket", "Key": "joined"}
        self.where["UploadId"] = s3.create_multipart_upload(**self.where)["UploadId"]
        self.data = payload(PART + MIB, seed=2)
        self.parts = [
            {"PartNumber": number, "ETag": s3.upload_part(**self.where, PartNumber=number, Body=body)["ETag"]}
            for number, body in ((1, self.data[:PART]), (2, self.data[PART:]))
        ]

    def complete(self) -> str:
        """Complete; the ETag."""
        done = self.s3.complete_multipart_upload(**self.where, MultipartUpload={"Parts": self.parts})
        return str(done["ETag"])


def test_a_complete_that_fills_the_disk_can_be_repeated_once_there_is_room(tmp_path):
    settings = ("--no-auth", "--create-bucket", "bucket", "--upload-parts", "separate")
    with SmallDiskGateway(tmp_path / "small", *settings, size=DISK) as gateway:
        s3 = gateway.boto3()
        upload = Upload(s3)
        s3.put_object(Bucket="bucket", Key="filler", Body=payload(5 * MIB, seed=3))

        with pytest.raises(ClientError) as caught:
            upload.complete()

        assert refusal(caught.value) == (507, "InsufficientStorage")
        assert s3.head_object(Bucket="bucket", Key="joined")["ETag"] == upload.old
        assert [part["Size"] for part in s3.list_parts(**upload.where)["Parts"]] == [PART, MIB]
        assert staged(gateway.served) == []

        s3.delete_object(Bucket="bucket", Key="filler")
        done = upload.complete()
        answer = ask(gateway, "GET", "/bucket/joined")
        assert (answer.body, answer.etag) == (upload.data, done)


def test_a_complete_of_parts_in_their_places_takes_no_room_but_for_the_note_of_it(gateway):
    s3 = gateway.boto3()
    upload = Upload(s3)
    fill(gateway.served / "bucket/filler")
    with pytest.raises(ClientError) as caught:
        upload.complete()
    assert refusal(caught.value) == (507, "InsufficientStorage")
    assert s3.head_object(Bucket="bucket", Key="joined")["ETag"] == upload.old
    assert len(s3.list_parts(**upload.where)["Parts"]) == 2
    assert staged(gateway.served) == []

    os.truncate(gateway.served / "bucket/filler", os.stat(gateway.served / "bucket/filler").st_size - 64 * 1024)
    done = upload.complete()
    answer = ask(gateway, "GET", "/bucket/joined")
    assert (answer.body, answer.etag) == (upload.data, done)


def test_a_part_that_fills_the_disk_gives_back_what_it_took(gateway):
    s3 = gateway.boto3()
    upload = Upload(s3)
    s3.put_object(Bucket="bucket", Key="filler", Body=payload(6 * MIB, seed=3))
    for _ in range(3):
        with pytest.raises(ClientError) as caught:
            s3.upload_part(**upload.where, PartNumber=3, Body=payload(PART, seed=4))
        assert refusal(caught.value) == (507, "InsufficientStorage")
        s3.put_object(Bucket="bucket", Key="room", Body=payload(2 * MIB, seed=5))
        s3.delete_object(Bucket="bucket", Key="room")
    upload.complete()
    assert ask(gateway, "GET", "/bucket/joined").body == upload.data


def test_on_a_full_disk_buckets_uploads_and_records_are_refused_and_a_worker_can_be_replaced(gateway):
    s3 = gateway.boto3()
    s3.put_object(Bucket="bucket", Key="object", Body=OLD)
    (gateway.served / "found").mkdir()
    fill(gateway.served / "filler")

    os.kill(workers(gateway.pid)[0], signal.SIGKILL)
    wait_for(lambda: len(workers(gateway.pid)) == 2, "a new worker")
    assert_is(gateway, "/bucket/object", OLD)
    assert_refused(ask(gateway, "PUT", "/found/object", b"x" * 5000))
    assert_refused(ask(gateway, "PUT", "/another"))
    assert_refused(ask(gateway, "POST", "/bucket/joined?uploads"))
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == ["bucket", "found"]
    assert not list(gateway.served.glob(".s3gate/new/*"))

    (gateway.served / "filler").unlink()
    assert ask(gateway, "PUT", "/found/object", b"x").status == 200
    assert ask(gateway, "PUT", "/another").status == 200


def test_a_disk_that_has_no_inode_left_is_a_full_disk(tmp_path):
    settings = ("--no-auth", "--create-bucket", "bucket")
    with SmallDiskGateway(tmp_path / "small", *settings, size=DISK, inodes=60) as gateway:
        keys = [f"/bucket/dir-{number}/object" for number in range(60)]
        answers = [ask(gateway, "PUT", key, key.encode()) for key in keys]
        stored = [key for key, answer in zip(keys, answers, strict=True) if answer.status == 200]

        assert 0 < len(stored) < len(keys)
        for answer in answers[len(stored) :]:
            assert_refused(answer)
        assert listed(gateway) == sorted(key.removeprefix("/bucket/") for key in stored)
        for key in stored:
            assert_is(gateway, key, key.encode())
            assert ask(gateway, "DELETE", key).status == 204
        assert ask(gateway, "PUT", keys[-1], b"again").status == 200


class ShortFilesGateway(Gateway):
    """A gateway that may write no file longer than 4 MiB (RLIMIT_FSIZE)."""

    def process_options(self) -> dict[str, Any]:
        limit = 4 * MIB
        return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}


def test_an_object_longer_than_a_file_may_be_is_too_large_and_the_old_one_stays(tmp_path):
    with ShortFilesGateway(tmp_path, "--no-auth", "--create-bucket", "bucket") as gateway:
        assert ask(gateway, "PUT", "/bucket/object", OLD).status == 200

        answer = ask(gateway, "PUT", "/bucket/object", payload(6 * MIB, seed=3))

        assert_refused(answer, "EntityTooLarge", 400)
        assert_is(gateway, "/bucket/object", OLD)
        assert staged(tmp_path) == []
