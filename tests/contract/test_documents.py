"""What a store owes on the documents of a bucket."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import VERSIONING, Bucket
from s3gate.storage.backend import Backend, ListQuery
from support.stores import ALICE, REGION, Store, error_code, keys, put, set_versioning, versions


async def documents(backend: Backend, bucket: Bucket) -> dict[str, bytes]:
    return dict((await backend.find_bucket(bucket.name)).documents)


async def test_a_new_bucket_has_no_documents_and_no_versions(backend: Backend, bucket: Bucket) -> None:
    assert await documents(backend, bucket) == {}
    assert bucket.versioning == ""


@pytest.mark.parametrize("data", [b"", b"\0\n\xff", b'{"Statement": []}', b"x" * 200_000], ids=len)
async def test_a_document_is_found_by_every_backend_at_once(
    backend: Backend, another: Backend, bucket: Bucket, data: bytes
) -> None:
    """Also by one that looked at the bucket just before."""
    for each in (backend, another):
        assert await documents(each, bucket) == {}
    await backend.put_document(bucket, "policy", data)
    for each in (another, backend):
        assert await documents(each, bucket) == {"policy": data}


async def test_a_document_replaces_the_one_of_its_kind_alone(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    await backend.put_document(bucket, "policy", b"a long first policy")
    await another.put_document(bucket, "tagging", b"tags")
    await another.put_document(bucket, "policy", b"second")
    for each in (backend, another):
        assert await documents(each, bucket) == {"policy": b"second", "tagging": b"tags"}


async def test_documents_of_equal_length_replaced_quickly_are_told_apart(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    for n in range(50):
        await backend.put_document(bucket, "policy", b"%04d" % n)
        assert await documents(another, bucket) == {"policy": b"%04d" % n}


async def test_a_deleted_document_is_gone_for_every_backend(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await backend.put_document(bucket, "policy", b"policy")
    await backend.put_document(bucket, "tagging", b"tags")
    assert len(await documents(another, bucket)) == 2
    await backend.delete_document(bucket, "policy")
    for each in (another, backend):
        assert await documents(each, bucket) == {"tagging": b"tags"}


async def test_deleting_a_document_that_is_not_there_succeeds(backend: Backend, bucket: Bucket) -> None:
    await backend.delete_document(bucket, "policy")
    await backend.put_document(bucket, "tagging", b"tags")
    await backend.delete_document(bucket, "policy")
    assert await documents(backend, bucket) == {"tagging": b"tags"}


async def test_a_bucket_is_otherwise_as_it_was(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    await backend.put_document(bucket, "policy", b"policy")
    found = await backend.find_bucket("bucket")
    assert (found.name, found.owner, found.region, found.created_ns) == ("bucket", ALICE, REGION, bucket.created_ns)
    assert [(each.name, each.created_ns) for each in await backend.list_buckets()] == [("bucket", bucket.created_ns)]
    assert await keys(backend, bucket) == ["key"]
    assert (await backend.list_objects(bucket, ListQuery(delimiter="/"))).prefixes == []
    assert [each.key for each in await versions(backend, bucket)] == ["key"]


async def test_a_bucket_that_was_found_before_stays_as_it_was_found(backend: Backend, bucket: Bucket) -> None:
    await backend.put_document(bucket, "policy", b"policy")
    found = await backend.find_bucket("bucket")
    await backend.put_document(bucket, "policy", b"other")
    await backend.delete_document(bucket, "tagging")
    assert found.documents == {"policy": b"policy"}
    assert bucket.documents == {}


async def test_documents_are_of_one_bucket(backend: Backend, bucket: Bucket) -> None:
    other = await backend.create_bucket("other", ALICE, REGION)
    await backend.put_document(bucket, "policy", b"policy")
    await set_versioning(backend, bucket, "Enabled")
    assert await documents(backend, other) == {}
    assert (await put(backend, other, "key")).version_id == "null"


async def test_documents_outlive_their_backend(store: Store, backend: Backend, bucket: Bucket) -> None:
    await backend.put_document(bucket, "policy", b"policy")
    await set_versioning(backend, bucket, "Suspended")
    await backend.stop()
    later = store()
    await later.start()
    found = await later.find_bucket("bucket")
    assert found.documents == {"policy": b"policy", VERSIONING: b"Suspended"}
    assert found.versioning == "Suspended"
    await later.stop()
    await backend.start()


async def test_documents_go_with_their_bucket(backend: Backend, another: Backend, bucket: Bucket) -> None:
    await backend.put_document(bucket, "policy", b"policy")
    await set_versioning(backend, bucket, "Enabled")
    await backend.delete_bucket(bucket)
    for each in (backend, another):
        assert await error_code(each.put_document(bucket, "policy", b"policy")) == "NoSuchBucket"
        assert await error_code(each.delete_document(bucket, "policy")) == "NoSuchBucket"
    again = await another.create_bucket("bucket", ALICE, REGION)
    for each in (backend, another):
        assert await documents(each, again) == {}
        assert (await put(each, again, "key")).version_id == "null"


async def test_of_concurrent_documents_of_a_kind_one_stays_whole(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    given = [bytes([n]) * 1000 * (n + 1) for n in range(20)]
    read: list[dict[str, bytes]] = []

    async def write(n: int) -> None:
        await [backend, another][n % 2].put_document(bucket, "policy", given[n])
        read.append(await documents([another, backend][n % 2], bucket))

    await asyncio.gather(*[write(n) for n in range(20)])
    assert all(found["policy"] in given for found in read)
    assert await documents(backend, bucket) == await documents(another, bucket)


async def test_concurrent_documents_of_many_kinds_all_stay(backend: Backend, another: Backend, bucket: Bucket) -> None:
    kinds = ["policy", "tagging", "cors", "lifecycle", "encryption", "acl", "website", VERSIONING]
    data = {kind: b"Enabled" if kind == VERSIONING else kind.encode() for kind in kinds}
    await asyncio.gather(
        *[[backend, another][n % 2].put_document(bucket, kind, data[kind]) for n, kind in enumerate(kinds)]
    )
    for each in (backend, another):
        assert await documents(each, bucket) == data


# --- the document of versioning
@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
async def test_the_state_of_versioning_is_told_by_the_bucket(backend: Backend, bucket: Bucket, state: str) -> None:
    await set_versioning(backend, bucket, state)
    assert (await backend.find_bucket("bucket")).versioning == state


async def test_the_state_counts_that_stands_when_a_write_takes_place(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """Not the one of the bucket that the request found earlier, nor the one of the time the body began to come."""
    await put(another, bucket, "key", b"first")
    async with another.stage(bucket) as stage:
        await set_versioning(backend, bucket, "Enabled")
        record = await another.stat_object(bucket, "key")
        stored = await another.commit_object(bucket, stage, "key", record, NO_CONDITION)
    assert stored.version_id != "null"
    enabled = await another.find_bucket("bucket")
    await set_versioning(backend, bucket, "Suspended")
    assert (await put(another, enabled, "key", b"third")).version_id == "null"
    assert (await another.delete_object(enabled, "other", NO_CONDITION)).version_id == "null"
    await set_versioning(backend, bucket, "Enabled")
    assert (await another.delete_object(bucket, "key", NO_CONDITION)).version_id != "null"
