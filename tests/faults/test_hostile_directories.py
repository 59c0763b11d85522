"""Directories that other programs fill with anything: listings are complete, and agree with what HEAD and GET say."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3gate.core.values import Bucket
from s3gate.operations import ROUTES
from s3gate.server.app import create_app
from s3gate.storage.backend import ListPage, ListQuery, VersionQuery
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.asgi import Answer, ask, sample_gateway
from support.files import MIB, payload
from support.gateway import Gateway
from support.ordinary_user import as_ordinary_user, own, shared_directory
from support.stores import delete, error_code, get, put, set_versioning
from support.wire_client import begin_get

MODES = pytest.mark.parametrize("metadata", ["xattr", "sidecar"])
FOLLOWED = pytest.mark.parametrize("follow_links", [False, True])


def use(root: Path, work: Callable[[FilesystemBackend, Bucket], Awaitable[Any]], **options: Any) -> Any:
    """What `work` gives with a backend over `root` and its bucket `bucket`."""

    async def run() -> Any:
        backend = FilesystemBackend(str(root), durability="none", **options)
        await backend.start()
        try:
            return await work(backend, await backend.find_bucket("bucket"))
        finally:
            await backend.stop()

    return asyncio.run(run())


async def pages(backend: FilesystemBackend, bucket: Bucket, limit: int, delimiter: str = "") -> list[ListPage]:
    """All pages of a listing. Every page but the last is full, and says that another one follows."""
    found = [await backend.list_objects(bucket, ListQuery(limit=limit, delimiter=delimiter))]
    while found[-1].truncated:
        last = found[-1]
        assert len(last.objects) + len(last.prefixes) == limit
        past = last.last if last.last_is_prefix else ""
        query = ListQuery(after=last.last, past=past, limit=limit, delimiter=delimiter)
        found.append(await backend.list_objects(bucket, query))
    return found


async def keys_in_pages(backend: FilesystemBackend, bucket: Bucket, limit: int) -> list[str]:
    """All keys, in pages of `limit`; in order, and each once."""
    found = [listed.key for page in await pages(backend, bucket, limit) for listed in page.objects]
    assert found == sorted(set(found), key=str.encode)
    return found


async def assert_true(backend: FilesystemBackend, bucket: Bucket, closed: frozenset[str] = frozenset()) -> None:
    """Listing, HEAD and GET say the same of every key. Those in `closed` are listed, and to get them is denied."""
    listed_versions = (await backend.list_versions(bucket, VersionQuery(limit=100_000))).versions
    versions = {each.key: each.record for each in listed_versions if each.latest}
    for limit in (1, 3, 1000):
        for page in await pages(backend, bucket, limit):
            for listed in page.objects:
                assert versions[listed.key] == listed.record
                if listed.key in closed:
                    assert await error_code(backend.stat_object(bucket, listed.key)) == "AccessDenied"
                    assert await error_code(backend.open_object(bucket, listed.key)) == "AccessDenied"
                else:
                    assert await backend.stat_object(bucket, listed.key) == listed.record
                    assert len(await get(backend, bucket, listed.key)) == listed.record.size


# --- entries that are not plain files, or not plainly named

ODD_NAMES = [
    b"new\nline", b"tab\t", b"back\\slash", b"\x01\x7f", b" space ", b"%41", b"+", b"=", b"\xc3\xa9", b"e\xcc\x81",
    b"-rf", b"*", b"a" * 240, b"\xf0\x9f\xa6\x84" * 60, b".hidden", b"..x", b"~", b"&lt;", b"nul\xef\xbf\xbd",
]  # fmt: skip
NO_KEYS = [
    b"caf\xe9", b"\xff", b"\xed\xa0\x80", b"a" * 241, b"b" * 255, b".s3gatefoo", b".s3gate-tmp", b".s3gate%plain",
    b".s3gate+chunk", b".s3gate!cat", b".nfs000000000000000100000002", b"lost+found", b".s3gate=",
]  # fmt: skip


def fill(directory: Path) -> set[str]:
    """Make one of everything; gives the keys that are there for clients."""
    top = os.fsencode(directory)
    for name in (*ODD_NAMES, *NO_KEYS):
        with open(top + b"/" + name, "wb") as file:
            file.write(name[:7])
    os.mkfifo(top + b"/fifo")
    os.mknod(top + b"/device", stat.S_IFCHR | 0o666, os.makedev(0, 0))  # the one that needs no privilege
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(directory)  # an address has at most 107 bytes
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)
    for name, target in (("dangling", "nowhere"), ("loop", "loop"), ("out", "/etc/passwd"), ("tree", "/etc")):
        os.symlink(target, directory / name)
    (directory / "empty/er").mkdir(parents=True)
    (directory / ".s3gate+dir").mkdir()
    (directory / ".s3gate+dir/file").write_bytes(b"x")
    (directory / ("d" * 241)).mkdir()
    (directory / ("d" * 241) / "file").write_bytes(b"x")
    deep = top + b"/deep" + b"/" + b"/".join([b"x" * 200] * 6)
    os.makedirs(deep)
    with open(deep + b"/file", "wb") as file:  # a path of more bytes than a key may have
        file.write(b"x")
    return {name.decode() for name in ODD_NAMES}


@MODES
@FOLLOWED
def test_a_directory_with_one_of_everything_is_listed_as_it_is(tmp_path, metadata, follow_links):
    (tmp_path / "bucket").mkdir()
    expected = fill(tmp_path / "bucket")

    async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
        await put(backend, bucket, "zz/ours", b"ours")
        wanted = sorted({*expected, "zz/ours"}, key=str.encode)
        for limit in (1, 2, 7, 1000):
            assert await keys_in_pages(backend, bucket, limit) == wanted
        page = await backend.list_objects(bucket, ListQuery(delimiter="/"))
        assert set(page.prefixes) <= {"deep/", "zz/"}, "nothing else has a key below it"
        await assert_true(backend, bucket)
        for key in ("fifo", "device", "socket", "dangling", "loop", "out", "tree", "tree/passwd", "empty", "a" * 241):
            assert await error_code(backend.open_object(bucket, key)) == "NoSuchKey"

    use(tmp_path, look, metadata=metadata, follow_links=follow_links)


@MODES
def test_a_name_that_is_not_shown_does_not_stand_in_the_way_of_the_key(tmp_path, metadata):
    (tmp_path / "bucket").mkdir()
    long = "b" * 255
    (tmp_path / "bucket" / long).write_bytes(b"theirs")

    async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
        stored = await put(backend, bucket, long, b"ours")
        assert await backend.stat_object(bucket, long) == stored
        assert await keys_in_pages(backend, bucket, 10) == [long]
        assert (tmp_path / "bucket" / long).read_bytes() == b"theirs"

    use(tmp_path, look, metadata=metadata)


# --- permissions


def close(path: Path, mode: int = 0) -> None:
    own(str(path))
    os.chmod(path, mode)


@MODES
@FOLLOWED
@pytest.mark.parametrize("versioned", [False, True])
def test_what_is_closed_to_the_gateway_is_denied_and_takes_nothing_along(metadata, follow_links, versioned):
    with shared_directory() as root:

        async def prepare(backend: FilesystemBackend, bucket: Bucket) -> None:
            if versioned:
                await set_versioning(backend, bucket, "Enabled")
            for key in ("a", "closed-object", "m/fine", "old", "z"):
                await put(backend, bucket, key, b"data")
            await put(backend, bucket, "old", b"newer")

        (root / "bucket").mkdir()
        own(str(root / "bucket"))
        as_ordinary_user(lambda: use(root, prepare, metadata=metadata))
        directory = root / "bucket"
        (directory / "closed-file").write_bytes(b"secret")
        for name in ("closed-file", "closed-object"):
            close(directory / name)
        for name, mode in (("closed", 0), ("no-search", 0o600), ("no-list", 0o300), (".s3gate+cont", 0)):
            (directory / name).mkdir()
            (directory / name / "file").write_bytes(b"x")
            close(directory / name, mode)
        for old in (directory / ".s3gate").glob("v/.s3gate!old/*"):
            close(old)
        closed = frozenset({"closed-file", "closed-object"})

        async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
            wanted = ["a", "closed-file", "closed-object", "m/fine", "old", "z"]
            for limit in (1, 2, 1000):
                assert await keys_in_pages(backend, bucket, limit) == wanted
            await assert_true(backend, bucket, closed)
            versions = (await backend.list_versions(bucket, VersionQuery())).versions
            assert len([each for each in versions if each.key == "old"]) == (2 if versioned else 1)
            page = await backend.list_objects(bucket, ListQuery(delimiter="/"))
            assert page.prefixes == ["m/", "no-search/"], "the names in it can be seen"
            assert await error_code(backend.stat_object(bucket, "closed/file")) == "AccessDenied"
            assert await error_code(put(backend, bucket, "closed/new", b"x")) == "AccessDenied"
            assert await error_code(put(backend, bucket, "closed-file", b"x")) == "AccessDenied"
            assert await error_code(delete(backend, bucket, "closed-file")) == "AccessDenied"

        as_ordinary_user(lambda: use(root, look, follow_links=follow_links))
        assert (directory / "closed-file").read_bytes() == b"secret"


def test_a_closed_file_is_answered_in_the_form_of_aws():
    with shared_directory() as root:
        (root / "bucket").mkdir()
        (root / "bucket/closed").write_bytes(b"secret")
        close(root / "bucket/closed")
        own(str(root / "bucket"))

        def ask_all() -> list[Answer]:
            async def run() -> list[Answer]:
                backend = FilesystemBackend(str(root))
                await backend.start()
                app = create_app(sample_gateway(routes=ROUTES, storage=backend))
                wanted = (("GET", "/bucket/closed"), ("HEAD", "/bucket/closed"), ("GET", "/bucket?list-type=2"))
                answers = [await ask(app, *request) for request in wanted]
                await backend.stop()
                return answers

            return asyncio.run(run())

        answers = as_ordinary_user(ask_all)

    assert answers is not None
    got, head, listed = answers
    assert (got.status, head.status, listed.status) == (403, 403, 200)
    assert b"<Code>AccessDenied</Code>" in got.body
    assert head.body == b""
    assert b"<Key>closed</Key>" in listed.body
    assert b"<Size>6</Size>" in listed.body


# --- files that change between requests, and while they are listed


@MODES
def test_every_change_by_another_program_is_seen_at_once(tmp_path, metadata):
    directory = tmp_path / "bucket"
    directory.mkdir()

    async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
        async def is_now(**expected: bytes) -> None:
            await assert_true(backend, bucket)
            assert await keys_in_pages(backend, bucket, 10) == sorted(expected)
            for key, data in expected.items():
                assert await get(backend, bucket, key) == data
                etag = (await backend.stat_object(bucket, key)).etag
                assert "-" in etag or etag == hashlib.md5(data).hexdigest(), "no ETag of other contents"

        await put(backend, bucket, "ours", b"ours")
        (directory / "made").write_bytes(b"new")
        await is_now(ours=b"ours", made=b"new")
        (directory / "other").write_bytes(b"instead")
        os.replace(directory / "other", directory / "ours")
        await is_now(ours=b"instead", made=b"new")
        await put(backend, bucket, "ours", b"0123")
        with (directory / "ours").open("r+b") as file:
            file.write(b"99")
        await is_now(ours=b"9923", made=b"new")
        os.truncate(directory / "ours", 1)
        await is_now(ours=b"9", made=b"new")
        os.rename(directory / "made", directory / "moved")
        await is_now(ours=b"9", moved=b"new")
        (directory / "ours").unlink()
        await is_now(moved=b"new")

    use(tmp_path, look, metadata=metadata)


@MODES
@FOLLOWED
def test_a_listing_beside_a_busy_program_has_every_file_that_stays(tmp_path, metadata, follow_links):
    directory = tmp_path / "bucket"
    (directory / "sub").mkdir(parents=True)
    steady = sorted(f"{top}steady-{number:03}" for top in ("", "sub/") for number in range(60))
    for key in steady:
        (directory / key).write_bytes(key.encode())
    done = threading.Event()

    def churn() -> None:
        number = 0
        while not done.is_set():
            number += 1
            for top in ("", "sub/"):
                one, other = (directory / f"{top}{name}-{number % 40:03}" for name in ("busy", "zany"))
                if one.is_symlink() or other.is_symlink():
                    one.unlink(missing_ok=True)
                    other.unlink(missing_ok=True)
                one.write_bytes(b"x" * (number % 7))
                os.rename(one, other)
                if number % 3 == 0:
                    other.unlink()
                    other.symlink_to("steady-000")

    async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for limit in (1, 7, 1000, 7, 1000):
                found = await keys_in_pages(backend, bucket, limit)
                assert [key for key in found if "steady" in key] == steady
        finally:
            done.set()
            thread.join()
        await assert_true(backend, bucket)

    use(tmp_path, look, metadata=metadata, follow_links=follow_links)


def test_a_directory_of_a_hundred_thousand_files_is_paged_whole(tmp_path):
    directory = tmp_path / "bucket"
    directory.mkdir()
    fd = os.open(directory, os.O_RDONLY)
    for number in range(100_000):
        os.close(os.open(f"{number:06}", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
    os.close(fd)
    os.mkfifo(directory / "000500x")

    async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
        found = await pages(backend, bucket, 1000)
        assert [len(page.objects) for page in found] == [1000] * 100
        keys = [listed.key for page in found for listed in page.objects]
        assert keys == [f"{number:06}" for number in range(100_000)]

    use(tmp_path, look)


# --- files that change while they are read

BIG = 64 * MIB


def truncate(path: Path) -> None:
    os.truncate(path, 3)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def edit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")


def write_anew(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


IN_PLACE = pytest.mark.parametrize("change", [truncate, append, edit, write_anew])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = tmp_path_factory.mktemp("served")
    (root / "bucket").mkdir()
    with Gateway(root, "--no-auth", "--durability", "none") as running:
        yield running


@IN_PLACE
def test_a_download_breaks_off_when_the_file_is_changed_under_it(gateway, change):
    path = gateway.root / "bucket" / change.__name__
    path.write_bytes(payload(BIG))
    connection, response = begin_get(gateway, f"/bucket/{change.__name__}")
    assert int(response.headers["content-length"]) == BIG
    first = response.read(1000)
    change(path)

    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        first += response.read()

    assert len(first) < BIG
    connection.close()


@pytest.mark.parametrize("go", [lambda path: path.unlink(), lambda path: os.rename(path, path.with_suffix(".moved"))])
def test_a_download_ends_well_when_the_file_loses_its_name(gateway, go):
    data = payload(BIG)
    path = gateway.root / "bucket" / "named"
    path.write_bytes(data)
    connection, response = begin_get(gateway, "/bucket/named")
    first = response.read(1000)
    go(path)

    assert first + response.read() == data
    connection.close()


def test_a_download_of_a_file_that_is_replaced_is_of_the_old_one(gateway):
    data = payload(BIG)
    path = gateway.root / "bucket" / "replaced"
    path.write_bytes(data)
    connection, response = begin_get(gateway, "/bucket/replaced")
    first = response.read(1000)
    path.with_suffix(".new").write_bytes(b"other")
    os.replace(path.with_suffix(".new"), path)

    assert first + response.read() == data
    connection.close()


@IN_PLACE
@pytest.mark.parametrize("size", [10, MIB])
def test_nothing_is_read_of_a_file_that_was_changed_since_it_was_opened(tmp_path, change, size):
    (tmp_path / "bucket").mkdir()
    path = tmp_path / "bucket" / "file"
    path.write_bytes(payload(size))

    async def look(backend: FilesystemBackend, bucket: Bucket) -> None:
        for way in ("read", "chunks"):
            path.write_bytes(payload(size))
            os.utime(path, ns=(0, 10**18))
            reader = await backend.open_object(bucket, "file")
            change(path)

            async def read(way: str = way, reader: Any = reader) -> int:
                if way == "read":
                    return len(await reader.read(0, size))
                return sum([len(piece) async for piece in reader.chunks(0, size)])

            assert await error_code(read()) == "InternalError"
            await reader.close()

    use(tmp_path, look)
