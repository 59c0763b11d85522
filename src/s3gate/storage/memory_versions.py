"""The objects of one bucket of the reference backend: every key with its versions, newest first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from msgspec.structs import replace

from s3gate.core.bucket_properties import Held
from s3gate.core.clock import now_ns
from s3gate.core.conditions import WriteCondition
from s3gate.core.values import NULL_VERSION, ObjectRecord
from s3gate.storage.backend import Deletion, ListPage, ListQuery, VersionPage, VersionQuery
from s3gate.storage.rollup import collect, collect_versions
from s3gate.storage.versions import new_version_id, no_such_key, no_such_version, not_for_delete_markers

__all__ = ["Version", "Versions"]


@dataclass(frozen=True, slots=True)
class Version:
    """A version or a delete marker. Never changed, only replaced: who holds it keeps record and bytes together."""

    record: ObjectRecord
    data: bytes


class _Cursor:
    """Walks sorted keys from index `at`."""

    def __init__(self, keys: list[bytes], at: int) -> None:
        self._keys = keys
        self._at = at

    def take(self, limit: int) -> list[bytes]:
        taken = self._keys[self._at : self._at + limit]
        self._at += len(taken)
        return taken

    def skip(self, prefix: bytes) -> None:
        # Keys cut to the prefix's length are still in order, and those that begin with it are then equal to it.
        self._at = bisect_right(self._keys, prefix, lo=self._at, key=lambda key: key[: len(prefix)])


@dataclass(slots=True)
class Versions:
    """All versions of all keys. `versioning` is Bucket.versioning as it stands at the moment of a call."""

    _by_key: dict[str, list[Version]] = field(default_factory=dict)  # newest first, no list is empty
    _keys: list[bytes] = field(default_factory=list)  # all of them, as UTF-8, sorted
    _live: list[bytes] = field(default_factory=list)  # those whose current version is no delete marker
    _sequence: int = 0

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def of(self, key: str) -> list[Version]:
        """The versions of a key, the newest first."""
        return list(self._by_key.get(key, ()))

    def put_back(self, key: str, versions: list[Version]) -> None:
        """Make these the versions of a key."""
        self._set(key, versions)

    def held(self) -> Held:
        """How much there is in all."""
        sizes = [
            each.record.size for each in chain.from_iterable(self._by_key.values()) if not each.record.delete_marker
        ]
        return Held(sum(sizes), len(sizes))

    def find(self, key: str, version_id: str | None) -> Version:
        """The current version, or the one with this id; errors as Backend.open_object."""
        found = self._get(key, version_id)
        if found is None:
            raise no_such_key(key) if version_id is None else no_such_version(key, version_id)
        record = found.record
        if not record.delete_marker:
            return found
        if version_id is None:
            raise no_such_key(key, record.version_id)
        raise not_for_delete_markers(record.version_id, record.modified_ns)

    def commit(
        self, versioning: str, key: str, record: ObjectRecord, data: bytes, condition: WriteCondition
    ) -> ObjectRecord:
        """See Backend.commit_object."""
        condition.check(self._object(key, None))
        return self._add(versioning, key, record, data)

    def update(self, key: str, version_id: str | None, change: Callable[[ObjectRecord], ObjectRecord]) -> ObjectRecord:
        """See Backend.update_object."""
        found = self.find(key, version_id)
        there = found.record
        record = replace(change(there), version_id=there.version_id, sequence=there.sequence)
        versions = self._by_key[key]
        versions[versions.index(found)] = Version(record, found.data)
        return record

    def delete(self, versioning: str, key: str, version_id: str | None, condition: WriteCondition) -> Deletion:
        """See Backend.delete_object."""
        condition.check(self._object(key, version_id))
        if version_id is None and versioning:
            marker = self._add(versioning, key, ObjectRecord("", 0, 0, delete_marker=True), b"")
            return Deletion(marker.version_id, delete_marker=True)
        found = self._get(key, version_id)
        if found is not None:
            self._set(key, [version for version in self._by_key[key] if version is not found])
        if version_id is None or not versioning:
            return Deletion()
        return Deletion(version_id, delete_marker=found is not None and found.record.delete_marker)

    def list_objects(self, query: ListQuery) -> ListPage:
        """See Backend.list_objects."""
        at = max(bisect_right(self._live, query.after.encode()), bisect_left(self._live, query.prefix.encode()))
        return collect(_Cursor(self._live, at), query, lambda keys: [self._object(key, None) for key in keys])

    def list_versions(self, query: VersionQuery) -> VersionPage:
        """See Backend.list_versions."""
        at = bisect_left(self._keys, max(query.after_key.encode(), query.prefix.encode()))
        return collect_versions(
            _Cursor(self._keys, at),
            query,
            lambda keys: [[version.record for version in self._by_key[key]] for key in keys],
        )

    def _get(self, key: str, version_id: str | None) -> Version | None:
        """The newest version of the key, or the one with this id; delete markers too."""
        versions = self._by_key.get(key, [])
        return next((each for each in versions if version_id in (None, each.record.version_id)), None)

    def _object(self, key: str, version_id: str | None) -> ObjectRecord | None:
        """What a condition is decided against: a delete marker has no entity tag and counts as nothing."""
        found = self._get(key, version_id)
        return None if found is None or found.record.delete_marker else found.record

    def _add(self, versioning: str, key: str, record: ObjectRecord, data: bytes) -> ObjectRecord:
        """Make a version the newest one of its key; there is never more than one "null" among them."""
        self._sequence += 1
        version_id = new_version_id(self._sequence) if versioning == "Enabled" else NULL_VERSION
        stored = replace(record, modified_ns=now_ns(), version_id=version_id, sequence=self._sequence)
        older = [version for version in self._by_key.get(key, []) if version.record.version_id != version_id]
        self._set(key, [Version(stored, data), *older])
        return stored

    def _set(self, key: str, versions: list[Version]) -> None:
        if versions:
            self._by_key[key] = versions
        else:
            self._by_key.pop(key, None)
        name = key.encode()
        _note(self._keys, name, there=bool(versions))
        _note(self._live, name, there=bool(versions) and not versions[0].record.delete_marker)


def _note(keys: list[bytes], key: bytes, *, there: bool) -> None:
    """Add a key to a sorted list, or take it out of it."""
    at = bisect_left(keys, key)
    known = at < len(keys) and keys[at] == key
    if there and not known:
        insort(keys, key)
    elif known and not there:
        del keys[at]
