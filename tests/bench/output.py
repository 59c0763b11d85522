"""Where a report goes: into a file, or to the standard output."""

from __future__ import annotations

from pathlib import Path

__all__ = ["put_out"]


def put_out(text: str, path: Path | None) -> None:
    """Write a text to a file, whose directory is made, or print it where there is none."""
    if path is None:
        print(text, end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
