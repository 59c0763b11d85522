"""Sizes in bytes as people write them."""

from __future__ import annotations

import re

__all__ = ["SIZE", "parse_size", "size_name"]

SIZE = r"\d+(?:B|KiB|MiB|GiB)"

_UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}


def parse_size(text: str) -> int:
    """The bytes of `64KiB`; ValueError for what is no size."""
    if not re.fullmatch(SIZE, text):
        raise ValueError(f"{text!r} is no size; sizes are like 64KiB")
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * _UNITS[unit]


def size_name(size: int) -> str:
    """`64 KiB`, in the largest unit that divides it."""
    unit, factor = next(item for item in _UNITS.items() if size % item[1] == 0)
    return f"{size // factor} {unit}"
