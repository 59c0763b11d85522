"""Files that other programs put, change and remove are objects as they stand."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT
from s3gate.storage.backend import ListQuery
from s3gate.storage.filesystem import buckets
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.processes import own_descriptors
from support.stores import ALICE, REGION, error_code, get, get_with_record, keys, put


async def test_a_directory_that_was_there_is_a_bucket_of_the_root_account(
    backend: FilesystemBackend, root: Path
) -> None:
    (root / "Old_Data.2019").mkdir()

    found = await backend.find_bucket("Old_Data.2019")

    assert found.owner == ROOT
    assert [bucket.name for bucket in await backend.list_buckets()] == ["Old_Data.2019"]
    assert not (root / "Old_Data.2019" / ".s3gate").exists(), "reading leaves no trace"


async def test_creating_a_bucket_over_a_directory_adopts_it_with_its_files(
    backend: FilesystemBackend, root: Path
) -> None:
    (root / "adopted").mkdir()
    (root / "adopted" / "file.txt").write_bytes(b"old")

    bucket = await backend.create_bucket("adopted", ROOT, REGION)

    assert await get(backend, bucket, "file.txt") == b"old"
    assert await error_code(backend.create_bucket("adopted", ROOT, REGION)) == "BucketAlreadyOwnedByYou"


async def test_a_directory_is_not_adopted_by_another_account(backend: FilesystemBackend, root: Path) -> None:
    (root / "adopted").mkdir()

    assert await error_code(backend.create_bucket("adopted", ALICE, REGION)) == "BucketAlreadyExists"


async def test_a_file_put_by_another_program_is_an_object(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "bucket" / "docs").mkdir()
    (root / "bucket" / "docs" / "page.html").write_bytes(b"<p>hello")

    data, record = await get_with_record(backend, bucket, "docs/page.html")

    assert data == b"<p>hello"
    assert record.headers["content-type"] == "text/html"
    assert "-" in record.etag, "no client takes it for an MD5"
    page = await backend.list_objects(bucket, ListQuery())
    assert [(item.key, item.record) for item in page.objects] == [("docs/page.html", record)]


async def test_a_file_changed_in_place_keeps_its_headers_and_loses_its_etag(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    stored = await put(backend, bucket, "key", b"before", headers={"content-type": "text/x"}, user_metadata={"a": "b"})
    with (root / "bucket" / "key").open("ab") as file:
        file.write(b" and after")

    data, record = await get_with_record(backend, bucket, "key")

    assert data == b"before and after"
    assert record.size == len(data)
    assert record.etag != stored.etag
    assert record.headers == stored.headers
    assert record.user_metadata == stored.user_metadata


async def test_a_file_moved_by_another_program_keeps_its_record(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    stored = await put(backend, bucket, "old/name", b"data", user_metadata={"a": "b"})
    os.rename(root / "bucket" / "old", root / "bucket" / "new")

    assert await backend.stat_object(bucket, "new/name") == stored
    assert await error_code(backend.stat_object(bucket, "old/name")) == "NoSuchKey"


async def test_a_file_from_outside_counts_for_conditions(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "bucket" / "lock").write_bytes(b"taken")

    work = put(backend, bucket, "lock", b"mine", condition=WriteCondition(if_none_match="*"))

    assert await error_code(work) == "PreconditionFailed"
    assert (root / "bucket" / "lock").read_bytes() == b"taken"


@pytest.mark.parametrize("kind", ["fifo", "socket", "dangling", "link", "directory-link", "loop"])
async def test_what_is_not_a_file_is_no_object_and_harms_no_listing(
    backend: FilesystemBackend, bucket: Bucket, root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "bucket" / "odd"
    (root / "bucket" / "real").write_bytes(b"x")
    (root / "secret").mkdir()
    (root / "secret" / "file").write_bytes(b"not yours")
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "socket":
                monkeypatch.chdir(path.parent)  # an address has at most 107 bytes
                listener.bind("odd")
            case "dangling":
                path.symlink_to("nowhere")
            case "link":
                path.symlink_to(root / "secret" / "file")
            case "directory-link":
                path.symlink_to(root / "secret")
            case "loop":
                path.symlink_to("odd")

    assert await keys(backend, bucket) == ["real"]
    assert await error_code(backend.open_object(bucket, "odd")) == "NoSuchKey"
    assert await error_code(backend.open_object(bucket, "odd/file")) == "NoSuchKey"
    assert await error_code(put(backend, bucket, "odd/file", b"x")) == "AccessDenied"
    assert (root / "secret" / "file").read_bytes() == b"not yours"


async def test_nothing_outside_the_bucket_can_be_reached(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "outside").write_bytes(b"secret")

    for key in ("../outside", "a/../../outside", "/../outside", "..", "."):
        assert await error_code(backend.open_object(bucket, key)) == "NoSuchKey"
        await put(backend, bucket, key, b"mine")
        assert await get(backend, bucket, key) == b"mine"

    assert (root / "outside").read_bytes() == b"secret"
    assert sorted(os.listdir(root)) == [".s3gate", "bucket", "outside"]


async def test_names_that_are_no_text_are_left_out(backend: FilesystemBackend, bucket: Bucket, root: Path) -> None:
    with open(os.fsencode(root / "bucket") + b"/caf\xe9", "wb") as file:
        file.write(b"x")
    (root / "bucket" / "fine").write_bytes(b"x")

    assert await keys(backend, bucket) == ["fine"]


async def test_an_unreadable_directory_never_fails_a_page(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "bucket" / "a").write_bytes(b"x")
    (root / "bucket" / "empty").mkdir()
    (root / "bucket" / "z").write_bytes(b"x")

    page = await backend.list_objects(bucket, ListQuery(delimiter="/"))

    assert [item.key for item in page.objects] == ["a", "z"]
    assert page.prefixes == [], "a directory without an object is no common prefix"


async def test_a_bucket_with_a_file_no_listing_shows_is_not_deleted(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "bucket" / "deep" / "er").mkdir(parents=True)
    (root / "bucket" / "deep" / "er" / "link").symlink_to("nowhere")

    assert await keys(backend, bucket) == []
    assert await error_code(backend.delete_bucket(bucket)) == "BucketNotEmpty"
    assert (root / "bucket" / "deep" / "er" / "link").is_symlink()


async def test_a_directory_that_vanishes_while_a_bucket_is_deleted_does_not_matter(
    backend: FilesystemBackend, bucket: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "bucket" / "deep" / "er").mkdir(parents=True)
    real = buckets.open_beneath

    def remove_first(directory: int, path: bytes, flags: int) -> int:
        if path == b"deep/er" and (root / "bucket" / "deep" / "er").exists():
            (root / "bucket" / "deep" / "er").rmdir()
        return real(directory, path, flags)

    monkeypatch.setattr(buckets, "open_beneath", remove_first)

    await backend.delete_bucket(bucket)

    assert not (root / "bucket").exists()


async def test_a_bucket_moved_away_and_replaced_is_the_new_one(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    await put(backend, bucket, "key", b"old")
    os.rename(root / "bucket", root / "elsewhere")
    (root / "bucket").mkdir()

    fresh = await backend.find_bucket("bucket")

    assert await keys(backend, fresh) == []
    assert await get(backend, await backend.find_bucket("elsewhere"), "key") == b"old"


async def test_objects_are_plain_files_under_their_own_names(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    await put(backend, bucket, "photos/cat & dog.jpg", b"jpeg")

    path = root / "bucket" / "photos" / "cat & dog.jpg"
    assert path.read_bytes() == b"jpeg"
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


async def test_directories_made_for_a_key_go_with_it_and_others_stay(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "bucket" / "mine").mkdir()
    for key in ("made/for/me", "mine/made/file"):
        await put(backend, bucket, key, b"x")
        await backend.delete_object(bucket, key, NO_CONDITION)

    await backend.stop()

    assert sorted(os.listdir(root / "bucket")) == [".s3gate", "mine"]
    assert os.listdir(root / "bucket" / "mine") == []
    await backend.start()


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_listing_buckets_holds_no_descriptor_of_each(backend: FilesystemBackend, root: Path) -> None:
    for number in range(50):
        (root / f"bucket-{number}").mkdir()
    before = len(own_descriptors(root))

    assert len(await backend.list_buckets()) == 50

    assert len(own_descriptors(root)) == before


@pytest.mark.parametrize("text", ["{", "{}", '{"owner": 1}', ""])
async def test_a_damaged_bucket_is_left_out_of_the_list_of_the_others(
    backend: FilesystemBackend, root: Path, text: str
) -> None:
    for name in ("fine", "damaged"):
        await backend.create_bucket(name, ROOT, REGION)
    await backend.stop()
    (root / "damaged" / ".s3gate" / "bucket.json").write_text(text)
    await backend.start()

    assert [bucket.name for bucket in await backend.list_buckets()] == ["fine"]


async def test_a_shadow_that_cannot_be_removed_does_not_fail_the_write_that_is_committed(
    backend: FilesystemBackend, bucket: Bucket, root: Path
) -> None:
    (root / "bucket" / ".s3gate=key").mkdir()

    stored = await put(backend, bucket, "key", b"data", user_metadata={"a": "b"})

    assert await backend.stat_object(bucket, "key") == stored
