"""Names of headers that are looked at once and then known: clients send few, again and again."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["keep"]

_MOST = 512
_LONG = 64  # bytes; a longer name is looked at each time

_T = TypeVar("_T")


def keep(known: dict[bytes, _T], name: bytes, meaning: _T) -> _T:
    """Note in `known` what a name means, within bounds: where there are too many names it begins anew."""
    if len(name) <= _LONG:
        if len(known) >= _MOST:
            known.clear()
        known[name] = meaning
    return meaning
