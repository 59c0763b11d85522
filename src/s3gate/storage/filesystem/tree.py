"""Objects in the directory tree of a bucket: find one, make room for one, put one in its place, take one away.

Every function is relative to the open directory of the bucket and follows no link. All of them block.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat as modes
from collections.abc import Callable

import msgspec

from s3gate.core.errors import S3Error
from s3gate.storage.filesystem import syscalls
from s3gate.storage.filesystem.paths import Place, place
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = [
    "MADE_BY_US",
    "Directory",
    "Found",
    "convert",
    "find",
    "find_in",
    "look_parent",
    "make_parent",
    "obstacle",
    "open_parent",
    "open_regular",
    "remove",
    "replace",
]

_log = logging.getLogger(__name__)

MADE_BY_US = b"user.s3gate.d"  # on directories that the gateway made for a key: it may remove them again
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# No file there, or a filesystem (or a sandbox) that lets no names change places.
_CANNOT_EXCHANGE = frozenset({errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
# An open that fails so says that no object stands there: nothing, a file on the way, a link, a socket or device.
_NOT_HERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR})


class Found(msgspec.Struct):
    """An open object. `shadow` tells under which of its two names it was found. Whoever holds it closes `fd`.

    `target` is set where its name is a link: the path of the file that it leads to, which is another key's object.
    `garbage` is what holds nothing once this file is gone, paths below the bucket; known to who holds the key's lock.
    """

    fd: int
    stat: os.stat_result
    shadow: bool
    target: bytes = b""
    garbage: list[bytes] = []


class Directory(msgspec.Struct):
    """An open directory, closed with the block; `owned` is False for the bucket's own descriptor."""

    fd: int
    owned: bool

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        if self.owned:
            os.close(self.fd)


def open_regular(bucket_fd: int, path: bytes) -> tuple[int, os.stat_result] | None:
    """The open file at a path below the bucket, or None where no plain file stands; whoever asked closes it."""
    try:
        fd = open_beneath(bucket_fd, path, _READ)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return None
        raise
    stat = os.fstat(fd)
    if modes.S_ISREG(stat.st_mode):
        return fd, stat
    os.close(fd)
    return None


def find(bucket_fd: int, where: Place) -> Found | None:
    """Open the object that stands at a place, or None.

    Two rounds, because a conversion between `a` and `a/b` moves the object from one name to the other while nobody
    holds a lock against readers: a look at both names can miss it once, never twice.
    """
    path = where.path
    opened = open_regular(bucket_fd, path)
    if opened is not None:
        return Found(opened[0], opened[1], False)
    shadow = where.shadow_path
    opened = open_regular(bucket_fd, shadow)
    return _find(bucket_fd, path, shadow) if opened is None else Found(opened[0], opened[1], True)


def find_in(parent_fd: int, where: Place) -> Found | None:
    """The same in the open directory that holds the place, for who has the key locked: one round is enough."""
    return _find(parent_fd, where.name, where.shadow)


def _find(directory: int, name: bytes, shadow: bytes) -> Found | None:
    opened = open_regular(directory, name)
    if opened is not None:
        return Found(opened[0], opened[1], False)
    opened = open_regular(directory, shadow)
    return None if opened is None else Found(opened[0], opened[1], True)


def look_parent(bucket_fd: int, where: Place) -> Directory | None:
    """The directory that holds a place, or None where there is none that could: also where a link is on the way."""
    try:
        return open_parent(bucket_fd, where)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return None
        raise


def open_parent(bucket_fd: int, where: Place) -> Directory | None:
    """The directory that holds a place, or None where there is none (yet, or because a file stands in the way)."""
    if not where.parent:
        return Directory(bucket_fd, owned=False)
    try:
        return Directory(open_beneath(bucket_fd, where.parent, _DIRECTORY), owned=True)
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_parent(bucket_fd: int, where: Place, changed: list[int]) -> Directory:
    """The directory that holds a place, made where it is missing.

    Duplicates of the directories that got a new entry are appended to `changed`, for their fsync. Raises
    NotADirectoryError where something else stands in the way: see obstacle().
    """
    parent = open_parent(bucket_fd, where)
    if parent is not None:
        return parent
    current = Directory(bucket_fd, owned=False)
    for name in where.parent.split(b"/"):
        with current as fd:
            made, new = _open_or_make(fd, name)
            try:
                if new:
                    changed.append(os.dup(fd))
            except OSError:
                os.close(made)
                raise
            current = Directory(made, owned=True)
    return current


def _open_or_make(directory: int, name: bytes) -> tuple[int, bool]:
    """An open directory of this name, and whether it had to be made."""
    flags = _DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=directory), False
    except FileNotFoundError:
        pass
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:
        return os.open(name, flags, dir_fd=directory), False
    fd = os.open(name, flags, dir_fd=directory)
    with contextlib.suppress(OSError):  # without the mark it is merely never pruned
        os.setxattr(fd, MADE_BY_US, b"")
    return fd, True


