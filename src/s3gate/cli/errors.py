"""What ends a command with a message instead of a traceback."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(Exception):
    """The command cannot do what it was asked; the message says why and what to do. Exit status 1."""
