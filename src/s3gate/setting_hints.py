"""What is said of settings beside their values: their flags on the command line, and when they can change."""

from __future__ import annotations

from typing import Annotated, get_args

from s3gate.setting_types import FilePath
from s3gate.settings import Settings

__all__ = ["flags_of", "is_live", "is_path", "may_repeat"]


def _hints(name: str) -> dict[str, str]:
    hints = Settings.model_fields[name].json_schema_extra
    return {key: str(value) for key, value in hints.items()} if isinstance(hints, dict) else {}


def flags_of(name: str) -> tuple[str, str]:
    """The command-line flags of a setting: the one that gives it, and for a boolean the one that says false or ""."""
    hints = _hints(name)
    return hints.get("flag", f"--{name.replace('_', '-')}"), hints.get("off", "")


def may_repeat(name: str) -> bool:
    """Whether the flag of a setting that is one text may be repeated: it is the texts, separated by commas."""
    return "repeat" in _hints(name)


def is_path(name: str) -> bool:
    """Whether a setting is the path of a file or a directory."""
    field = Settings.model_fields[name]
    given = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return FilePath in (given, *get_args(given))


def is_live(name: str) -> bool:
    """Whether a change of a setting is taken over while the gateway serves."""
    return "live" in _hints(name)
