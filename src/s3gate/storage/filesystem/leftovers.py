"""What killed processes leave in the gateway's own directories: stages, uploads, buckets half made or half removed."""

from __future__ import annotations

import contextlib
import os
import re
import stat as modes
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from s3gate.core.names import bucket_name_fault, is_upload_id
from s3gate.storage.completions import KEPT_NS
from s3gate.storage.filesystem import buckets, completed, instance, parts, uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.lock_kinds import LockKind
from s3gate.storage.filesystem.locks import KeyLocks
from s3gate.storage.filesystem.paths import CONTROL
from s3gate.storage.filesystem.records import BrokenRecord

__all__ = ["GRACE_NS", "Leftover", "Scene", "Steps", "cut_off", "exists", "of_bucket", "of_root", "unguarded"]

GRACE_NS = 3600 * 10**9  # what is younger may be in the making
_DAY_NS = 24 * GRACE_NS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TMP = CONTROL + b"/tmp"
_TEMPORARY = re.compile(rb"(probe|bucket)-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that is not needed, as it seemed to a look without a lock.

    `path` is below the bucket, or below the data directory for what belongs to no bucket. `still()` looks again and
    changes nothing. `remove()` is to be called inside `guard()`: it looks again and removes, or gives False because it
    is in use. Both block.
    """

    kind: str
    path: bytes
    detail: str
    still: Callable[[], bool]
    remove: Callable[[], bool]
    guard: Callable[[], AbstractAsyncContextManager[object]]


# The steps of a search: None for a step that found nothing, so that who takes them can pause between any two.
Steps = Iterator[Leftover | None]


@dataclass(frozen=True, slots=True)
class Scene:
    """A bucket that is looked through. `now_ns` is the time by the clock that stamps its files."""

    bucket: BucketDirectory
    now_ns: int

    def is_old(self, stat: os.stat_result) -> bool:
        """Whether this is so long unchanged that nobody can be at work on it."""
        return self.now_ns - stat.st_mtime_ns > GRACE_NS


def unguarded() -> AbstractAsyncContextManager[object]:
    """The guard of what needs no lock."""
    return contextlib.nullcontext()


def _directories(directory: int, path: bytes) -> list[tuple[bytes, os.stat_result]]:
    """The directories in a directory below an open one, none where it is not there."""
    return [(name, stat) for name, stat in _entries(directory, path) if modes.S_ISDIR(stat.st_mode)]


def _entries(directory: int, path: bytes) -> list[tuple[bytes, os.stat_result]]:
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        fd = os.open(path, _DIRECTORY, dir_fd=directory)
        try:
            for name in map(os.fsencode, os.listdir(fd)):
                with contextlib.suppress(FileNotFoundError):
                    found.append((name, os.stat(name, dir_fd=fd, follow_symlinks=False)))
        finally:
            os.close(fd)
    return found


def of_bucket(scene: Scene, *, abort_after_days: int, forget: bool) -> Steps:
    """Stages of processes that are gone, files that were in the making, uploads that ended or were given up.

    With `forget`, completions that were remembered long enough as well: those are not left behind by anybody.
    """
    yield from _stages(scene)
    yield from _uploads(scene, abort_after_days)
    for name, stat in _entries(scene.bucket.fd, completed.ROOT) if forget else []:
        yield None
        if scene.now_ns - stat.st_mtime_ns > KEPT_NS:
            yield _file(scene, "old completion", completed.ROOT + b"/" + name, "an upload that was completed a day ago")


def _stages(scene: Scene) -> Steps:
    for name, stat in _entries(scene.bucket.fd, _TMP):
        yield None
        if modes.S_ISDIR(stat.st_mode):
            yield _stage(scene, name)
        elif _TEMPORARY.fullmatch(name) and scene.is_old(stat):
            yield _file(scene, "temporary", _TMP + b"/" + name, "a file that was never given its name")


def _stage(scene: Scene, name: bytes) -> Leftover | None:
    locking = scene.bucket.store.locking

    def inside(work: Callable[[int, bytes, LockKind], bool]) -> bool:
        try:
            tmp = os.open(_TMP, _DIRECTORY, dir_fd=scene.bucket.fd)
        except FileNotFoundError:
            return False
        try:
            return work(tmp, name, locking)
        finally:
            os.close(tmp)

    def still() -> bool:
        return inside(lambda tmp, name, kind: exists(tmp, name) and instance.is_deserted(tmp, name, kind))

    if not still():
        return None
    return Leftover(
        "stage",
        _TMP + b"/" + name,
        "what a process staged that is gone",
        still,
        lambda: inside(instance.remove_deserted),
        unguarded,
    )


def exists(directory: int, name: bytes) -> bool:
    """Whether there is an entry of this name, or at this path, whatever it is."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _file(scene: Scene, kind: str, path: bytes, detail: str) -> Leftover:
    def still() -> bool:
        return exists(scene.bucket.fd, path)

    def remove() -> bool:
        try:
            os.unlink(path, dir_fd=scene.bucket.fd)
        except FileNotFoundError:
            return False
        return True

    return Leftover(kind, path, detail, still, remove, unguarded)


def _uploads(scene: Scene, abort_after_days: int) -> Steps:
    for name, stat in _directories(scene.bucket.fd, uploads.ROOT):
        yield None
        if not is_upload_id(name.decode(errors="replace")):
            continue
        for kind, detail, is_over in (
            ("ended upload", "what is left of an upload that has ended, or never began", _has_ended(scene, stat)),
            ("abandoned upload", f"begun more than {abort_after_days} days ago", _is_late(scene, abort_after_days)),
        ):
            if is_over(name):
                yield _upload(scene, kind, name, detail, is_over)
                break


def _has_ended(scene: Scene, stat: os.stat_result) -> Callable[[bytes], bool]:
    def ended(name: bytes) -> bool:
        """Without its file an upload is none; before it has it, its directory is empty and young.

        And it has ended once its completion is noted.
        """
        path = uploads.ROOT + b"/" + name
        names = {each for each, _ in _entries(scene.bucket.fd, path)}
        if not exists(scene.bucket.fd, path):
            return False
        if completed.is_noted(scene.bucket, name.decode()):
            return True
        return all(map(parts.is_known, names)) and (bool(names) or scene.is_old(stat))

    return ended


def _is_late(scene: Scene, days: int) -> Callable[[bytes], bool]:
    def late(name: bytes) -> bool:
        try:
            upload = uploads.load(scene.bucket, name.decode()) if days else None
        except BrokenRecord:
            return False
        return upload is not None and scene.now_ns - upload.initiated_ns > days * _DAY_NS

    return late


def _upload(scene: Scene, kind: str, name: bytes, detail: str, is_over: Callable[[bytes], bool]) -> Leftover:
    path = uploads.ROOT + b"/" + name

    def remove() -> bool:
        if not is_over(name):
            return False
        uploads.remove(scene.bucket, name.decode())
        return True

    def guard() -> AbstractAsyncContextManager[object]:
        return scene.bucket.locks.hold(uploads.UPLOADS, name)

    return Leftover(kind, path, detail, lambda: is_over(name), remove, guard)


def of_root(store: Store, locks: Callable[[], KeyLocks], now_ns: int) -> Steps:
    """Buckets that never got their name, and buckets on their way out. `locks` are those of bucket names."""
    for name, stat in _directories(store.root_fd, os.fsencode(buckets.NEW)):
        yield None
        if now_ns - stat.st_mtime_ns > GRACE_NS:
            yield _unmade(store, os.fsencode(buckets.NEW) + b"/" + name)
    for name, stat in _directories(store.root_fd, os.fsencode(buckets.TRASH)):
        yield None
        if now_ns - stat.st_mtime_ns > GRACE_NS:
            yield _removed(store, locks, os.fsencode(buckets.TRASH) + b"/" + name)


def cut_off(store: Store, locks: Callable[[], KeyLocks]) -> Iterator[Leftover]:
    """Buckets that hold objects and yet are on their way out: a process was killed before it could give them back.

    Young ones too: their objects were acknowledged, and a deletion that is still at work keeps the lock of the name.
    """
    for name, _ in _directories(store.root_fd, os.fsencode(buckets.TRASH)):
        found = _removed(store, locks, os.fsencode(buckets.TRASH) + b"/" + name)
        if found is not None and found.kind == "cut-off bucket":
            yield found


def _unmade(store: Store, path: bytes) -> Leftover:
    def still() -> bool:
        return exists(store.root_fd, path)

    def remove() -> bool:
        buckets.remove_tree(store.root_fd, path)
        return True

    return Leftover("unmade bucket", path, "a bucket that was never given its name", still, remove, unguarded)


def _removed(store: Store, locks: Callable[[], KeyLocks], waste: bytes) -> Leftover | None:
    """A bucket whose deletion was cut short. One that holds anything was not to be deleted, and gets its name back."""
    names = [name for name, _ in _directories(store.root_fd, waste)]
    name = names[0] if len(names) == 1 else b""
    if names and bucket_name_fault(name.decode(errors="replace"), relaxed=True) is not None:
        return None
    if waste.endswith(os.fsencode(buckets.DECIDED)):
        name = b""
    path = waste + b"/" + name if name else waste

    def guard() -> AbstractAsyncContextManager[object]:
        return locks().hold(buckets.BUCKETS, name) if name else unguarded()

    def still() -> bool:
        return exists(store.root_fd, path)

    def remove() -> bool:
        if name and _is_full(store, path):
            if exists(store.root_fd, name):
                return False
            os.rename(path, name, src_dir_fd=store.root_fd, dst_dir_fd=store.root_fd)
            store.durability.sync_directory(store.root_fd)
        buckets.remove_tree(store.root_fd, waste)
        return True

    if name and _is_full(store, path):
        return Leftover("cut-off bucket", path, "a bucket with objects, half deleted", still, remove, guard)
    return Leftover("removed bucket", path, "what is left of a deleted bucket", still, remove, guard)


def _is_full(store: Store, path: bytes) -> bool:
    try:
        fd = os.open(path, _DIRECTORY, dir_fd=store.root_fd)
    except FileNotFoundError:
        return False
    try:
        return buckets.holds_versions(fd)
    finally:
        os.close(fd)
