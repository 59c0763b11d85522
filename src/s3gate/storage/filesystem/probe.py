"""What the filesystem of a data directory must be able to do, tried before it is served."""

from __future__ import annotations

import errno
import os
import shutil
import uuid

from s3gate.core.names import RESERVED
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import lock_choice
from s3gate.storage.filesystem.capabilities import folds_case, folds_unicode
from s3gate.storage.filesystem.layout import lock_kind, marker_path, open_root
from s3gate.storage.filesystem.lock_kinds import LockKind
from s3gate.storage.filesystem.syscalls import has_openat2

__all__ = ["require_exact_names", "require_locks", "require_safe_links"]


def require_exact_names(root: str) -> None:
    """Raise StartError unless two names that differ in any byte are two files in this directory."""
    os.close(open_root(root, read_only=False))
    path = os.fsencode(os.path.join(root, RESERVED, "new", f"probe-{uuid.uuid4().hex}"))
    try:
        os.mkdir(path)
        try:
            one = "upper and lower case" if folds_case(path) else "Unicode forms" if folds_unicode(path) else ""
        finally:
            shutil.rmtree(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return  # a full disk is served all the same: objects can be read and deleted
        raise StartError(f"cannot try out the data directory {root}: {error.strerror}") from error
    if one:
        raise StartError(
            f"The filesystem of {root} takes names that differ in their {one} for one, so that one object would "
            "overwrite another. Serve a directory of a filesystem that keeps them apart (ext4 without casefold, XFS)."
        )


def require_locks(root: str, *, setting: str = lock_choice.AUTO, workers: int) -> None:
    """Raise StartError unless the locks of this directory keep other processes out, or a single worker is alone.

    Of a directory that was never served the kind of locks is chosen here. Forks: no thread may run yet.
    """
    os.close(open_root(root, read_only=False, locks=setting))
    kind = lock_kind(root, setting)
    if kind.excludes:
        _require_exclusion(root, kind)
    elif workers > 1:
        raise StartError(
            f"No locks keep other processes out of {root}, so that several workers would overwrite one another's "
            "objects. Run one worker (--workers 1) and no other gateway on this directory, or mount it with locks that "
            f"work (for NFS without nolock, for Lustre with flock).{_other_kind(root)}"
        )


def _require_exclusion(root: str, kind: LockKind) -> None:
    for place in lock_choice.places(root):
        if not lock_choice.exclude_processes(kind, place):
            raise StartError(
                f"Locks of the kind {kind.name}, which {marker_path(root)} names, do not keep other processes out of "
                f"{os.fsdecode(place)}, so that they would overwrite one another's objects. Mount it with locks that "
                f"work (for NFS without nolock, for Lustre with flock).{_other_kind(root)}"
            )


def _other_kind(root: str) -> str:
    """What to do without another mount: change to a kind of locks that works, or to none at all."""
    name = lock_choice.choose(lock_choice.places(root))
    if name == lock_kind(root).name:
        return ""
    only = "" if lock_choice.KINDS[name].excludes else ", and run one worker (--workers 1) of one gateway"
    return f' Or stop every gateway on it and write "locks": "{name}" into {marker_path(root)}{only}.'


def require_safe_links() -> None:
    """Raise StartError unless links can be followed without ever leaving a bucket, and where they lead can be told."""
    if not has_openat2():
        raise StartError(
            "symlinks = inside needs the system call openat2, which this kernel (before Linux 5.6) does not have, or "
            "the container's seccomp profile forbids. Set symlinks = deny, or run on a newer kernel or with a profile "
            "that allows openat2."
        )
    if not os.path.isdir("/proc/self/fd"):
        raise StartError("symlinks = inside needs /proc, which is not mounted here. Mount it, or set symlinks = deny.")
