"""Whether the tests run with the fast ways, or with FAST_PATHS=off in the environment without."""

from __future__ import annotations

import os

__all__ = ["FAST", "fast_path_flags"]

FAST = os.environ.get("FAST_PATHS", "on") != "off"


def fast_path_flags(fast: bool = FAST) -> list[str]:
    """Flags of `s3gate serve` that choose the one or the other; none for the default."""
    return [] if fast else ["--no-join-answers", "--no-zero-copy", "--no-overlap-uploads", "--cold-disks"]
