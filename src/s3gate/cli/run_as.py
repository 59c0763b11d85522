"""Working on a data directory as the user that it belongs to, so that its gateways can read what is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from s3gate.core.names import RESERVED

__all__ = ["as_owner_of"]


@contextlib.contextmanager
def as_owner_of(data_dir: str) -> Iterator[None]:
    """While the block runs root is the owner of the gateway's part of the data directory; others stay who they are.

    Files that only root may read would take the bucket away from a gateway that runs as another user.
    """
    try:
        stat = os.stat(os.path.join(data_dir, RESERVED))
    except OSError:
        stat = None
    if stat is None or os.geteuid() != 0 or stat.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(stat.st_gid)
    os.seteuid(stat.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