def obstacle(bucket_fd: int, key: bytes) -> bytes | None:
    """The key of the object that stands where `key` needs a directory, or None when there is no such object (any more).

    Raises AccessDenied where a link or a special file is in the way: the gateway does not touch those.
    """
    cut = key.find(b"/")
    while cut >= 0:
        ancestor = key[:cut]
        where = place(ancestor)
        cut = key.find(b"/", cut + 1)
        parent = open_parent(bucket_fd, where)
        if parent is None:
            return None
        with parent as fd:
            try:
                mode = os.stat(where.name, dir_fd=fd, follow_symlinks=False).st_mode
            except FileNotFoundError:
                return None
        if modes.S_ISREG(mode):
            return ancestor
        if not modes.S_ISDIR(mode):
            raise S3Error("AccessDenied", "The key leads through a link or a special file, which is not followed")
    return None


def convert(bucket_fd: int, where: Place, sync: Callable[[int], None]) -> None:
    """Turn the name of an object into a directory, the object going to its shadow name. Under the lock of its key.

    The object can be found at every instant: first under its own name, then under both, then as shadow. `sync` forces
    the names of a directory to the medium, so that the object cannot lose both where changes get there in any order.
    """
    parent = open_parent(bucket_fd, where)
    if parent is None:
        return
    with parent as fd:
        try:
            if not modes.S_ISREG(os.stat(where.name, dir_fd=fd, follow_symlinks=False).st_mode):
                return
        except FileNotFoundError:
            return
        try:
            os.link(where.name, where.shadow, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            # left by a conversion that a crash cut short; the object under its own name is the current one
            os.unlink(where.shadow, dir_fd=fd)
            os.link(where.name, where.shadow, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        sync(fd)
        os.unlink(where.name, dir_fd=fd)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # others are faster: the writer looks again
            os.close(_open_or_make(fd, where.name)[0])


def replace(
    source_fd: int,
    source: bytes,
    parent_fd: int,
    where: Place,
    *,
    found: Found | None = None,
    has_shadow: bool = True,
    shadowed: bool = False,
) -> None:
    """Rename a staged file to its place, over whatever object stands there: the commit of a write.

    `found` is the object that was seen there under the lock. `has_shadow`: there may be one under the shadow name,
    which goes. `shadowed`: the name is taken by a link to a directory,
    which stays. Raises FileNotFoundError when the directory was removed meanwhile; no error comes from behind the
    rename.
    """
    plain = found is not None and not (found.shadow or found.target or shadowed)
    if plain and _exchange(source_fd, source, parent_fd, where.name):
        return
    if shadowed:
        os.rename(source, where.shadow, src_dir_fd=source_fd, dst_dir_fd=parent_fd)
        return
    try:
        os.rename(source, where.name, src_dir_fd=source_fd, dst_dir_fd=parent_fd)
    except IsADirectoryError:
        try:
            # an empty directory is no object; only the kernel knows for sure, and it refuses one that is not empty
            os.rmdir(where.name, dir_fd=parent_fd)
        except OSError:
            os.rename(source, where.shadow, src_dir_fd=source_fd, dst_dir_fd=parent_fd)
        else:
            replace(source_fd, source, parent_fd, where)
        return
    if not has_shadow:
        return
    try:
        os.unlink(where.shadow, dir_fd=parent_fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        # The plain name counts, and the janitor comes round; the write is committed, and must not be told as failed.
        _log.warning("an old shadow of an object stays behind: %s", error)


def _exchange(source_fd: int, source: bytes, parent_fd: int, name: bytes) -> bool:
    """Let the staged file and the object change places, and remove the object; False where that cannot be done.

    Readers see the one or the other, as with a rename, and ext4 does not write the new contents out at once, as it does
    for a rename over a file (its mount option auto_da_alloc): they are forced to the medium before, or not promised.
    """
    try:
        syscalls.exchange(source_fd, source, parent_fd, name)
    except OSError as error:
        if error.errno in _CANNOT_EXCHANGE:
            return False
        raise
    try:
        os.unlink(source, dir_fd=source_fd)
    except IsADirectoryError:
        # Another program has put a directory in the place of the object meanwhile: it goes back there.
        syscalls.exchange(source_fd, source, parent_fd, name)
        return False
    except OSError as error:
        _log.warning("the object that was replaced stays in the staging directory: %s", error)
    return True


def remove(parent_fd: int, where: Place, found: Found) -> None:
    """Take an object away, under both of its names."""
    if not found.shadow:
        try:
            os.unlink(where.shadow, dir_fd=parent_fd)  # older, and it must not come back when the name is gone
        except FileNotFoundError:
            pass
    try:
        os.unlink(where.shadow if found.shadow else where.name, dir_fd=parent_fd)
    except FileNotFoundError:
        pass
