"""Symbolic links that other programs made, where the gateway is told to follow those that stay in their bucket.

A link never is a way to a file here: it is a second name, which is resolved to the key that it stands for. All that
reads or writes then works on that key, without following anything. So two names of an object share its lock, its record
and its history, and a link that is changed at the wrong moment leads to another key of the bucket, and nowhere else.

The rules, which hold for every operation alike. A link is followed when it is relative, never leaves the bucket and
leads to a file or a directory that a key can stand for; so never to anything of the gateway's own. A link to a
directory is not followed when it leads to a directory that the key has passed already, or to one that holds such a
directory, nor after MAX_LINKS others: so every walk ends. A link whose own name begins with `.s3gate` is not followed.
"""

from __future__ import annotations

import errno
import os
import stat as modes

from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.paths import CONTROL, Place, key_of, place
from s3gate.storage.filesystem.syscalls import open_beneath, open_through_links

__all__ = ["MAX_LINKS", "canonical", "file_behind", "is_followed_directory", "real_directory"]

MAX_LINKS = 8  # links to directories that lead to one key

_ITSELF = os.O_PATH | os.O_NOFOLLOW
_ATTEMPTS = 256
# An open that fails so says that no way leads there that the gateway could go. Any other error is one of the machine.
_NO_WAY = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
)


def canonical(bucket: BucketDirectory, key: str) -> str:
    """The key that stands for the same object without a link to a directory on the way; else the key itself.

    The last part of a key is not resolved: what it is, and what becomes of it, is for whoever reads or writes it.
    """
    if not bucket.follows_links or "/" not in key:
        return key
    where = place(key.encode())
    parent = _resolve(bucket.fd, where.parent)
    if parent is None or parent == where.parent:
        return key
    real = key_of(parent + b"/" + where.name)
    return key if real is None else real.decode()


def real_directory(bucket_fd: int, path: bytes) -> bytes | None:
    """The path, free of links, of the directory that `path` leads to below the bucket; None where it leads to none."""
    real = _resolve(bucket_fd, path)
    return real if real is not None and modes.S_ISDIR(_mode(bucket_fd, real)) else None


def file_behind(bucket_fd: int, path: bytes) -> bytes | None:
    """The path, free of links, of the plain file that the link at `path` leads to; None for anything else."""
    above, _, name = path.rpartition(b"/")
    if name.startswith(CONTROL):
        return None
    real = _resolve(bucket_fd, above) if above else b""
    if real is None:
        return None
    link = real + b"/" + name if real else name
    if not modes.S_ISLNK(_mode(bucket_fd, link)):
        return None
    target, mode = _target(bucket_fd, link)
    return target if modes.S_ISREG(mode) else None


def is_followed_directory(bucket: BucketDirectory, where: Place) -> bool:
    """Whether under the name of an object stands a link to a directory that keys lead through."""
    return (
        bucket.follows_links
        and modes.S_ISLNK(_mode(bucket.fd, where.path))
        and real_directory(bucket.fd, where.path) is not None
    )


def _resolve(bucket_fd: int, path: bytes) -> bytes | None:
    """`path` with every link to a directory replaced by where it leads; what is missing stays as it is.

    None where a link is not followed, by the rules above.
    """
    if modes.S_ISDIR(_mode(bucket_fd, path)):
        return path
    names = path.split(b"/")
    real, followed = b"", 0
    passed = [b""]
    for number, name in enumerate(names):
        step = real + b"/" + name if real else name
        mode = _mode(bucket_fd, step)
        if modes.S_ISLNK(mode):
            target, kind = _target(bucket_fd, step)
            followed += 1
            is_round = any(each == target or each.startswith(target + b"/") or not target for each in passed)
            if not modes.S_ISDIR(kind) or is_round or followed > MAX_LINKS or name.startswith(CONTROL):
                return None
            step = target
        elif not modes.S_ISDIR(mode):
            return b"/".join([step, *names[number + 1 :]])
        real = step
        passed.append(real)
    return real


def _mode(bucket_fd: int, path: bytes) -> int:
    """What stands at a path that no link is followed on; 0 for nothing that can be seen."""
    try:
        fd = open_beneath(bucket_fd, path, _ITSELF) if path else os.dup(bucket_fd)
    except OSError as error:
        if error.errno in _NO_WAY:
            return 0
        raise
    try:
        return os.fstat(fd).st_mode
    finally:
        os.close(fd)


def _target(bucket_fd: int, path: bytes) -> tuple[bytes, int]:
    """Where a link leads, as a path below the bucket without links, and what is there; 0 where it is not followed.

    The kernel resolves the link, and never outside the bucket; the name of what it has found is that of the descriptor.
    """
    try:
        fd = _open_patiently(bucket_fd, path)
    except OSError as error:
        if error.errno in _NO_WAY:
            return b"", 0
        raise
    try:
        mode = os.fstat(fd).st_mode
        found, top = (os.readlink(b"/proc/self/fd/%d" % each) for each in (fd, bucket_fd))
    finally:
        os.close(fd)
    below = found.removeprefix(top + b"/")
    if below == found or below.split(b"/", 1)[0] == CONTROL:
        return b"", 0
    return below, mode


def _open_patiently(bucket_fd: int, path: bytes) -> int:
    """openat2(2): EAGAIN says that something was renamed while `..` was resolved, so that the way is not sure."""
    for _ in range(_ATTEMPTS):
        try:
            return open_through_links(bucket_fd, path, os.O_PATH)
        except BlockingIOError:
            continue
    return open_through_links(bucket_fd, path, os.O_PATH)
