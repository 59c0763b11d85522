"""Buckets of 200,000 objects and uploads of 10,000 parts are listed to the end, page by page, in bounded memory."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.files import MIB
from support.gateway import Gateway
from support.memory import MemoryWatch
from support.wire_client import ask, connect

pytestmark = pytest.mark.timeout(3600)

OBJECTS = 200_000
BY_PUT = 400
DIRECTORIES = 200
PAGE = 1000
PARTS = 10_000
CLIENTS = 4
MAX_RESIDENT = 200 * MIB


@pytest.fixture(params=["none", "full"])
def durability(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gateway(room: Path, durability: str) -> Iterator[Gateway]:
    with Gateway(room, "--no-auth", "--create-bucket", "bucket", "--durability", durability) as running:
        yield running


def flat_keys() -> list[str]:
    return [f"{number * 7919 % 1_000_003:07d}-object-of-a-flat-bucket" for number in range(OBJECTS)]


def nested_keys() -> list[str]:
    return [f"dir-{number % DIRECTORIES:03d}/sub/{number:06d}-object" for number in range(OBJECTS)]


def fill_bucket(gateway: Gateway, keys: list[str]) -> None:
    """Most objects as another program would make them, the rest by PUT."""
    by_put = set(random.Random(1).sample(keys, BY_PUT))
    for parent in {key.rpartition("/")[0] for key in keys}:
        (gateway.root / "bucket" / parent).mkdir(parents=True, exist_ok=True)
    for key in keys:
        if key not in by_put:
            (gateway.root / "bucket" / key).touch()
    connection = connect(gateway)
    for key in sorted(by_put):
        assert ask(connection, "PUT", f"/bucket/{key}", key.encode()).status == 200
    connection.close()


def timed_pages(pages: Any) -> Iterator[tuple[float, dict[str, Any]]]:
    """Each page with the seconds it took."""
    iterator = iter(pages)
    while True:
        start = time.perf_counter()
        page = next(iterator, None)
        if page is None:
            return
        yield time.perf_counter() - start, page


def in_milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return (
        f"{len(seconds)} pages in {sum(seconds):.1f} s; a page {statistics.median(ordered) * 1000:.0f} ms (median), "
        f"{ordered[len(ordered) * 99 // 100] * 1000:.0f} ms (99 %), {ordered[-1] * 1000:.0f} ms (most)"
    )


def list_all(gateway: Gateway, **arguments: Any) -> tuple[list[str], list[str], list[float]]:
    """Keys, common prefixes, and the seconds of each page."""
    keys, prefixes, seconds = [], [], []
    paginator = gateway.boto3().get_paginator("list_objects_v2")
    pages = paginator.paginate(Bucket="bucket", PaginationConfig={"PageSize": PAGE}, **arguments)
    for took, page in timed_pages(pages):
        assert page["KeyCount"] <= PAGE
        keys += [each["Key"] for each in page.get("Contents", [])]
        prefixes += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
        seconds.append(took)
    return keys, prefixes, seconds


@pytest.mark.parametrize("durability", ["none"], indirect=True)  # a listing writes nothing
@pytest.mark.parametrize("make_keys", [flat_keys, nested_keys], ids=["flat", "in 200 directories"])
def test_a_bucket_of_200000_objects_is_listed_to_the_end(gateway, make_keys, timed, say):
    expected = make_keys()
    with timed(f"making {OBJECTS - BY_PUT} files and {BY_PUT} objects"):
        fill_bucket(gateway, expected)
    expected.sort()
    with MemoryWatch(gateway.pid) as memory:
        for what in ("first time", "second time"):
            keys, _, seconds = list_all(gateway)
            assert keys == expected
            say(f"listed for the {what}: {in_milliseconds(seconds)}")
        keys, prefixes, seconds = list_all(gateway, Delimiter="/")
        assert sorted([*keys, *prefixes]) == sorted({key.partition("/")[0] + "/" * ("/" in key) for key in expected})
        say(f"with a delimiter: {in_milliseconds(seconds)}")
        keys, _, seconds = list_all(gateway, StartAfter=expected[OBJECTS // 2])
        assert keys == expected[OBJECTS // 2 + 1 :]
        say(f"from the middle on: {in_milliseconds(seconds)}")
        ask(gateway, "PUT", "/bucket/zzz-written-meanwhile")
        keys, _, seconds = list_all(gateway, MaxKeys=PAGE)
        assert keys == [*expected, "zzz-written-meanwhile"]
        say(f"just after a write: {in_milliseconds(seconds)}")
    say(str(memory))
    assert memory.most < MAX_RESIDENT


def send_parts(gateway: Gateway, upload: str, numbers: range, seconds: list[float]) -> None:
    connection = connect(gateway)
    for number in numbers:
        start = time.perf_counter()
        answer = ask(connection, "PUT", f"/bucket/joined?partNumber={number}&uploadId={upload}", b"x")
        assert answer.status == 200
        seconds.append(time.perf_counter() - start)
    connection.close()


def test_an_upload_of_10000_parts_is_listed_to_the_end_and_refused_for_its_small_parts(gateway, timed, say):
    s3 = gateway.boto3(read_timeout=900)
    target = {"Bucket": "bucket", "Key": "joined"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    seconds: list[list[float]] = [[] for _ in range(CLIENTS)]
    with MemoryWatch(gateway.pid) as memory:
        with timed(f"{PARTS} UploadParts of one byte by {CLIENTS} clients"):
            senders = [
                threading.Thread(
                    target=send_parts, args=(gateway, target["UploadId"], range(first + 1, PARTS + 1, CLIENTS), took)
                )
                for first, took in enumerate(seconds)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
        assert [len(took) for took in seconds] == [PARTS // CLIENTS] * CLIENTS
        for what, part in (("first", slice(0, 100)), ("last", slice(-100, None))):
            median = statistics.median(each for took in seconds for each in took[part])
            say(f"the {what} 100 parts of each client took {median * 1000:.1f} ms each (median)")

        pages = list(timed_pages(s3.get_paginator("list_parts").paginate(**target)))
        parts = [part for _, page in pages for part in page["Parts"]]
        assert [part["PartNumber"] for part in parts] == [*range(1, PARTS + 1)]
        assert {part["Size"] for part in parts} == {1}
        say(f"ListParts: {in_milliseconds([took for took, _ in pages])}")

        named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
        with timed("Complete"), pytest.raises(ClientError) as caught:
            s3.complete_multipart_upload(**target, MultipartUpload={"Parts": named})
        assert caught.value.response["Error"]["Code"] == "EntityTooSmall"
        with timed("Abort"):
            s3.abort_multipart_upload(**target)
    say(str(memory))
    assert s3.list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []
    assert memory.most < MAX_RESIDENT
