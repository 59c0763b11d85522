"""What the filesystem of a data directory must be able to do, tried before it is served."""

from __future__ import annotations

import os
import uuid

from s3gate.core.names import RESERVED
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem.layout import open_root
from s3gate.storage.filesystem.locks import locks_exclude_processes

__all__ = ["require_process_locks"]


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
