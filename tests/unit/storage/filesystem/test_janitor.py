"""What killed processes left behind goes, what is in use stays."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from s3gate.core import clock
from s3gate.core.conditions import NO_CONDITION
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT
from s3gate.storage.backend import Backend
from s3gate.storage.filesystem import buckets, janitor, leftovers
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.lock_kinds import FileLock
from support import crash
from support.crash import Crash, Point
from support.disk import staged
from support.forks import fork, in_child, status_of
from support.mutations import BY_NAME, LARGE, LocalBackend, Mutation, go_on
from support.observed import observe
from support.processes import is_gone
from support.stores import (
    REGION,
    complete,
    error_code,
    get,
    get_with_record,
    keys,
    put,
    put_part,
    record_of,
    set_versioning,
    start_upload,
    unchanged,
    versions,
)

pytestmark = pytest.mark.usefixtures("runner")

SEED = 4
POINTS = 4  # of each mutation
DAY = 24 * 3600.0

_T = TypeVar("_T")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "_PAUSE", 0.0)


@pytest.fixture
def all_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as unchanged for long."""
    monkeypatch.setattr(leftovers, "GRACE_NS", -(10**12))


@pytest.fixture(params=["xattr", "sidecar"])
def metadata(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def opened(root: Path, **settings: Any) -> AsyncIterator[FilesystemBackend]:
    """A backend as another process would have it."""
    backend = LocalBackend(str(root), **{"durability": "none", "region": REGION, **settings})
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


def on(root: Path, work: Callable[[Any], Awaitable[_T]], **settings: Any) -> _T:
    """Run work on a new backend over a directory, as a process would that has just started."""

    async def run() -> _T:
        async with opened(root, **settings) as backend:
            return await work(backend)

    return asyncio.run(run())


async def swept(backend: Backend) -> dict[str, int]:
    return dict((await backend.sweep()).counts)


def age(*found: Path, seconds: float = DAY) -> None:
    then = time.time() - seconds
    for path in found:
        os.utime(path, (then, then))


def below(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.is_file())


# --- after a crash anywhere


def crashed(start: Path, root: Path, mutation: Mutation, point: Point | None, metadata: str) -> Crash:
    """A copy of the start state with the mutation run up to a point, in a process that ended there."""
    subprocess.run(["rm", "-rf", root], check=True)
    subprocess.run(["cp", "-a", start, root], check=True)
    calls = Crash(point)

    async def mutate(backend: LocalBackend) -> None:
        calls.install()
        await mutation.run(backend)

    def work() -> tuple[list[str], set[int]]:
        on(root, mutate, durability="full", metadata=metadata)
        return calls.names, calls.failed

    _, counted = in_child(work)
    if counted is not None:
        calls.names, calls.failed = counted
    return calls


@pytest.mark.parametrize("name", BY_NAME)
def test_a_sweep_after_a_crash_changes_nothing_that_is_served_and_in_the_end_nothing_is_left(
    name: str, metadata: str, tmp_path: Path, all_is_old: None
) -> None:
    mutation = BY_NAME[name]
    start, root = tmp_path / "start", tmp_path / "root"
    start.mkdir()
    if mutation.foreign:
        (start / "bucket").mkdir()
    on(start, mutation.set_up, metadata=metadata)
    points = crash.distinct(crash.points(crashed(start, root, mutation, None, metadata)))
    chance = random.Random(f"{SEED} {name} {metadata}")

    async def look(backend: LocalBackend) -> None:
        before = await observe(backend, mutation.keys)
        before = await observe(backend, mutation.keys, before.known)
        await swept(backend)
        after = await observe(backend, mutation.keys, before.known)
        assert after == before, before.lacks(after)
        assert staged(root) == []
        assert await swept(backend) == {}, "a second sweep found something"
        await go_on(backend, mutation)
        await swept(backend)
        assert rest(root) == []

    for point in chance.sample(points, min(POINTS, len(points))):
        crashed(start, root, mutation, point, metadata)
        in_child(lambda point=point: _named(point, lambda: on(root, look, metadata=metadata)))


def _named(point: Point, work: Callable[[], None]) -> None:
    try:
        work()
    except AssertionError as error:
        raise AssertionError(f"{point}: {error}") from error


def rest(root: Path) -> list[str]:
    """Everything in a data directory that has no bucket any more, but for what is always there."""
    always = {".s3gate/format.json", ".s3gate/locks/buckets", ".s3gate/locks/janitor"}
    return sorted({str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - always)


# --- stages


def test_the_stage_of_a_killed_process_goes_and_that_of_a_living_one_stays_however_old(
    root: Path, backend: FilesystemBackend, bucket: Bucket, runner: asyncio.Runner
) -> None:
    def upload() -> None:
        async def begin(other: FilesystemBackend) -> None:
            async with other.stage(bucket) as stage:
                await stage.write([b"half"], unchanged)
                os._exit(0)

        on(root, begin)

    assert status_of(fork(upload)) == 0
    (dead,) = staged(root)

    async def work() -> None:
        async with backend.stage(bucket) as stage:
            await stage.write([b"data"], unchanged)
            (living,) = {*staged(root)} - {dead}
            age(root / living, (root / living).parent, root / dead)
            async with opened(root) as other:
                assert await swept(other) == {"stage": 1}
            assert staged(root) == [living]
            await backend.commit_object(bucket, stage, "key", record_of(b"data"), NO_CONDITION)
        assert await get(backend, bucket, "key") == b"data"

    runner.run(work())
    assert not (root / dead).parent.exists()


async def test_the_stages_of_another_process_that_lives_stay(backend, bucket, root):
    source, target = os.pipe()

    def upload() -> None:
        async def begin(other: FilesystemBackend) -> None:
            async with other.stage(bucket) as stage:
                await stage.write([b"half"], unchanged)
                os.close(target)
                await asyncio.sleep(60)

        on(root, begin)

    child = fork(upload)
    os.close(target)
    os.read(source, 1)  # ends when the child has staged
    os.close(source)
    (stage,) = staged(root)
    age(root / stage, (root / stage).parent)
    assert await swept(backend) == {}
    assert staged(root) == [stage]
    os.kill(child, 9)
    status_of(child)
    assert await swept(backend) == {"stage": 1}
    assert staged(root) == []


async def test_a_process_whose_new_staging_directory_is_swept_makes_it_again(backend, bucket, root, monkeypatch):
    await put(backend, bucket, "first", b"")  # makes the control directory
    held = {*root.glob("bucket/.s3gate/tmp/*")}
    removed: list[Path] = []

    async with opened(root) as other:
        locking = other._store.locking
        take = locking.take

        def taken(directory: int, path: bytes) -> FileLock | None:
            """Another process finds the directory between the making and the lock."""
            if not removed:
                removed.extend({*root.glob("bucket/.s3gate/tmp/*")} - held)
                shutil.rmtree(removed[0])
            return take(directory, path)

        monkeypatch.setattr(locking, "take", taken)
        await put(other, bucket, "key", b"data")
        assert await get(other, bucket, "key") == b"data"
    assert removed


async def test_a_stopped_process_leaves_no_staging_directory(bucket, root):
    async with opened(root) as other:
        await put(other, bucket, "key", b"data")
        assert len(list(root.glob("bucket/.s3gate/tmp/*"))) == 1
    assert list(root.glob("bucket/.s3gate/tmp/*")) == []


# --- files and uploads in the making


async def test_files_that_never_got_their_name_go_when_they_are_old(backend, bucket, root):
    await put(backend, bucket, "key", b"data")
    tmp = root / "bucket/.s3gate/tmp"
    old = [tmp / f"probe-{'0' * 32}", tmp / f"bucket-{'1' * 32}"]
    young = [tmp / f"probe-{'2' * 32}", tmp / f"bucket-{'3' * 32}"]
    other = tmp / "notes-of-somebody"
    for path in (*old, *young, other):
        path.write_bytes(b"")
    age(*old, other)

    assert await swept(backend) == {"temporary": 2}
    assert sorted(path.name for path in tmp.iterdir() if path.is_file()) == sorted(
        path.name for path in (*young, other)
    )


async def test_uploads_older_than_the_setting_are_aborted_and_younger_ones_are_not(bucket, root):
    async with opened(root, abort_after_days=7) as backend:
        now = clock.now_ns()
        old = await start_upload(backend, bucket, "old", initiated_ns=now - int(7.1 * DAY * 1e9))
        young = await start_upload(backend, bucket, "young", initiated_ns=now - int(6.9 * DAY * 1e9))
        for upload in (old, young):
            await put_part(backend, bucket, upload, 1, b"part")

        assert await swept(backend) == {"abandoned upload": 1}
        assert await error_code(backend.find_upload(bucket, "old", old.id)) == "NoSuchUpload"
        await complete(backend, bucket, young, await backend.list_parts(bucket, young))
        assert await get(backend, bucket, "young") == b"part"
        assert os.listdir(root / "bucket/.s3gate/mpu") == []


async def test_uploads_are_kept_for_ever_by_default(backend, bucket):
    upload = await start_upload(backend, bucket, "old", initiated_ns=1)
    assert await swept(backend) == {}
    assert await backend.find_upload(bucket, "old", upload.id)


async def test_a_completion_is_remembered_for_a_day(backend, bucket, root):
    uploads = [await start_upload(backend, bucket, key) for key in ("old", "young")]
    made = [await put_part(backend, bucket, upload, 1, b"part") for upload in uploads]
    for upload, part in zip(uploads, made, strict=True):
        await complete(backend, bucket, upload, [part])
    old, young = (root / "bucket/.s3gate/done" / upload.id for upload in uploads)
    now = time.time_ns()
    os.utime(old, ns=(now, now - int(1.01 * DAY * 1e9)))
    os.utime(young, ns=(now, now - int(0.99 * DAY * 1e9)))

    assert await swept(backend) == {"old completion": 1}
    outcomes = [
        await error_code(backend.find_completed(bucket, upload.key, upload.id, [(1, part.etag)]))
        for upload, part in zip(uploads, made, strict=True)
    ]
    assert outcomes == ["NoSuchUpload", "none"]
    assert await swept(backend) == {}


async def test_an_upload_whose_completion_is_noted_is_cleared_away(backend, bucket, root):
    """Its process was killed in between."""
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    kept = root / "kept"
    shutil.copytree(root / "bucket/.s3gate/mpu" / upload.id, kept)
    await complete(backend, bucket, upload, [part])
    kept.rename(root / "bucket/.s3gate/mpu" / upload.id)

    assert await backend.list_uploads(bucket, "") == []
    assert await error_code(backend.abort_upload(bucket, upload)) == "NoSuchUpload"
    assert await error_code(put_part(backend, bucket, upload, 1, b"late")) == "NoSuchUpload"
    assert await swept(backend) == {"ended upload": 1}
    assert (await complete(backend, bucket, upload, [part])).upload_id == upload.id
    assert os.listdir(root / "bucket/.s3gate/mpu") == []


async def test_what_is_left_of_an_upload_goes_and_one_that_begins_stays(backend, bucket, root):
    living = await start_upload(backend, bucket, "key")
    await put_part(backend, bucket, living, 1, b"part")
    ended = await start_upload(backend, bucket, "key")
    await put_part(backend, bucket, ended, 1, b"part")
    uploads = root / "bucket/.s3gate/mpu"
    (uploads / ended.id / "upload").unlink()  # as one killed in the midst of an abort does
    beginning, given_up, strange = (uploads / (letter * 26) for letter in "012")
    for path in (beginning, given_up, strange):
        path.mkdir()
    (strange / "notes").write_bytes(b"of somebody")
    age(given_up, strange)

    assert await swept(backend) == {"ended upload": 2}
    assert sorted(os.listdir(uploads)) == sorted([living.id, beginning.name, strange.name])
    await complete(backend, bucket, living, await backend.list_parts(bucket, living))


# --- buckets


async def test_remains_of_buckets_go_when_they_are_old(backend, bucket, root):
    made = [root / ".s3gate" / kind / name for kind in ("new", "trash") for name in ("old", "young")]
    for path in made:
        (path / "bucket/.s3gate/tmp").mkdir(parents=True)
    age(made[0], made[2])

    assert await swept(backend) == {"unmade bucket": 1, "removed bucket": 1}
    assert [path.exists() for path in made] == [False, True, False, True]


async def test_a_bucket_whose_deletion_was_cut_off_comes_back_with_what_was_written_meanwhile(backend, root):
    made = await backend.create_bucket("made", ROOT, REGION)
    await put(backend, made, "dir/key", b"acknowledged")
    waste = root / ".s3gate/trash/waste"
    waste.mkdir()
    (root / "made").rename(waste / "made")  # the rename of a deletion, and no second look
    age(waste)

    assert await swept(backend) == {"cut-off bucket": 1}
    assert await get(backend, await backend.find_bucket("made"), "dir/key") == b"acknowledged"
    assert not waste.exists()


async def test_what_a_late_writer_puts_into_a_bucket_that_was_deleted_does_not_bring_it_back(backend, root):
    """The process that deleted it was killed when half of it was removed, its record first."""
    remains = root / ".s3gate/trash/waste-gone/bucket"
    remains.mkdir(parents=True)
    (remains / "late").write_bytes(b"never acknowledged")

    await backend.stop()
    await backend.start()

    assert [bucket.name for bucket in await backend.list_buckets()] == []


async def test_a_cut_off_bucket_whose_name_is_taken_stays_where_it_is(backend, root):
    made = await backend.create_bucket("made", ROOT, REGION)
    await put(backend, made, "key", b"acknowledged")
    waste = root / ".s3gate/trash/waste"
    waste.mkdir()
    (root / "made").rename(waste / "made")
    age(waste)
    await backend.create_bucket("made", ROOT, REGION)

    assert await swept(backend) == {}
    assert (waste / "made/key").read_bytes() == b"acknowledged"


# --- records in files of their own


def record_files(root: Path) -> list[Path]:
    return below(root, "bucket/.s3gate/x/*/*") + below(root, "bucket/.s3gate/meta/*/*")


async def put_large(backend: Backend, bucket: Bucket, key: str, data: bytes) -> None:
    await put(backend, bucket, key, data, **LARGE)


async def test_a_record_without_a_version_goes_and_the_records_of_all_versions_stay(metadata, root, all_is_old):
    (root / "bucket").mkdir()
    async with opened(root, metadata=metadata) as backend:
        bucket = await backend.find_bucket("bucket")
        await set_versioning(backend, bucket, "Enabled")
        for number in range(3):
            await put_large(backend, bucket, "dir/key", b"%d" % number)
        await put_large(backend, bucket, "a", b"shadowed")
        await put_large(backend, bucket, "a/b", b"shadowing")
        needed = record_files(root)
        await put_large(backend, bucket, "gone", b"x")
        os.unlink(root / "bucket/gone")  # by another program: its record stays
        before = await versions(backend, bucket)
        assert {*record_files(root)} > {*needed}

        counts = await swept(backend)
        assert counts == {"orphan record": 1}
        assert record_files(root) == needed
        assert await versions(backend, bucket) == before


async def test_a_record_that_is_young_stays(metadata, root):
    (root / "bucket").mkdir()
    async with opened(root, metadata=metadata) as backend:
        bucket = await backend.find_bucket("bucket")
        await put_large(backend, bucket, "gone", b"x")
        os.unlink(root / "bucket/gone")
        assert await swept(backend) == {}
        age(*record_files(root))
        assert await swept(backend) == {"orphan record": 1}


async def test_a_record_follows_its_file_where_another_program_moves_it(backend, bucket, root, all_is_old):
    await put_large(backend, bucket, "dir/key", b"x")
    (root / "bucket/dir").rename(root / "bucket/moved")
    assert await swept(backend) == {}
    assert (await backend.stat_object(bucket, "moved/key")).user_metadata == LARGE["user_metadata"]
    (root / "bucket/moved/key").unlink()
    assert (await swept(backend))["orphan record"] == 1


async def test_the_record_of_a_staged_file_stays(backend, bucket, root, all_is_old):
    async with opened(root) as other, backend.stage(bucket) as stage:
        metadata = backend._handle("bucket").metadata
        metadata.attach(stage.fd, b"key", record_of(b"", **LARGE))
        assert await swept(other) == {}
        assert len(record_files(root)) == 1
        metadata.detach(stage.fd)


async def test_a_record_that_does_not_say_its_key_or_cannot_be_read_is_left_alone(backend, bucket, root, all_is_old):
    await put(backend, bucket, "key", b"x")
    broken = root / f"bucket/.s3gate/x/00/{'0' * 26}"
    broken.parent.mkdir()
    broken.write_bytes(b"broken")
    assert await swept(backend) == {}
    assert broken.exists()


async def test_no_record_is_an_orphan_while_a_directory_cannot_be_read(backend, bucket, root, all_is_old, monkeypatch):
    await put_large(backend, bucket, "dir/key", b"x")
    (root / "bucket/dir").rename(root / "bucket/closed")
    scandir = os.scandir

    def scan(directory: Any) -> Any:
        if isinstance(directory, int) and os.readlink(f"/proc/self/fd/{directory}").endswith("/closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(directory)

    monkeypatch.setattr(os, "scandir", scan)
    assert await swept(backend) == {}
    monkeypatch.undo()
    assert (await backend.stat_object(bucket, "closed/key")).user_metadata


# --- versions


@pytest.fixture
def versioned(backend: FilesystemBackend, bucket: Bucket, runner: asyncio.Runner) -> Bucket:
    runner.run(set_versioning(backend, bucket, "Enabled"))
    return bucket


def history(root: Path, name: str = "key") -> list[Path]:
    return below(root, f"bucket/.s3gate/v/.s3gate!{name}/*")


async def test_entries_that_do_not_count_go_and_all_versions_stay(backend, versioned, root):
    for data in (b"1", b"2"):
        await put(backend, versioned, "key", data)
    before = await versions(backend, versioned)
    (entry,) = history(root)
    current = before[0].record.version_id
    os.link(root / "bucket/key", entry.parent / f"{current[:16]}.{current[16:]}")  # R2: the second name of a writer
    (entry.parent / f"{'0' * 16}.{'a' * 8}.d").write_bytes(b"")  # R3: a marker that was never committed

    assert await swept(backend) == {"uncommitted version": 1}
    assert history(root) == [entry]
    assert await versions(backend, versioned) == before
    assert await get(backend, versioned, "key") == b"2"
    assert await get(backend, versioned, "key", before[1].record.version_id) == b"1"


async def test_what_the_file_of_another_program_hides_is_not_taken_for_garbage(backend, bucket, root):
    await put(backend, bucket, "key", b"null version")
    await set_versioning(backend, bucket, "Enabled")
    await put(backend, bucket, "key", b"ours")
    (root / "bucket/key").rename(root / "aside")
    (root / "bucket/key").write_bytes(b"another program's")

    assert await swept(backend) == {}
    os.replace(root / "aside", root / "bucket/key")
    assert await get(backend, bucket, "key", "null") == b"null version"


# --- names and directories


async def test_a_shadow_gets_its_name_back_when_the_directory_is_gone(backend, bucket, root):
    await put(backend, bucket, "a", b"file", tags={"k": "v"})
    await put(backend, bucket, "a/b", b"below")
    record = await backend.stat_object(bucket, "a")
    assert await swept(backend) == {}
    shutil.rmtree(root / "bucket/a")  # by another program

    assert await swept(backend) == {"shadow": 1}
    assert (root / "bucket/a").read_bytes() == b"file"
    assert not (root / "bucket/.s3gate=a").exists()
    assert await backend.stat_object(bucket, "a") == record


async def test_a_shadow_beside_a_file_of_another_program_stays(backend, bucket, root):
    await put(backend, bucket, "a", b"file")
    await put(backend, bucket, "a/b", b"below")
    shutil.rmtree(root / "bucket/a")
    (root / "bucket/a").write_bytes(b"another program's")

    assert await swept(backend) == {}
    assert (root / "bucket/.s3gate=a").read_bytes() == b"file"


async def test_the_second_name_of_an_object_goes(backend, bucket, root):
    await put(backend, bucket, "a", b"file")
    await put(backend, bucket, "c", b"newer")
    os.link(root / "bucket/a", root / "bucket/.s3gate=a")  # a conversion that was cut off
    (root / "bucket/a").rename(root / "bucket/x")
    (root / "bucket/x").rename(root / "bucket/a")

    assert await swept(backend) == {"second name": 1}
    assert await keys(backend, bucket) == ["a", "c"]
    assert await get(backend, bucket, "a") == b"file"


async def test_empty_directories_that_the_gateway_made_go_and_those_of_others_stay(backend, bucket, root):
    for key in ("one/two/three/key", "full/key"):
        await put(backend, bucket, key, b"")
    (root / "bucket/one/two/three/key").unlink()  # the gateway was killed before it removed the directories
    (root / "bucket/theirs/empty").mkdir(parents=True)
    (root / "bucket/one/new").mkdir()
    assert await swept(backend) == {}, "all is young"
    (root / "bucket/one/new").rmdir()
    age(*(path for path in (root / "bucket").rglob("*") if path.is_dir() and ".s3gate" not in path.parts))

    assert (await swept(backend))["empty directory"] >= 1
    assert sorted(os.listdir(root / "bucket")) == [".s3gate", "full", "theirs"]
    assert (root / "bucket/theirs/empty").is_dir()


async def test_empty_directories_of_histories_go_in_every_mode(metadata, root, all_is_old):
    (root / "bucket").mkdir()
    async with opened(root, metadata=metadata) as backend:
        bucket = await backend.find_bucket("bucket")
        await set_versioning(backend, bucket, "Enabled")
        await put(backend, bucket, "kept", b"1")
        await put(backend, bucket, "kept", b"2")
        (root / "bucket/.s3gate/v/dir/sub/.s3gate!key").mkdir(parents=True)
        assert (await swept(backend))["empty directory"] >= 1
        assert os.listdir(root / "bucket/.s3gate/v") == [".s3gate!kept"]


# --- who sweeps


async def test_one_process_sweeps_and_another_one_takes_over_when_it_has_gone(backend, bucket, root):
    await put(backend, bucket, "key", b"")
    async with opened(root) as other:
        assert await swept(other) == {}
        deserted = root / "bucket/.s3gate/tmp/gone"
        deserted.mkdir()
        assert await swept(backend) == {}
        assert deserted.exists()
        assert await swept(other) == {"stage": 1}
        deserted.mkdir()
    assert await swept(backend) == {"stage": 1}


async def test_where_no_lock_keeps_others_out_the_one_process_sweeps_and_spares_its_own(tmp_path):
    async with opened(tmp_path, locks="none") as alone:
        bucket = await alone.create_bucket("bucket", ROOT, REGION)
        async with alone.stage(bucket) as stage:
            await stage.write([b"half"], unchanged)
            (tmp_path / "bucket/.s3gate/tmp/gone").mkdir()
            assert await swept(alone) == {"stage": 1}
            assert len(staged(tmp_path)) == 1


async def test_a_read_only_gateway_sweeps_nothing(bucket, root):
    (root / "bucket/.s3gate/tmp/gone").mkdir(parents=True)
    async with opened(root, read_only=True) as backend:
        assert await swept(backend) == {}
    assert (root / "bucket/.s3gate/tmp/gone").exists()


async def test_a_directory_of_other_programs_is_not_written_to(backend, bucket, root):
    (root / "bucket/dir").mkdir()
    age(root / "bucket/dir")
    assert await swept(backend) == {}
    assert os.listdir(root / "bucket") == ["dir"]


async def test_one_thing_that_cannot_be_cleared_stops_nothing(backend, bucket, root, monkeypatch, caplog):
    await put(backend, bucket, "key", b"")
    for name in ("one", "two"):
        (root / "bucket/.s3gate/tmp" / name).mkdir()
    (root / "bucket/.s3gate/tmp/one/directory").mkdir()  # no process makes one: it is left to a person
    with caplog.at_level(logging.WARNING):
        assert await swept(backend) == {"stage": 1}
    assert "tmp/one" in caplog.text
    assert (root / "bucket/.s3gate/tmp/one").exists()


# --- beside writers


async def churn(root: Path, seed: int, seconds: float) -> None:
    """Put, overwrite, delete, update and list keys that stand in one another's way, and check every answer."""
    async with opened(root) as backend:
        bucket = await backend.find_bucket("bucket")
        chance = random.Random(seed)
        there: dict[str, bytes] = {}
        names = [f"w{seed}", f"w{seed}/x", f"w{seed}/x/y", f"dir/w{seed}"]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            key = chance.choice(names)
            choice = chance.random()
            if choice < 0.5:
                there[key] = chance.randbytes(100)
                await put(backend, bucket, key, there[key], **(LARGE if chance.random() < 0.5 else {}))
            elif choice < 0.7:
                await backend.delete_object(bucket, key, NO_CONDITION)
                there.pop(key, None)
            elif choice < 0.8:
                for each in (await versions(backend, bucket, f"w{seed}"))[1:3]:
                    if not each.latest:
                        await backend.delete_object(bucket, each.key, NO_CONDITION, each.record.version_id)
            elif choice < 0.9 and key in there:
                await backend.update_object(bucket, key, lambda record: replace(record, **LARGE))
            else:
                upload = await start_upload(backend, bucket, key)
                there[key] = b"part"
                await complete(backend, bucket, upload, [await put_part(backend, bucket, upload, 1, b"part")])
            for each, data in there.items():
                found, record = await get_with_record(backend, bucket, each)
                assert found == data
                assert record.sequence
            for listed in await versions(backend, bucket, f"w{seed}"):
                assert listed.record.sequence


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_writers_lose_nothing_to_a_janitor_that_sweeps_without_a_pause(
    metadata: str, versioning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "GRACE_NS", 500_000_000)  # far beyond any step of a writer, far below the run

    async def prepare(backend: FilesystemBackend) -> None:
        bucket = await backend.create_bucket("bucket", ROOT, REGION)
        if versioning:
            await set_versioning(backend, bucket, versioning)

    on(tmp_path, prepare, metadata=metadata)
    seed = random.SystemRandom().randrange(1 << 20)
    children = [fork(lambda n=n: asyncio.run(churn(tmp_path, seed + n, 2.5))) for n in range(2)]

    async def sweep_until_done(backend: FilesystemBackend) -> int:
        rounds = 0
        while not all(map(is_gone, children)):
            await backend.sweep()
            rounds += 1
        return rounds

    rounds = on(tmp_path, sweep_until_done, metadata=metadata)
    assert [status_of(child) for child in children] == [0, 0], f"seed {seed}"
    assert rounds > 3


def test_the_remains_of_a_deleted_bucket_are_no_bucket(root: Path) -> None:
    (root / ".s3gate/trash/waste/bucket").mkdir(parents=True)
    fd = os.open(root, os.O_RDONLY)
    assert buckets.names(fd) == []
    os.close(fd)
