"""obstore, the Rust object_store: conditional writes as a compare-and-swap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

from support.files import MIB, digests, payload
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway

WRITERS = 8


@pytest.fixture
def store(gateway: Gateway, made_bucket: str) -> S3Store:
    return S3Store(
        made_bucket,
        endpoint=gateway.endpoint,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        region=REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_objects_are_stored_read_listed_and_removed(store: S3Store, gateway: Gateway, made_bucket: str):
    content = payload(20 * MIB)

    store.put("dir/large.bin", content, use_multipart=True, chunk_size=5 * MIB)
    store.put("dir/small", b"one", attributes={"Content-Type": "text/plain"}, use_multipart=False)
    store.copy("dir/small", "copy")
    store.rename("dir/small", "moved")

    assert (gateway.root / made_bucket / "dir/large.bin").read_bytes() == content
    assert bytes(store.get("dir/large.bin").bytes()) == content
    assert bytes(store.get_range("dir/large.bin", start=7_000_000, length=1000)) == content[7_000_000:7_001_000]
    pieces = store.get_ranges("dir/large.bin", starts=[0, 12_000_000], lengths=[10, 20])
    assert [bytes(piece) for piece in pieces] == [content[:10], content[12_000_000:12_000_020]]
    assert [each["path"] for page in store.list() for each in page] == ["copy", "dir/large.bin", "moved"]
    assert store.list_with_delimiter()["common_prefixes"] == ["dir"]
    assert store.get("moved").attributes["Content-Type"] == "text/plain"
    store.delete(["copy", "dir/large.bin", "moved"])
    assert digests(gateway.root / made_bucket) == {}


def test_of_many_creators_exactly_one_wins(store: S3Store, gateway: Gateway, made_bucket: str):
    def create(writer: int) -> bytes | None:
        content = payload(10_000, seed=writer)
        try:
            store.put("lease", content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return None
        return content

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [content for content in pool.map(create, range(WRITERS)) if content is not None]

    assert [(gateway.root / made_bucket / "lease").read_bytes()] == won


def test_an_update_needs_the_etag_it_replaces(store: S3Store):
    first = store.put("state", b"1", use_multipart=False)
    second = store.put("state", b"2", mode={"e_tag": first["e_tag"]}, use_multipart=False)

    with pytest.raises(PreconditionError):
        store.put("state", b"3", mode={"e_tag": first["e_tag"]}, use_multipart=False)

    assert bytes(store.get("state").bytes()) == b"2"
    assert store.head("state")["e_tag"] == second["e_tag"]


def test_a_counter_that_many_update_loses_no_step(store: S3Store):
    store.put("counter", b"0", use_multipart=False)

    def add_five(writer: int) -> None:
        done = 0
        while done < 5:
            found = store.get("counter")
            count = int(bytes(found.bytes()))
            try:
                store.put("counter", str(count + 1).encode(), mode={"e_tag": found.meta["e_tag"]}, use_multipart=False)
                done += 1
            except PreconditionError:
                continue

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(add_five, range(WRITERS)))

    assert bytes(store.get("counter").bytes()) == str(5 * WRITERS).encode()
