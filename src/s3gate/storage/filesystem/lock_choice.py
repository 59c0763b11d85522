"""Which kind of lock a data directory has: the first that keeps another process out on all its mounts, by trial."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable

from s3gate.core.names import RESERVED, bucket_name_fault
from s3gate.storage.filesystem.lock_kinds import LockKind
from s3gate.storage.filesystem.ofd_locks import OfdLocks
from s3gate.storage.filesystem.process_locks import NoLocks, PosixLocks
from s3gate.storage.filesystem.stripe_locks import StripeLocks

__all__ = ["AUTO", "FIRST", "KINDS", "NONE", "choose", "exclude_processes", "places"]

AUTO = "auto"
# By name, the best one first.
KINDS: dict[str, LockKind] = {kind.name: kind for kind in (OfdLocks(), PosixLocks(), StripeLocks(), NoLocks())}
FIRST = OfdLocks.name
NONE = NoLocks.name
# A place where nothing can be made now: it is no mark against its locks.
_FULL_OR_CLOSED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS})


def choose(places: Iterable[bytes]) -> str:
    """The name of the best kind of lock that keeps processes apart in all of these directories; "none" if none does.

    Forks: to be called before any thread runs.
    """
    tried = list(places)
    return next(kind.name for kind in KINDS.values() if all(exclude_processes(kind, place) for place in tried))


def places(root: str) -> list[bytes]:
    """Where locks lie: the data directory, and each bucket that is a mount of its own."""
    data = os.fsencode(root)
    control = os.fsencode(RESERVED) + b"/locks"
    found = [data + b"/" + control]
    device = os.stat(data).st_dev
    with os.scandir(data) as entries:
        for entry in entries:
            name = os.fsdecode(entry.name)
            if bucket_name_fault(name, relaxed=True) is None and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):  # not to be looked at: it is not served either
                    if entry.stat(follow_symlinks=False).st_dev != device:
                        own = data + b"/" + entry.name + b"/" + control
                        found.append(own if os.path.isdir(own) else data + b"/" + entry.name)
    return found


def exclude_processes(kind: LockKind, place: bytes) -> bool:
    """Whether a lock of this kind on a new file in a directory keeps another process out. The file is removed again.

    Forks a child that tries to take the lock which this process holds. A directory in which no file can be made is
    taken to have locks: nothing is written there. True for the kind "none", which nothing is expected of.
    """
    if not kind.excludes:
        return True
    name = f"{RESERVED}-lock-probe-{uuid.uuid4().hex}".encode()
    try:
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return True
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory))
        return _keeps_out(kind, directory, name)
    except OSError as error:
        if error.errno in _FULL_OR_CLOSED:
            return True
        raise
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
        os.close(directory)


def _keeps_out(kind: LockKind, directory: int, name: bytes) -> bool:
    try:
        lock = kind.take(directory, name)
    except OSError:
        return False
    if lock is None:
        return False
    try:
        child = os.fork()
        if child == 0:
            status = 2
            try:
                status = 0 if kind.take(directory, name) is None and kind.is_taken(directory, name) else 1
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        lock.close()
