"""Command-line flags for settings, made from the settings themselves."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from s3gate.config import Settings, load_settings
from s3gate.setting_hints import flags_of, may_repeat

__all__ = [
    "add_conf_flag",
    "add_setting_flags",
    "address_of",
    "arguments_for",
    "given_settings",
    "given_values",
    "type_of",
]


def type_of(name: str) -> str:
    """The type of a setting in words: `flag`, `number`, `list`, `text`, or its choices joined by `|`."""
    annotation = Settings.model_fields[name].annotation
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list"
    if isinstance(annotation, type) and issubclass(annotation, bool):
        return "flag"
    return "number" if isinstance(annotation, type) and issubclass(annotation, int) else "text"


def add_conf_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that names the TOML file."""
    parser.add_argument(
        "--conf",
        type=Path,
        metavar="FILE",
        help="TOML file with settings (also S3GATE_CONF); see s3gate config template",
    )


def add_setting_flags(parser: argparse.ArgumentParser, names: Iterable[str] = Settings.model_fields) -> None:
    """A flag for each of the settings; what is not given leaves no trace in the parsed arguments."""
    for name in names:
        field = Settings.model_fields[name]
        flag, off = flags_of(name)
        hints = field.json_schema_extra
        text = f"{field.description} (default: {_default(field.default)})".replace("`", "").replace("%", "%%")
        common: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
        kind = type_of(name)
        if kind == "flag":
            parser.add_argument(flag, dest=name, action="store_true", **common)
            parser.add_argument(off, dest=name, action="store_false", default=argparse.SUPPRESS, help=f"undo {flag}")
            continue
        common["metavar"] = hints.get("metavar", kind if "|" in kind else "X") if isinstance(hints, dict) else "X"
        if not flag.startswith("-"):
            parser.add_argument(name, nargs="?", **{**common, "metavar": flag})
        else:
            repeated = kind == "list" or may_repeat(name)
            parser.add_argument(flag, dest=name, action="append" if repeated else "store", **common)


def _default(value: object) -> str:
    if value is None or value in ("", ()):
        return "none"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def given_values(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings among the parsed arguments, by name: texts, booleans and lists of texts."""
    return {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}


def given_settings(arguments: argparse.Namespace) -> Settings:
    """The settings in force: those among the parsed arguments, the environment, and the file of --conf."""
    return load_settings(given_values(arguments), os.environ, arguments.conf)


def address_of(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """By what a gateway is found again: the arguments of pid_file.find."""
    by_file = arguments.conf is not None and "listen" not in given_values(arguments)
    return {
        "directory": settings.run_dir,
        "listen": settings.listen,
        "named": "listen" in settings.model_fields_set,
        "conf": os.path.abspath(arguments.conf) if by_file else None,
    }


def arguments_for(values: Mapping[str, Any], conf: str | None) -> list[str]:
    """The arguments that give these settings, as `given_values` has them, and the file of --conf."""
    found = [] if conf is None else [f"--conf={conf}"]
    behind = []
    for name, value in values.items():
        flag, off = flags_of(name)
        if not flag.startswith("-"):
            behind = ["--", value]
        elif isinstance(value, bool):
            found.append(flag if value else off)
        else:
            found += [f"{flag}={item}" for item in (value if isinstance(value, list) else [value])]
    return found + behind
