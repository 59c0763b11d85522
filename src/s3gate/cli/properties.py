"""The properties of a bucket as they are written on the command line: NAME=VALUE."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from s3gate.cli.errors import CommandError
from s3gate.core.bucket_properties import CHECKSUM_TYPE, ETAG_KINDS, NO_QUOTA, QUOTA, quota_document, quota_of
from s3gate.core.errors import S3Error
from s3gate.core.values import VERSIONING

__all__ = ["ALIASES", "PROPERTIES", "Property", "parse_assignments", "parse_size"]

_UNITS: Mapping[str, int] = {"": 1, "B": 1} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("KMGTP", 1)
    for end, base in (("B", 1000), ("iB", 1024))
}
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,6}))? ?([A-Za-z]*)")
_MOST = 1 << 62
_STATES = {"enabled": b"Enabled", "suspended": b"Suspended"}

Documents = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Property:
    """A property: the kind of document it stands in, how to show it, and that document once it has another value.

    `document` is None where the value leaves nothing to be kept; it raises ValueError, which tells what a value is.
    """

    kind: str
    meaning: str
    show: Callable[[Documents], str]
    document: Callable[[Documents, str], bytes | None]


def parse_size(text: str) -> int:
    """`1048576`, `10GiB` or `1.5 TB` as bytes, else ValueError."""
    found = _SIZE.fullmatch(text.strip())
    unit = None if found is None else _UNITS.get(found[3].replace("k", "K", 1))
    if found is None or unit is None:
        raise ValueError("a size is a number with or without a unit, as in 1048576, 10GiB or 500GB")
    fraction = found[2] or "0"
    parts: int = 10 ** len(fraction)
    size = int(found[1]) * unit + int(fraction) * unit // parts
    if size > _MOST:
        raise ValueError(f"a size is at most {_MOST} bytes")
    return size


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= _MOST):
        raise ValueError("a number of objects is a whole number")
    return int(text)


def _checksum_type(_: Documents, value: str) -> bytes | None:
    if value == "default":
        return None
    if value.encode() not in ETAG_KINDS:
        raise ValueError(f"it is {', '.join(ETAG_KINDS.values())}, or default for the gateway's own")
    return value.encode()


def _versioning(_: Documents, value: str) -> bytes | None:
    if value not in _STATES:
        raise ValueError("it is enabled or suspended")
    return _STATES[value]


def _quota(member: str, parse: Callable[[str], int]) -> Property:
    def show(documents: Documents) -> str:
        try:
            limit: int | None = getattr(quota_of(documents), member)
        except S3Error:
            return "damaged"
        return "none" if limit is None else str(limit)

    def document(documents: Documents, value: str) -> bytes | None:
        try:
            quota = quota_of(documents)
        except S3Error:
            quota = NO_QUOTA  # so that a damaged one can be replaced
        changed = replace(quota, **{member: None if value == "none" else parse(value)})
        return None if changed == NO_QUOTA else quota_document(changed)

    meaning = "bytes" if member == "bytes" else "objects, older versions among them,"
    return Property(QUOTA, f"the most {meaning} that it may hold, or none", show, document)


PROPERTIES: Mapping[str, Property] = {
    "checksum.type": Property(
        CHECKSUM_TYPE,
        "what the ETags of new objects are made of: md5, xxhash, none, or default for the gateway's own",
        lambda documents: documents.get(CHECKSUM_TYPE, b"default").decode(),
        _checksum_type,
    ),
    "versioning": Property(
        VERSIONING,
        "whether older versions are kept: enabled or suspended",
        lambda documents: documents.get(VERSIONING, b"off").decode().lower(),
        _versioning,
    ),
    "quota.bytes": _quota("bytes", parse_size),
    "quota.objects": _quota("objects", _number),
}
# The names of others for the same: AIStore's.
ALIASES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("versioning.enabled", "true"): ("versioning", "enabled"),
    ("versioning.enabled", "false"): ("versioning", "suspended"),
}


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE`, as many as there are, by name; a text may hold several, separated by commas."""
    found: dict[str, str] = {}
    for text in texts:
        for item in map(str.strip, text.split(",")):
            name, equals, value = item.partition("=")
            name, value = ALIASES.get((name, value), (name, value))
            if not equals or name not in PROPERTIES:
                known = ", ".join(PROPERTIES)
                raise CommandError(f"{item!r} is not NAME=VALUE of a property; the properties are {known}.")
            if name in found:
                raise CommandError(f"{name} is given twice.")
            found[name] = value
    return found
