"""What a process was about to do and what it was told: written down so that it outlives the process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["Journal", "Model", "Version"]

NULL = "null"
UNKNOWN = "?"  # the version id that a killed process was not told


@dataclass(frozen=True)
class Version:
    """A version of a key: what its contents hash to, None for a delete marker."""

    id: str
    digest: str | None
    tag: str = ""


@dataclass
class Model:
    """The keys of one process, as they have to be: the versions of each by bucket and key, the newest first."""

    keys: dict[tuple[str, str], list[Version]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def after(self, what: dict[str, Any], version_id: str) -> list[Version]:
        """The versions of the key that an operation is about, once it is done."""
        versions = self.of(what["bucket"], what["key"])
        state = self.states.get(what["bucket"], "")
        kept = versions if state == "Enabled" else [each for each in versions if each.id != NULL]
        if what["op"] == "put":
            return [Version(version_id, what["digest"]), *kept]
        if what["op"] == "delete":
            return [Version(version_id, None), *kept] if state else []
        if what["op"] == "delete version":
            return [each for each in versions if each.id != what["version"]]
        assert what["op"] == "tag"
        return [replace(versions[0], tag=what["tag"]), *versions[1:]]

    def of(self, bucket: str, key: str) -> list[Version]:
        """The versions of a key."""
        return self.keys.get((bucket, key), [])

    def apply(self, what: dict[str, Any], version_id: str) -> None:
        """An operation was done."""
        if what["op"] == "state":
            self.states[what["bucket"]] = what["state"]
        elif "key" in what:
            self.keys[what["bucket"], what["key"]] = self.after(what, version_id)


class Journal:
    """The operations of one process after another, in a file of whole lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, kind: str, **what: Any) -> None:
        """Add a line: `do`, then `done` or `failed`; or `count` of something."""
        os.write(self._fd, json.dumps({"kind": kind, **what}).encode() + b"\n")

    def lines(self) -> Iterator[dict[str, Any]]:
        """All lines; one that a kill has cut off counts as not written."""
        for line in self._path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield json.loads(line)

    def operations(self) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Every operation with its outcome, None for one that a kill cut short."""
        pending: dict[str, Any] | None = None
        for line in self.lines():
            if line["kind"] == "do":
                if pending is not None:
                    yield pending, None
                pending = line
            elif line["kind"] in ("done", "failed") and pending is not None:
                yield pending, line
                pending = None
        if pending is not None:
            yield pending, None

    def replay(self) -> tuple[Model, dict[str, Any] | None]:
        """What the keys have to be now, and the operation of which nobody knows whether it was done."""
        model, open_operation = Model(states={"kept": "Enabled"}), None
        for what, outcome in self.operations():
            open_operation = what if outcome is None else None
            if outcome is not None and outcome["kind"] == "done":
                model.apply(what, outcome.get("version", ""))
        return model, open_operation
