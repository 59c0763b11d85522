"""The ETags of new objects, as the bucket says or else as the gateway is set."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.core.bucket_properties import CHECKSUM_TYPE
from s3gate.operations.call import Rules
from support.operations import ALICE, Bench, md5, texts

DATA = b"some content"


async def set_kind(bench: Bench, kind: str, bucket: str = "b") -> None:
    await bench.storage.put_document(await bench.storage.find_bucket(bucket), CHECKSUM_TYPE, kind.encode())


async def etag(bench: Bench, key: str, bucket: str = "b") -> str:
    return (await bench.head(f"/{bucket}/{key}"))["etag"].strip('"')


@pytest.fixture
def two(bench: Bench, runner: asyncio.Runner) -> Bench:
    """Another bucket, `other`."""
    runner.run(bench.storage.create_bucket("other", ALICE, "us-east-1"))
    return bench


async def test_a_bucket_says_what_its_etags_are_made_of_and_old_ones_stay(bench: Bench) -> None:
    bench.rules = Rules(checksum_type="xxhash")
    await bench("PUT", "/b/as-the-gateway", body=DATA)
    await set_kind(bench, "md5")
    await bench("PUT", "/b/as-the-bucket", body=DATA)
    assert await etag(bench, "as-the-bucket") == md5(DATA)
    assert (await etag(bench, "as-the-gateway")).endswith("-x1")


async def test_random_etags_are_a_choice_of_a_bucket(bench: Bench) -> None:
    await set_kind(bench, "none")
    await bench("PUT", "/b/k", body=DATA)
    first = await etag(bench, "k")
    await bench("PUT", "/b/k", body=DATA)
    assert first.endswith("-n1")
    assert first != await etag(bench, "k")


async def test_parts_of_an_upload_are_as_their_bucket_says(bench: Bench) -> None:
    await set_kind(bench, "xxhash")
    made = await bench("POST", "/b/k", "uploads")
    upload = texts(made, "UploadId")[0]
    part = await bench("PUT", "/b/k", f"partNumber=1&uploadId={upload}", body=DATA)
    assert part.headers["etag"].strip('"').endswith("-x1")


async def test_a_copy_has_the_kind_of_the_bucket_it_is_made_in(two: Bench) -> None:
    await two("PUT", "/b/k", body=DATA)
    await set_kind(two, "xxhash", "other")
    await two("PUT", "/other/k", **{"x-amz-copy-source": "/b/k"})
    assert (await etag(two, "k", "other")).endswith("-x1")
    assert await two.content("/other/k") == DATA
    await set_kind(two, "md5")
    await two("PUT", "/b/back", **{"x-amz-copy-source": "/other/k"})
    assert await etag(two, "back") == md5(DATA)


@pytest.mark.parametrize("kind", ["md5", "none", ""])
async def test_a_copy_keeps_an_etag_that_the_bucket_has_nothing_against(two: Bench, kind: str) -> None:
    await two("PUT", "/b/k", body=DATA)
    if kind:
        await set_kind(two, kind, "other")
    await two("PUT", "/other/k", **{"x-amz-copy-source": "/b/k"})
    assert await etag(two, "k", "other") == md5(DATA)


async def test_a_kind_that_is_not_known_refuses_writes_and_no_reads(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=DATA)
    await set_kind(bench, "sha1")
    assert (await bench.fails("PUT", "/b/other", body=DATA)).code == "InternalError"
    assert await bench.content("/b/k") == DATA
