"""Names in the tree of objects and in that of histories that can be put right, or are not needed any more."""

from __future__ import annotations

import contextlib
import os
import stat as modes
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord
from s3gate.storage.filesystem import history, reading, tree
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.history import HistoryEntry
from s3gate.storage.filesystem.leftovers import Leftover, Scene, Steps, unguarded
from s3gate.storage.filesystem.objects import KEYS
from s3gate.storage.filesystem.paths import HISTORIES, decode, key_of, place
from s3gate.storage.filesystem.pruning import prune
from s3gate.storage.filesystem.records import BrokenRecord
from s3gate.storage.filesystem.syscalls import open_beneath
from s3gate.storage.filesystem.walk import walk

__all__ = ["disorder"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def disorder(scene: Scene) -> Steps:
    """Empty directories that the gateway made, shadows that nothing shadows, history entries that do not count."""
    yield from _objects(scene)
    if scene.bucket.versioning:
        yield from _histories(scene)


def _objects(scene: Scene) -> Steps:
    shadows = []
    for node in walk(scene.bucket.fd):
        if node.kind == "directory":
            yield _empty(scene, node.path, made_by_us=True) if node.bare else None
        else:
            yield None
            if node.kind == "file" and _is_shadow(node.name):
                shadows.append(node.path)
    # Behind the directories: what shadowed them may be among those that have just gone.
    for path in shadows:
        key = key_of(path)
        yield _tolerant(_shadow, scene.bucket, path, key) if key is not None else None


def _tolerant(
    look: Callable[[BucketDirectory, bytes, bytes], Leftover | None], bucket: BucketDirectory, path: bytes, key: bytes
) -> Leftover | None:
    """What there is at a key, None also where it cannot be read: one bad entry is left alone and stops nothing."""
    try:
        return look(bucket, path, key)
    except (OSError, S3Error, BrokenRecord):
        return None


def _is_shadow(name: bytes) -> bool:
    meaning = decode(name)
    return meaning is not None and meaning.shadow


def _histories(scene: Scene) -> Steps:
    for node in walk(scene.bucket.fd, HISTORIES):
        yield None
        if node.kind != "directory":
            continue
        meaning = decode(node.name)
        key = key_of(node.path.removeprefix(HISTORIES + b"/")) if meaning is not None and meaning.history else None
        if node.bare:
            yield _empty(scene, node.path, made_by_us=False)
        elif key is not None:
            yield _tolerant(_uncounted, scene.bucket, node.path, key)


def _empty(scene: Scene, path: bytes, *, made_by_us: bool) -> Leftover | None:
    """An empty directory; among the objects only one with the gateway's mark. The kernel refuses one that is not."""
    bucket = scene.bucket

    def still() -> bool:
        try:
            fd = open_beneath(bucket.fd, path, _DIRECTORY)
        except OSError:
            return False
        try:
            if made_by_us:
                os.getxattr(fd, tree.MADE_BY_US)
            return not os.listdir(fd) and scene.is_old(os.fstat(fd))
        except OSError:
            return False  # no mark: it is another program's
        finally:
            os.close(fd)

    def remove() -> bool:
        if not still():
            return False
        if made_by_us:
            prune(bucket.fd, path)
        else:
            _remove_directory(bucket, path)
        return not still()

    if not still():
        return None
    return Leftover("empty directory", path, "its last object has gone", still, remove, unguarded)


def _remove_directory(bucket: BucketDirectory, path: bytes) -> None:
    above, _, name = path.rpartition(b"/")
    fd = open_beneath(bucket.fd, above, _DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)


def _guard(bucket: BucketDirectory, key: bytes) -> Callable[[], AbstractAsyncContextManager[object]]:
    return lambda: bucket.locks.hold(KEYS, key)


def _shadow(bucket: BucketDirectory, path: bytes, key: bytes) -> Leftover | None:
    where = place(key)

    def in_parent(work: Callable[[int], bool]) -> bool:
        parent = tree.open_parent(bucket.fd, where)
        if parent is None:
            return False
        with parent as fd:
            return work(fd)

    def is_free(fd: int) -> bool:
        return _mode(fd, where.name) == 0 and modes.S_ISREG(_mode(fd, where.shadow))

    def take_name(fd: int) -> bool:
        if not is_free(fd):
            return False
        try:
            os.link(where.shadow, where.name, src_dir_fd=fd, dst_dir_fd=fd)
        except FileExistsError:
            return False
        os.unlink(where.shadow, dir_fd=fd)
        bucket.durability.sync_directory(fd)
        return True

    def is_spare(fd: int) -> bool:
        return _is_superseded(bucket, key, fd)

    def drop(fd: int) -> bool:
        if not is_spare(fd):
            return False
        os.unlink(where.shadow, dir_fd=fd)  # a record file it had alone is an orphan from here on
        return True

    if in_parent(is_free):
        kind, detail, look, act = "shadow", "no directory stands in the way of its own name", is_free, take_name
    elif in_parent(is_spare):
        kind, detail, look, act = "second name", "the object stands under its own name", is_spare, drop
    else:
        return None
    return Leftover(kind, path, detail, lambda: in_parent(look), lambda: in_parent(act), _guard(bucket, key))


def _mode(directory: int, name: bytes) -> int:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _is_superseded(bucket: BucketDirectory, key: bytes, directory: int) -> bool:
    """Whether the file under the key's own name is the same one as its shadow, or a later version.

    A file of another program is neither: what it hides may be wanted again when it goes.
    """
    where = place(key)
    if not modes.S_ISREG(_mode(directory, where.name)) or not modes.S_ISREG(_mode(directory, where.shadow)):
        return False
    plain = tree.open_regular(directory, where.name)
    shadow = tree.open_regular(directory, where.shadow)
    try:
        if plain is None or shadow is None:
            return False
        if os.path.samestat(plain[1], shadow[1]):
            return True
        sequences = [bucket.metadata.read(*each, key).sequence for each in (plain, shadow)]
        return sequences[0] > sequences[1]
    finally:
        for opened in (plain, shadow):
            if opened is not None:
                os.close(opened[0])


def _uncounted(bucket: BucketDirectory, path: bytes, key: bytes) -> Leftover | None:
    where = place(key)

    def look() -> tuple[ObjectRecord | None, list[HistoryEntry]]:
        """The current version, and the entries that do not count beside it."""
        current = _current(bucket, key)
        if current is not None and history.is_foreign(current):
            return current, []  # another program's file hides them, and they count again when it goes
        entries = history.read_entries(bucket.fd, where)
        counted = history.committed(entries, current)
        return current, [entry for entry in entries if entry not in counted]

    def still() -> bool:
        return bool(look()[1])

    def remove() -> bool:
        current, uncounted = look()
        if uncounted:
            history.scrub(bucket, key, where, current)
            _remove_directory(bucket, path)  # if that was all: the kernel refuses one that is not empty
        return bool(uncounted)

    if not still():
        return None
    return Leftover(
        "uncommitted version", path, f"entries that no version of {key.decode()} is", still, remove,
        _guard(bucket, key),
    )  # fmt: skip


def _current(bucket: BucketDirectory, key: bytes) -> ObjectRecord | None:
    opened = reading.open_live(bucket, key, place(key))
    if opened is None:
        return None
    os.close(opened[0].fd)
    return opened[1]
