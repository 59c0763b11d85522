"""A store as its readers see it: fails where GET, HEAD and LIST differ, or an ETag is not that of the bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from s3gate.core.values import Bucket, ObjectRecord, Part, Upload
from s3gate.storage.backend import Backend, ListedVersion, ListQuery
from s3gate.storage.versions import version_order
from support.stores import error_code, get_with_record, versions

__all__ = ["Known", "View", "allowed", "is_synthetic", "is_true", "observe", "parts_of"]

_Row = tuple[Any, ...]


@dataclass(frozen=True)
class Known:
    """The version ids and times of a start state: what a mutation adds gets others with every run."""

    ids: frozenset[str] = frozenset()
    times: frozenset[int] = frozenset()

    def record(self, record: ObjectRecord) -> ObjectRecord:
        """The record, with what differs from run to run made equal."""
        return replace(
            record,
            version_id=record.version_id if record.version_id in self.ids else "new",
            modified_ns=record.modified_ns if record.modified_ns in self.times else 0,
            sequence=0,
            etag="of another program" if is_synthetic(record) else record.etag,
        )

    def part(self, part: Part) -> Part:
        """The same for a part."""
        return replace(part, modified_ns=part.modified_ns if part.modified_ns in self.times else 0)


@dataclass
class View:
    """What there is: rows that compare equal where nothing that a client could tell is different."""

    buckets: list[_Row] = field(default_factory=list)
    objects: list[_Row] = field(default_factory=list)
    versions: list[_Row] = field(default_factory=list)
    uploads: list[_Row] = field(default_factory=list)
    known: Known = field(default_factory=Known, compare=False, repr=False)

    def lacks(self, other: View) -> str:
        """What this one has and the other has not, and the other way round, one row a line."""
        lines = []
        for part in ("buckets", "objects", "versions", "uploads"):
            mine, theirs = getattr(self, part), getattr(other, part)
            lines += [f"  - {part}: {row}" for row in mine if row not in theirs]
            lines += [f"  + {part}: {row}" for row in theirs if row not in mine]
        return "\n".join(line[:600] for line in lines) or "  the same in another order"


def allowed(old: View, new: View) -> list[View]:
    """What may be seen after a crash.

    An upload ends after its object is there: who sees both may complete it again, and gets the same version.
    """
    found = [old, new]
    if old.uploads and not new.uploads and new.objects != old.objects:
        found.append(View(new.buckets, new.objects, new.versions, old.uploads))
    return found


def is_synthetic(record: ObjectRecord) -> bool:
    """Whether this is the made-up record of a file that has none."""
    return record.etag.endswith("-1") and not record.parts


def is_true(data: bytes, record: ObjectRecord) -> bool:
    """Whether a record belongs to these bytes: by size and by its ETag, which for no contents is only made up."""
    if len(data) != record.size:
        return False
    if is_synthetic(record):
        return record.checksum is None
    if not record.parts:
        return hashlib.md5(data).hexdigest() == record.etag
    digests, start = b"", 0
    for span in record.parts:
        digests += hashlib.md5(data[start : start + span.size]).digest()
        start += span.size
    return record.etag == f"{hashlib.md5(digests).hexdigest()}-{len(record.parts)}" and start == len(data)


async def parts_of(backend: Backend, bucket: Bucket) -> list[tuple[Upload, list[Part]]]:
    """Every upload with its parts."""
    uploads = await backend.list_uploads(bucket, "")
    for upload in uploads:
        assert await backend.find_upload(bucket, upload.key, upload.id) == upload
    return [(upload, await backend.list_parts(bucket, upload)) for upload in uploads]


async def observe(backend: Backend, names: Iterable[str], known: Known | None = None, *, ordered: bool = True) -> View:
    """All of a store. `names` are keys that are looked for also where no listing has them.

    `ordered` is False after a loss of power where the file system keeps no order: versions may be out of their place.
    """
    found: list[tuple[Bucket, list[tuple[str, bytes, ObjectRecord]], list[ListedVersion], dict[str, bytes], Any]] = []
    for bucket in await backend.list_buckets():
        assert (await backend.find_bucket(bucket.name)).owner == bucket.owner
        objects = await _objects(backend, bucket, names)
        listed, contents = await _versions(backend, bucket)
        current = [each.key for each in listed if each.latest and not each.record.delete_marker]
        assert not ordered or current == [key for key, _, _ in objects], "versions and objects are not listed alike"
        found.append((bucket, objects, listed, contents, await parts_of(backend, bucket)))
    if known is None:
        listed_all = [each.record for _, _, listed, _, _ in found for each in listed]
        parts = [part for *_, uploads in found for _, each in uploads for part in each]
        known = Known(
            frozenset(record.version_id for record in listed_all),
            frozenset(each.modified_ns for each in [*listed_all, *parts]),
        )
    view = View(known=known)
    for bucket, objects, listed, contents, uploads in found:
        view.buckets.append((bucket.name, bucket.owner, bucket.region, dict(bucket.documents)))
        view.objects += [(bucket.name, key, data, known.record(record)) for key, data, record in objects]
        view.versions += [
            (bucket.name, each.key, contents.get(each.key + each.record.version_id), known.record(each.record))
            for each in listed
        ]
        view.uploads += [(bucket.name, upload, [known.part(part) for part in parts]) for upload, parts in uploads]
    return view


async def _objects(backend: Backend, bucket: Bucket, names: Iterable[str]) -> list[tuple[str, bytes, ObjectRecord]]:
    page = await backend.list_objects(bucket, ListQuery())
    objects = []
    for each in page.objects:
        data, record = await get_with_record(backend, bucket, each.key)
        assert record == each.record == await backend.stat_object(bucket, each.key), f"{each.key}: GET, HEAD, LIST"
        assert is_true(data, record), f"{each.key}: {len(data)} bytes are not those of {record}"
        objects.append((each.key, data, record))
    listed = [each.key for each in page.objects]
    assert listed == sorted(set(listed), key=str.encode)
    for key in set(names) - set(listed):
        assert await error_code(backend.stat_object(bucket, key)) == "NoSuchKey", f"{key} is there but not listed"
        assert await error_code(backend.open_object(bucket, key)) == "NoSuchKey"
    assert await _paged(backend, bucket) == listed
    return objects


async def _paged(backend: Backend, bucket: Bucket) -> list[str]:
    """The keys by pages of one."""
    found: list[str] = []
    while True:
        page = await backend.list_objects(bucket, ListQuery(after=found[-1] if found else "", limit=1))
        found += [each.key for each in page.objects]
        if not page.truncated:
            return found


async def _versions(backend: Backend, bucket: Bucket) -> tuple[list[ListedVersion], dict[str, bytes]]:
    listed = await versions(backend, bucket)
    contents = {}
    for each in listed:
        version_id = each.record.version_id
        if each.record.delete_marker:
            assert await error_code(backend.stat_object(bucket, each.key, version_id)) == "MethodNotAllowed"
            continue
        data, record = await get_with_record(backend, bucket, each.key, version_id)
        assert record == each.record == await backend.stat_object(bucket, each.key, version_id)
        assert is_true(data, record), f"version {version_id} of {each.key}: {len(data)} bytes are not those of {record}"
        contents[each.key + version_id] = data
    places = [(each.key.encode(), version_order(each.record)) for each in listed]
    assert places == sorted(places), f"versions out of order: {places}"
    assert len({(each.key, each.record.version_id) for each in listed}) == len(listed)
    return listed, contents
