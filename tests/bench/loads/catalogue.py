"""The loads by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.loads.deletion import Deletes, MultiDeletes
from bench.loads.large import Large, Ranges
from bench.loads.listing import Pages
from bench.loads.load import Load
from bench.loads.multipart import Multipart
from bench.loads.small import Mixed, Small
from bench.sizes import SIZE, parse_size

__all__ = ["DEFAULT_LOADS", "LOAD_NAMES", "Counts", "load_named"]

DEFAULT_LOADS = (
    "get-1KiB", "head-1KiB", "put-1KiB", "get-64KiB", "put-64KiB", "mixed", "delete", "delete-objects",
    "list", "list-next", "list-delimiter", "get-64MiB", "get-256MiB", "get-1GiB", "range-1MiB-of-1GiB",
    "put-64MiB", "put-256MiB", "put-1GiB", "multipart-256MiB",
)  # fmt: skip
LOAD_NAMES = (
    "get-SIZE, head-SIZE, put-SIZE, range-SIZE-of-SIZE, multipart-SIZE, mixed, list, list-next, list-delimiter, "
    "delete, delete-objects; SIZE as in 1KiB, 256MiB, 1GiB"
)

_LARGE = 8 << 20
_PAGES = {"list": "first", "list-next": "next", "list-delimiter": "delimiter"}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many keys a listed bucket has, how many where each is a PUT, and how many objects a round deletes."""

    listed: int
    listed_by_put: int
    deleted: int


def load_named(name: str, counts: Counts) -> Load:
    """The load of a name; ValueError for names that are none."""
    if name in _PAGES:
        return Pages(name, _PAGES[name], counts.listed, counts.listed_by_put)  # type: ignore[arg-type]
    if name == "delete":
        return Deletes(counts.deleted)
    if name == "delete-objects":
        return MultiDeletes(max(1, counts.deleted // 1000))
    if name == "mixed":
        return Mixed()
    if found := re.fullmatch(f"(get|head|put)-({SIZE})", name):
        method, size = found[1].upper(), parse_size(found[2])
        return Large(name, method, size) if size >= _LARGE and method != "HEAD" else Small(name, method, size)
    if found := re.fullmatch(f"range-({SIZE})-of-({SIZE})", name):
        return Ranges(name, parse_size(found[1]), parse_size(found[2]))
    if found := re.fullmatch(f"multipart-({SIZE})", name):
        return Multipart(name, parse_size(found[1]))
    raise ValueError(f"{name!r} is no load; loads are {LOAD_NAMES}")
