"""How much is logged, of everything and of single modules: texts such as `info,s3gate.server=debug`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LEVELS", "LogLevels", "from_rust", "parse_levels"]

LEVELS = ("error", "warning", "info", "debug", "trace")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
# What env_logger and tracing call them: https://docs.rs/env_logger/latest/env_logger/#enabling-logging
_RUST_LEVELS = {"warn": "warning", "off": "error"}
_OURS = ("s3gate", "curvine_s3_gateway")


@dataclass(frozen=True, slots=True)
class LogLevels:
    """The level of everything, and those of modules with all that is below them."""

    root: str = "info"
    modules: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join([self.root, *(f"{name}={level}" for name, level in self.modules.items())])


def parse_levels(text: str) -> LogLevels:
    """A level, or MODULE=LEVEL, or several of them separated by commas; else ValueError."""
    root = None
    modules: dict[str, str] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, equals, level = item.rpartition("=")
        level = level.strip().lower()
        name = name.strip()
        if level not in LEVELS:
            raise ValueError(f"{level!r} is no level; they are {', '.join(LEVELS)}")
        if not equals:
            if root is not None:
                raise ValueError("only one level can be that of everything")
            root = level
        elif not _MODULE.fullmatch(name):
            raise ValueError(f"{name!r} is no module, as in s3gate.server=debug")
        else:
            modules[name] = level
    if root is None and not modules:
        raise ValueError(f"name a level, one of {', '.join(LEVELS)}")
    return LogLevels(root or LogLevels().root, modules)


def from_rust(text: str) -> str:
    """What of the value of RUST_LOG means this program, as a text for `parse_levels`; "" where nothing does.

    Levels of everything count, and those of the modules of Curvine's gateway, whose names become those of this one's:
    `curvine_s3_gateway::auth=debug`. All else there is for other programs.
    """
    found: dict[str, str] = {}
    for item in filter(None, map(str.strip, text.partition("/")[0].split(","))):
        name, equals, level = item.rpartition("=")
        if not equals and level.lower() not in (*LEVELS, *_RUST_LEVELS):
            name, level = level, "trace"  # a module alone has all of its messages logged
        level = _RUST_LEVELS.get(level.lower(), level.lower())
        first, colons, rest = name.partition("::")
        if level in LEVELS and (not name or first in _OURS):
            found[f"s3gate{'.' if colons else ''}{rest.replace('::', '.')}" if name else ""] = level
    return ",".join(f"{name}={level}" if name else level for name, level in found.items())
