"""Documents of DeleteObjects: the keys to delete, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import msgspec

from s3gate.core.errors import S3Error
from s3gate.xml.codec import Element, children, malformed, read, text_of
from s3gate.xml.writer import document, element, nested

__all__ = ["MAX_KEYS", "Delete", "Outcome", "Target", "delete_result"]

# "The request can contain a list of up to 1,000 keys that you want to delete" (DeleteObjects).
MAX_KEYS = 1000
_FIELDS = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})


class Target(msgspec.Struct, frozen=True):
    """An object to delete. `directory_conditions` tells that it has conditions that only directory buckets know."""

    key: str
    version_id: str | None = None
    etag: str | None = None
    directory_conditions: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """What DeleteObjects is sent: 1 to 1000 objects; `quiet` asks to hear of failures only."""

    targets: list[Target] = field(default_factory=list)
    quiet: bool = False

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read by plain code rather than through a model: 1000 keys are the common case."""
        targets: list[Target] = []
        quiet = False
        for name, node in children(read(body, "Delete")):
            if name == "Object":
                targets.append(_target(node))
            elif name == "Quiet":
                quiet = _boolean(text_of(node).strip())
            else:
                raise malformed(f"{name} is not known here")
        if not 1 <= len(targets) <= MAX_KEYS:
            raise malformed(f"there are {len(targets)} keys, not 1 to {MAX_KEYS}")
        return cls(targets, quiet)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise malformed(f"{text} is no boolean")
    return text.lower() in ("true", "1")


def _target(node: Element) -> Target:
    found: dict[str, str] = {}
    for name, child in children(node):
        if name not in _FIELDS or name in found:
            raise malformed(f"{name} is not known here, or stands twice")
        found[name] = text_of(child)
    if not found.get("Key"):
        raise malformed("an object has no key")
    return Target(
        found["Key"],
        found.get("VersionId") or None,
        found.get("ETag") or None,
        bool(found.get("LastModifiedTime") or found.get("Size")),
    )


class Outcome(msgspec.Struct, frozen=True):
    """What became of a target: `error` is None where it is gone. `marker` is the delete marker made or removed."""

    target: Target
    marker: str = ""
    error: S3Error | None = None


def delete_result(outcomes: Iterable[Outcome], *, quiet: bool) -> bytes:
    """The answer of DeleteObjects, in the order of the request, what was deleted before what was not."""
    deleted: list[str] = []
    failed: list[str] = []
    for outcome in outcomes:
        target, error = outcome.target, outcome.error
        which = element("Key", target.key)
        if target.version_id is not None:
            which += element("VersionId", target.version_id)
        if error is not None:
            failed.append(nested("Error", which, element("Code", error.code), element("Message", error.message)))
        elif not quiet:
            if outcome.marker:
                which += element("DeleteMarker", True) + element("DeleteMarkerVersionId", outcome.marker)
            deleted.append(nested("Deleted", which))
    return document("DeleteResult", *deleted, *failed)
