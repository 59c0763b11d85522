"""An object of 5 GiB up and down: the bytes are the same, and no worker needs the memory for it."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig

from support.disk import control_files
from support.files import MIB
from support.gateway import Gateway
from support.memory import MemoryWatch

pytestmark = pytest.mark.timeout(3600)

SIZE = 5 << 30  # the most that one PUT may bring
PART = 64 * MIB
MAX_RESIDENT = 200 * MIB
_BLOCK = 4 * MIB


def make_source(path: Path) -> str:
    """Write a file of SIZE bytes of which every mebibyte is another, with holes between; gives its SHA-256."""
    chance = random.Random(1)
    with path.open("wb") as file:
        for start in range(0, SIZE, MIB):
            file.seek(start)
            file.write(chance.randbytes(8192))
        file.truncate(SIZE)
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The file that is sent, and its SHA-256. It takes 40 MB of the disk."""
    path = tmp_path_factory.mktemp("source") / "source.bin"
    yield path, make_source(path)
    path.unlink()


@pytest.fixture(params=["none", "full"])
def gateway(request: pytest.FixtureRequest, room: Path) -> Iterator[Gateway]:
    settings = ("--create-bucket", "bucket", "--durability", request.param)
    with Gateway(room / "data", *settings) as running:
        yield running


def client(gateway: Gateway) -> Any:
    return gateway.boto3(read_timeout=900)


def stored(gateway: Gateway) -> Path:
    """The object as a plain file."""
    return gateway.root / "bucket/large"


def sha256_of_download(s3: Any) -> str:
    digest = hashlib.sha256()
    for block in s3.get_object(Bucket="bucket", Key="large")["Body"].iter_chunks(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def test_five_gibibytes_go_up_in_parts_and_come_down_again(gateway, source, room, timed, say):
    path, expected = source
    s3 = client(gateway)
    transfer = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    with MemoryWatch(gateway.pid) as memory:
        with timed("upload_file in parts of 64 MiB", SIZE):
            s3.upload_file(str(path), "bucket", "large", Config=transfer)
        assert control_files(room / "data") == [name for name in control_files(room / "data") if "/mpu/" not in name]
        with timed("one GET", SIZE):
            assert sha256_of_download(s3) == expected
        with timed("download_file in ranges of 64 MiB", SIZE):
            s3.download_file("bucket", "large", str(room / "copy"), Config=transfer)
    say(str(memory))
    assert sha256_of(room / "copy") == expected
    assert sha256_of(stored(gateway)) == expected
    assert memory.most < MAX_RESIDENT


def test_five_gibibytes_go_up_in_one_signed_put(gateway, source, timed, say):
    path, expected = source
    s3 = client(gateway)
    with MemoryWatch(gateway.pid) as memory:
        with path.open("rb") as body, timed("put_object with a signed SHA-256 (the client reads the file twice)", SIZE):
            s3.put_object(Bucket="bucket", Key="large", Body=body)
        with timed("one GET", SIZE):
            assert sha256_of_download(s3) == expected
    say(str(memory))
    assert sha256_of(stored(gateway)) == expected
    assert memory.most < MAX_RESIDENT


def test_five_gibibytes_go_up_in_one_unsigned_put_and_replace_as_much(gateway, source, timed, say):
    path, expected = source
    s3 = client(gateway)
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "large"}))
    with MemoryWatch(gateway.pid) as memory:
        for what in ("a PUT with UNSIGNED-PAYLOAD", "the same over the object that is there"):
            connection = http.client.HTTPConnection(url.netloc, timeout=900, blocksize=MIB)
            with path.open("rb") as body, timed(what, SIZE):
                connection.request("PUT", f"{url.path}?{url.query}", body, {"Content-Length": str(SIZE)})
                assert connection.getresponse().status == 200
            connection.close()
        with timed("a copy of it by CopyObject", SIZE):
            s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "large"})
        with timed("its deletion"):
            s3.delete_object(Bucket="bucket", Key="copy")
        with timed("one GET", SIZE):
            assert sha256_of_download(s3) == expected
    say(str(memory))
    assert os.path.getsize(stored(gateway)) == SIZE
    assert sha256_of(stored(gateway)) == expected
    assert memory.most < MAX_RESIDENT
