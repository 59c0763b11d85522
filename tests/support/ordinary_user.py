"""Work as a user whom file permissions hold: root may read everything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from support.forks import in_child

__all__ = ["as_ordinary_user", "own", "shared_directory"]

_NOBODY = 65534
_T = TypeVar("_T")


def as_ordinary_user(work: Callable[[], _T]) -> _T | None:
    """Run `work` in a child that is not root, and give what it gives. AssertionError with its traceback if it fails."""

    def drop_and_work() -> _T:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        return work()

    status, value = in_child(drop_and_work)
    assert status == 0
    return value


@contextmanager
def shared_directory() -> Iterator[Path]:
    """A directory that the ordinary user can reach and write, unlike those of a test that runs as root.

    Whatever is made in it is given to that user by own(), and can be removed at the end.
    """
    with tempfile.TemporaryDirectory(prefix="s3gate-shared-") as path:
        os.chmod(path, 0o755)  # noqa: S103 - the other user has to get in
        own(path)
        yield Path(path)
        for top, names, _ in os.walk(path):
            for name in names:
                inner = os.path.join(top, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)


def own(path: str) -> None:
    """Give a file or directory to the ordinary user."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
