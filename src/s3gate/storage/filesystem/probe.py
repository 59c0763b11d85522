"""What the filesystem of a data directory must be able to do, tried before it is served."""

from __future__ import annotations

import errno
import os
import shutil
import uuid

from s3gate.core.names import RESERVED
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem.capabilities import folds_case, folds_unicode
from s3gate.storage.filesystem.layout import open_root
from s3gate.storage.filesystem.locks import locks_exclude_processes

__all__ = ["require_exact_names", "require_process_locks"]


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


def require_process_locks(root: str) -> None:
    """Raise StartError unless a lock in this directory keeps another process out. Forks: no thread may run yet."""
    os.close(open_root(root, read_only=False))
    path = os.path.join(root, RESERVED, "locks", f"probe-{uuid.uuid4().hex}")
    if not locks_exclude_processes(os.fsencode(path)):
        raise StartError(
            f"File locks in {root} do not keep other processes out, so that several workers would overwrite one "
            "another's objects. Run one worker (--workers 1) and no other gateway on this directory, or mount it with "
            "locks that work (for NFS without nolock, for Lustre with flock)."
        )
