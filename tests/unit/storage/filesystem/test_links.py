"""With `symlinks = inside` a link that stays in its bucket is what it leads to; with any other it is not there."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket
from s3gate.storage.backend import ListQuery, StartError, VersionQuery
from s3gate.storage.filesystem import probe, syscalls
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.links import MAX_LINKS
from support.stores import (
    complete,
    delete,
    error_code,
    get,
    get_with_record,
    keys,
    put,
    put_part,
    set_versioning,
    start_upload,
    version_ids,
)


@pytest.fixture(params=["xattr", "sidecar"])
def backend(request: pytest.FixtureRequest, root: Path, runner: asyncio.Runner) -> Iterator[FilesystemBackend]:
    """A gateway that follows links."""
    backend = FilesystemBackend(str(root), durability="none", metadata=request.param, follow_links=True)
    runner.run(backend.start())
    yield backend
    runner.run(backend.stop())


@pytest.fixture
def directory(root: Path, bucket: Bucket) -> Path:
    """The directory of the bucket."""
    return root / "bucket"


async def assert_listed_as_it_is(backend: FilesystemBackend, bucket: Bucket) -> None:
    """Every key of the listing is there, with the same record, and the bytes that it says."""
    page = await backend.list_objects(bucket, ListQuery(limit=100_000))
    for listed in page.objects:
        data, record = await get_with_record(backend, bucket, listed.key)
        assert (record, len(data)) == (listed.record, listed.record.size), listed.key
        assert await backend.stat_object(bucket, listed.key) == record


# --- links to files


async def test_a_link_to_a_file_is_an_object_with_its_contents_and_etag(backend, bucket, directory) -> None:
    stored = await put(backend, bucket, "docs/v2", b"two", headers={"content-type": "text/x"}, tags={"a": "b"})
    (directory / "latest").symlink_to("docs/v2")

    data, record = await get_with_record(backend, bucket, "latest")

    assert data == b"two"
    assert (record.etag, record.headers, record.tags) == (stored.etag, stored.headers, stored.tags)
    assert record.modified_ns == stored.modified_ns
    assert await keys(backend, bucket) == ["docs/v2", "latest"]
    await assert_listed_as_it_is(backend, bucket)


async def test_a_link_to_a_file_of_another_program_has_its_synthetic_etag(backend, bucket, directory) -> None:
    (directory / "real").write_bytes(b"x")
    (directory / "name").symlink_to("real")

    assert await backend.stat_object(bucket, "name") == await backend.stat_object(bucket, "real")


async def test_a_write_to_a_link_replaces_the_link_and_leaves_its_target(backend, bucket, directory) -> None:
    await put(backend, bucket, "target", b"old")
    (directory / "link").symlink_to("target")

    await put(backend, bucket, "link", b"new")

    assert not (directory / "link").is_symlink()
    assert [await get(backend, bucket, key) for key in ("link", "target")] == [b"new", b"old"]


async def test_a_delete_of_a_link_removes_the_link_alone(backend, bucket, directory) -> None:
    large = {f"name-{n}": "v" * 200 for n in range(30)}  # a record too large for an attribute
    await put(backend, bucket, "target", b"data", user_metadata=large)
    (directory / "link").symlink_to("target")

    await delete(backend, bucket, "link")

    assert not (directory / "link").is_symlink()
    data, record = await get_with_record(backend, bucket, "target")
    assert (data, record.user_metadata) == (b"data", large)


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
async def test_a_link_in_a_versioned_bucket_is_replaced_and_deleted_and_never_archived(
    backend, bucket, directory, state
) -> None:
    await set_versioning(backend, bucket, state)
    stored = await put(backend, bucket, "target", b"old")
    for name in ("replaced", "deleted", "removed"):
        (directory / name).symlink_to("target")
        assert (await backend.stat_object(bucket, name)).version_id == "null"

    await put(backend, bucket, "replaced", b"new")
    marker = await delete(backend, bucket, "deleted")
    await delete(backend, bucket, "removed", "null")

    assert len(await version_ids(backend, bucket, "replaced")) == 1
    assert await version_ids(backend, bucket, "deleted") == ["-" + marker.version_id]
    assert await version_ids(backend, bucket, "removed") == []
    assert await backend.stat_object(bucket, "target") == stored
    assert await get(backend, bucket, "replaced") == b"new"


async def test_metadata_cannot_be_changed_through_a_link(backend, bucket, directory) -> None:
    stored = await put(backend, bucket, "target", b"x")
    (directory / "link").symlink_to("target")

    assert await error_code(backend.update_object(bucket, "link", lambda record: record)) == "AccessDenied"
    assert await backend.stat_object(bucket, "target") == stored


async def test_a_link_counts_for_conditions(backend, bucket, directory) -> None:
    stored = await put(backend, bucket, "target", b"x")
    (directory / "link").symlink_to("target")

    work = put(backend, bucket, "link", b"y", condition=WriteCondition(if_none_match="*"))
    assert await error_code(work) == "PreconditionFailed"
    await put(backend, bucket, "link", b"y", condition=WriteCondition(if_match=f'"{stored.etag}"'))
    assert await get(backend, bucket, "link") == b"y"


async def test_hard_links_are_two_objects_and_a_write_to_one_leaves_the_other(backend, bucket, directory) -> None:
    (directory / "one").write_bytes(b"shared")
    os.link(directory / "one", directory / "two")

    await put(backend, bucket, "one", b"new")

    assert [await get(backend, bucket, key) for key in ("one", "two")] == [b"new", b"shared"]


# --- links to directories


async def test_the_keys_of_a_linked_directory_are_listed_below_the_link(backend, bucket, directory) -> None:
    for key in ("data/v3/a", "data/v3/sub/b", "data/v3.x"):
        await put(backend, bucket, key, key.encode())
    (directory / "data/latest").symlink_to("v3")

    assert await keys(backend, bucket) == [
        "data/latest/a", "data/latest/sub/b", "data/v3.x", "data/v3/a", "data/v3/sub/b",
    ]  # fmt: skip
    assert await get(backend, bucket, "data/latest/sub/b") == b"data/v3/sub/b"
    await assert_listed_as_it_is(backend, bucket)


async def test_a_page_may_begin_and_end_within_a_linked_directory(backend, bucket, directory) -> None:
    for number in range(5):
        await put(backend, bucket, f"real/{number}", b"x")
    (directory / "link").symlink_to("real")
    found: list[str] = []
    page = await backend.list_objects(bucket, ListQuery(limit=1))
    while True:
        found += [listed.key for listed in page.objects]
        if not page.truncated:
            break
        page = await backend.list_objects(bucket, ListQuery(limit=1, after=page.last))

    assert found == [f"{name}/{number}" for name in ("link", "real") for number in range(5)]
    page = await backend.list_objects(bucket, ListQuery(prefix="link/", delimiter="/"))
    assert [listed.key for listed in page.objects] == [f"link/{number}" for number in range(5)]
    page = await backend.list_objects(bucket, ListQuery(delimiter="/"))
    assert page.prefixes == ["link/", "real/"]


async def test_a_linked_directory_without_objects_is_no_common_prefix(backend, bucket, directory) -> None:
    (directory / "empty").mkdir()
    (directory / "link").symlink_to("empty")
    (directory / "gone-1").symlink_to("nowhere")

    for delimiter in ("/", "-"):
        page = await backend.list_objects(bucket, ListQuery(delimiter=delimiter))
        assert (page.objects, page.prefixes) == ([], [])


async def test_a_write_below_a_linked_directory_goes_into_that_directory(backend, bucket, directory) -> None:
    (directory / "real").mkdir()
    (directory / "link").symlink_to("real")

    stored = await put(backend, bucket, "link/new/deep/key", b"data", user_metadata={"a": "b"})

    assert (directory / "real/new/deep/key").read_bytes() == b"data"
    assert await backend.stat_object(bucket, "real/new/deep/key") == stored
    assert await backend.stat_object(bucket, "link/new/deep/key") == stored
    await delete(backend, bucket, "link/new/deep/key")
    assert not (directory / "real/new/deep/key").exists()
    assert (directory / "link").is_symlink()


async def test_an_object_becomes_a_directory_below_a_linked_directory_too(backend, bucket, directory) -> None:
    await put(backend, bucket, "real/a", b"object")
    (directory / "link").symlink_to("real")

    await put(backend, bucket, "link/a/b", b"below")

    assert await keys(backend, bucket) == ["link/a", "link/a/b", "real/a", "real/a/b"]
    await assert_listed_as_it_is(backend, bucket)


async def test_an_upload_below_a_linked_directory_goes_into_that_directory(backend, bucket, directory) -> None:
    (directory / "real").mkdir()
    (directory / "link").symlink_to("real")
    upload = await start_upload(backend, bucket, "link/big")
    part = await put_part(backend, bucket, upload, 1, b"part")

    assert [each.key for each in await backend.list_uploads(bucket, "")] == ["link/big"]
    await complete(backend, bucket, upload, [part])

    assert (directory / "real/big").read_bytes() == b"part"


async def test_two_ways_to_a_key_share_its_history(backend, bucket, directory) -> None:
    await set_versioning(backend, bucket, "Enabled")
    first = await put(backend, bucket, "real/key", b"1")
    (directory / "link").symlink_to("real")
    second = await put(backend, bucket, "link/key", b"2")

    wanted = [second.version_id, first.version_id]
    assert await version_ids(backend, bucket, "real/key") == wanted
    assert await version_ids(backend, bucket, "link/key") == wanted
    assert await get(backend, bucket, "link/key", first.version_id) == b"1"


async def test_two_ways_to_a_key_are_one_for_compare_and_swap(backend, bucket, directory) -> None:
    (directory / "real").mkdir()
    (directory / "link").symlink_to("real")
    condition = WriteCondition(if_none_match="*")
    for number in range(20):
        writes = [
            error_code(put(backend, bucket, f"{way}/{number}", way.encode(), condition=condition))
            for way in ("real", "link")
        ]
        assert sorted(await asyncio.gather(*writes)) == ["PreconditionFailed", "none"]


async def test_a_key_beside_a_linked_directory_leaves_the_link(backend, bucket, directory) -> None:
    await put(backend, bucket, "real/x", b"x")
    (directory / "link").symlink_to("real")

    await put(backend, bucket, "link", b"object")

    assert (directory / "link").is_symlink()
    assert await keys(backend, bucket) == ["link", "link/x", "real/x"]
    assert await get(backend, bucket, "link") == b"object"
    await delete(backend, bucket, "link")
    assert await keys(backend, bucket) == ["link/x", "real/x"]


async def test_a_chain_of_links_is_followed(backend, bucket, directory) -> None:
    await put(backend, bucket, "a/b/c/key", b"x")
    (directory / "two").symlink_to("one")
    (directory / "one").symlink_to("a/b")
    (directory / "a/file").symlink_to("../two/c/key")

    assert await keys(backend, bucket) == ["a/b/c/key", "a/file", "one/c/key", "two/c/key"]
    await assert_listed_as_it_is(backend, bucket)


# --- loops


@pytest.mark.parametrize(
    "links",
    [
        {"self": "self"},
        {"one": "other", "other": "one"},
        {"a/here": "."},
        {"a/up": ".."},
        {"a/b/up": "../../a"},
        {"a/x": "../c", "c/y": "../a"},
    ],
)
async def test_a_walk_through_loops_ends(backend, bucket, directory, links) -> None:
    await put(backend, bucket, "a/b/key", b"x")
    await put(backend, bucket, "c/key", b"x")
    for name, target in links.items():
        (directory / name).symlink_to(target)

    found = await keys(backend, bucket)

    assert {"a/b/key", "c/key"} <= set(found)
    assert len(found) <= 4
    await assert_listed_as_it_is(backend, bucket)
    for way in ("a/here/b/key", "a/up/a/b/key", "a/b/up/b/key", "self/x", "a/x/y/b/key"):
        if way not in found:
            assert await error_code(backend.stat_object(bucket, way)) == "NoSuchKey"


async def test_no_key_leads_through_more_links_than_are_allowed(backend, bucket, directory) -> None:
    for number in range(MAX_LINKS + 1):
        (directory / f"d{number}").mkdir()
        (directory / f"d{number}/f").write_bytes(b"x")
        if number:
            (directory / f"d{number - 1}/n").symlink_to(f"../d{number}")
    (directory / "start").symlink_to("d0")

    found = await keys(backend, bucket)

    assert "start/" + "n/" * (MAX_LINKS - 1) + "f" in found
    assert "start/" + "n/" * MAX_LINKS + "f" not in found
    assert await error_code(backend.stat_object(bucket, "start/" + "n/" * MAX_LINKS + "f")) == "NoSuchKey"
    await assert_listed_as_it_is(backend, bucket)


@settings(max_examples=40, deadline=None)
@given(
    links=st.dictionaries(
        st.sampled_from(["l", "a/l", "a/b/l", "a/b/m", "c/l", "c/m", "z"]),
        st.sampled_from(
            [".", "..", "../..", "a", "b", "c", "../a", "../c", "../a/b", "l", "../z", "a/f", "../c/f", "no"]
        ),
    )
)
def test_whatever_the_links_listing_and_lookup_agree_and_end(links: dict[str, str]) -> None:
    async def check(root: str) -> None:
        backend = FilesystemBackend(root, durability="none", follow_links=True)
        await backend.start()
        bucket = await backend.find_bucket("bucket")
        found = await keys(backend, bucket)
        assert found == sorted(set(found), key=str.encode)
        await assert_listed_as_it_is(backend, bucket)
        for key in list(found):  # a key by way of one more link is in the listing too, or is not there
            for name in ("l", "m", "z"):
                way = f"{key.rpartition('/')[0]}/{name}/f".lstrip("/")
                assert (await error_code(backend.stat_object(bucket, way)) == "none") is (way in found)
        await backend.stop()

    with tempfile.TemporaryDirectory() as root:
        top = Path(root) / "bucket"
        for name in ("a/b", "c"):
            (top / name).mkdir(parents=True)
            (top / name / "f").write_bytes(b"x")
        (top / "a/f").write_bytes(b"x")
        for name, target in links.items():
            (top / name).symlink_to(target)
        asyncio.run(check(root))


# --- what is not followed


@pytest.mark.parametrize(
    "target",
    [
        "nowhere", "../outside/file", "../outside", "/etc/passwd", "/etc", ".s3gate", ".s3gate/bucket.json", "fifo",
        ".s3gate/v", "ABSOLUTE", "/proc/self/root/etc/passwd", "/proc/self/fd/0", "link",
    ],
)  # fmt: skip
async def test_what_leads_out_or_nowhere_is_not_there(backend, bucket, directory, root, target) -> None:
    await put(backend, bucket, "file", b"mine")
    (root / "outside").mkdir()
    (root / "outside/file").write_bytes(b"secret")
    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to(str(directory / "file") if target == "ABSOLUTE" else target)

    assert await keys(backend, bucket) == ["file"]
    for key in ("link", "link/file", "link/bucket.json", "link/passwd"):
        assert await error_code(backend.open_object(bucket, key)) == "NoSuchKey"
    page = await backend.list_versions(bucket, VersionQuery())
    assert [each.key for each in page.versions] == ["file"]
    assert await error_code(put(backend, bucket, "link/file", b"x")) == "AccessDenied"
    assert (root / "outside/file").read_bytes() == b"secret"
    assert os.listdir(root / "outside") == ["file"]
    await put(backend, bucket, "link", b"an object")
    assert await get(backend, bucket, "link") == b"an object"


async def test_a_link_with_a_name_of_the_gateways_own_kind_is_not_followed(backend, bucket, directory) -> None:
    await put(backend, bucket, "real/key", b"x")
    for name in (".s3gate=odd", ".s3gate%..", ".s3gate+ab", ".s3gatefoo"):
        (directory / name).symlink_to("real")

    assert await keys(backend, bucket) == ["real/key"]
    for key in ("../key", "abkey", ".s3gatefoo/key"):
        assert await error_code(backend.stat_object(bucket, key)) == "NoSuchKey"


async def test_a_link_that_is_turned_outwards_all_the_time_never_leads_outside(
    backend, bucket, directory, root
) -> None:
    (root / "outside").mkdir()
    (root / "outside/key").write_bytes(b"secret")
    await put(backend, bucket, "inside/key", b"mine")
    (directory / "link").symlink_to("inside")
    done = threading.Event()

    def turn() -> None:
        number = 0
        while not done.is_set():
            number += 1
            (directory / "turned").symlink_to(("inside", "../outside", ".s3gate")[number % 3])
            os.rename(directory / "turned", directory / "link")

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        for number in range(400):
            seen: list[bytes] = []

            async def read(seen: list[bytes] = seen) -> None:
                seen.append(await get(backend, bucket, "link/key"))

            assert (await error_code(read()), seen) in (("none", [b"mine"]), ("NoSuchKey", []))
            code = await error_code(put(backend, bucket, f"link/{number}", b"x"))
            assert code in ("none", "AccessDenied", "OperationAborted")
    finally:
        done.set()
        thread.join()
    assert os.listdir(root / "outside") == ["key"]
    assert not [name for name in os.listdir(directory / ".s3gate") if name.isdigit()]


async def test_a_bucket_with_a_link_is_not_empty(backend, bucket, directory) -> None:
    (directory / "link").symlink_to("nowhere")

    assert await error_code(backend.delete_bucket(bucket)) == "BucketNotEmpty"


async def test_a_link_is_no_bucket(backend, root) -> None:
    (root / "real-bucket").mkdir()
    (root / "linked-bucket").symlink_to("real-bucket")

    assert [bucket.name for bucket in await backend.list_buckets()] == ["real-bucket"]
    assert await error_code(backend.find_bucket("linked-bucket")) == "NoSuchBucket"


def test_links_are_followed_only_where_the_kernel_keeps_them_in(monkeypatch: pytest.MonkeyPatch) -> None:
    probe.require_safe_links()
    monkeypatch.setattr(syscalls, "_SYS_OPENAT2", 1 << 20)  # no kernel has that many system calls

    with pytest.raises(StartError, match="Set symlinks = deny"):
        probe.require_safe_links()


async def test_without_the_setting_no_link_is_there(root: Path, runner: asyncio.Runner) -> None:
    backend = FilesystemBackend(str(root), durability="none")
    await backend.start()
    (root / "bucket").mkdir()
    bucket = await backend.find_bucket("bucket")
    await put(backend, bucket, "real/key", b"x")
    (root / "bucket/file").symlink_to("real/key")
    (root / "bucket/link").symlink_to("real")

    assert await keys(backend, bucket) == ["real/key"]
    for key in ("file", "link/key"):
        assert await error_code(backend.stat_object(bucket, key)) == "NoSuchKey"
    await backend.delete_object(bucket, "file", NO_CONDITION)
    assert (root / "bucket/file").is_symlink()
    await backend.stop()
