"""Several workers over one directory, restarts in between, and the settings of durability."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import Connection, ask
from support.signed import signed

pytestmark = pytest.mark.xdist_group("workers")


@pytest.fixture
def connections(gateway: Gateway) -> Iterator[list[Connection]]:
    """Connections that lie with both workers: the kernel deals them out, and x-amz-id-2 tells to whom."""
    with ExitStack() as stack:
        found: dict[str, Connection] = {}
        for _ in range(64):
            connection = stack.enter_context(Connection(gateway))
            worker = connection.ask(signed(gateway, "GET", "/")).headers["x-amz-id-2"]
            found.setdefault(worker, connection)
            if len(found) == gateway.workers:
                break
        assert len(found) == gateway.workers
        yield list(found.values())


def test_each_worker_sees_at_once_what_the_other_wrote(gateway: Gateway, bucket: str, connections: list[Connection]):
    for number in range(40):
        writer, reader = connections[number % 2], connections[(number + 1) % 2]
        key = f"/{bucket}/{'deep/' * (number % 3)}k{number % 5}"
        put = writer.ask(signed(gateway, "PUT", key, body=b"%d" % number))
        got = reader.ask(signed(gateway, "GET", key))
        listed = reader.ask(signed(gateway, "GET", f"/{bucket}?list-type=2"))
        assert (got.body, got.headers["etag"]) == (b"%d" % number, put.headers["etag"])
        assert f"<Key>{key.removeprefix(f'/{bucket}/')}</Key>".encode() in listed.body
        assert put.headers["etag"].replace('"', "&quot;").encode() in listed.body


def test_each_worker_sees_at_once_what_the_other_removed(gateway: Gateway, bucket: str, connections: list[Connection]):
    one, two = connections
    for number in range(20):
        one.ask(signed(gateway, "PUT", f"/{bucket}/a/k{number}", body=b"x"))
        assert two.ask(signed(gateway, "DELETE", f"/{bucket}/a/k{number}")).status == 204
        assert one.ask(signed(gateway, "GET", f"/{bucket}/a/k{number}")).status == 404
        assert b"<KeyCount>0</KeyCount>" in one.ask(signed(gateway, "GET", f"/{bucket}?list-type=2")).body


def test_a_bucket_made_by_one_worker_is_there_for_the_other(
    gateway: Gateway, new_name: str, connections: list[Connection]
):
    one, two = connections
    for _ in range(5):
        assert one.ask(signed(gateway, "PUT", f"/{new_name}")).status == 200
        assert two.ask(signed(gateway, "PUT", f"/{new_name}/k", body=b"x")).status == 200
        assert one.ask(signed(gateway, "GET", f"/{new_name}/k")).body == b"x"
        assert one.ask(signed(gateway, "DELETE", f"/{new_name}/k")).status == 204
        assert two.ask(signed(gateway, "DELETE", f"/{new_name}")).status == 204
        assert one.ask(signed(gateway, "HEAD", f"/{new_name}")).status == 404


def test_parts_put_by_both_workers_become_one_object(gateway: Gateway, bucket: str, connections: list[Connection]):
    one, two = connections
    target = f"/{bucket}/k"
    created = one.ask(signed(gateway, "POST", f"{target}?uploads")).body
    upload = created.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    pieces = [payload(5 * MIB, 1), payload(5 * MIB, 2), b"end"]
    document = ""
    for number, piece in enumerate(pieces, 1):
        worker = connections[number % 2]
        put = worker.ask(signed(gateway, "PUT", f"{target}?partNumber={number}&uploadId={upload}", body=piece))
        document += f"<Part><PartNumber>{number}</PartNumber><ETag>{put.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode()

    assert two.ask(signed(gateway, "POST", f"{target}?uploadId={upload}", body=body)).status == 200
    assert one.ask(signed(gateway, "GET", target)).body == b"".join(pieces)


def test_many_writers_of_one_key_leave_one_whole_object(gateway: Gateway, bucket: str):
    bodies = [bytes([65 + number]) * 300_000 for number in range(12)]

    def put(body: bytes) -> int:
        return ask(gateway, signed(gateway, "PUT", f"/{bucket}/k", body=body)).status

    def read(_: int) -> bytes:
        return ask(gateway, signed(gateway, "GET", f"/{bucket}/k")).body

    assert put(bodies[0]) == 200
    with ThreadPoolExecutor(12) as pool:
        puts = pool.map(put, bodies)
        reads = list(pool.map(read, range(24)))
        assert set(puts) == {200}
    assert set(reads) <= set(bodies)
    assert read(0) in bodies


def test_an_upload_in_parts_survives_a_restart(tmp_path: Path):
    where = {"Bucket": "kept", "Key": "a/b"}
    first, second = payload(5 * MIB, 1), payload(100, 2)
    with Gateway(tmp_path, "--durability", "none") as before:
        s3 = before.boto3()
        s3.create_bucket(Bucket="kept")
        upload = s3.create_multipart_upload(**where, Metadata={"colour": "blue"}, ContentType="text/plain")["UploadId"]
        etag = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=first)["ETag"]
    with Gateway(tmp_path, "--durability", "none", workers=1) as after:
        s3 = after.boto3()
        assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket="kept")["Uploads"]] == [upload]
        assert [part["ETag"] for part in s3.list_parts(**where, UploadId=upload)["Parts"]] == [etag]
        more = s3.upload_part(**where, UploadId=upload, PartNumber=2, Body=second)["ETag"]
        parts = [{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": more}]
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        got = s3.get_object(**where)
        assert (got["Metadata"], got["ContentType"]) == ({"colour": "blue"}, "text/plain")
        assert got["Body"].read() == first + second


@pytest.fixture(scope="module", params=["full", "data"])
def durable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("durable"), "--durability", request.param) as running:
        running.boto3().create_bucket(Bucket="shelf")
        yield running


def test_every_kind_of_write_works_with_durability(durable: Gateway):
    s3: Any = durable.boto3()
    where = {"Bucket": "shelf", "Key": "deep/er/object"}

    s3.put_object(**where, Body=b"one", Metadata={"colour": "blue"})
    s3.put_object(**where, Body=b"two")
    s3.copy_object(Bucket="shelf", Key="copy", CopySource=where)
    upload = s3.create_multipart_upload(Bucket="shelf", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="shelf", Key="parts", UploadId=upload, PartNumber=1, Body=b"three")
    s3.complete_multipart_upload(
        Bucket="shelf",
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    other = s3.create_multipart_upload(Bucket="shelf", Key="aborted")["UploadId"]
    s3.abort_multipart_upload(Bucket="shelf", Key="aborted", UploadId=other)

    keys = ["copy", "deep/er/object", "parts"]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="shelf")["Contents"]] == keys
    assert [s3.get_object(Bucket="shelf", Key=key)["Body"].read() for key in keys] == [b"two", b"two", b"three"]
    s3.delete_objects(Bucket="shelf", Delete={"Objects": [{"Key": key} for key in keys]})
    assert s3.list_objects_v2(Bucket="shelf")["KeyCount"] == 0


def test_a_gateway_that_is_stopped_while_an_upload_runs_leaves_nothing_half(tmp_path: Path):
    gateway = Gateway(tmp_path, "--durability", "none", "--grace-secs", "0")
    with gateway:
        gateway.boto3().create_bucket(Bucket="kept")
        request = signed(gateway, "PUT", "/kept/half", body=payload(4 * MIB))
        with Connection(gateway) as connection:
            connection.send(request.head, request.body[: 2 * MIB])
            gateway.stop()
            connection.socket.shutdown(socket.SHUT_RDWR)
    with Gateway(tmp_path, "--durability", "none", workers=1) as after:
        assert after.boto3().list_objects_v2(Bucket="kept")["KeyCount"] == 0
