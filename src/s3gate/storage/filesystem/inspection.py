"""What is wrong, or merely remarkable, in a data directory: the checks of `s3gate fsck`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from s3gate.core.errors import S3Error
from s3gate.core.names import is_upload_id
from s3gate.core.values import VERSIONING, ObjectRecord
from s3gate.storage.filesystem import completed, history, janitor, parts, regions, tree, uploads
from s3gate.storage.filesystem.bucket_directory import BucketDirectory
from s3gate.storage.filesystem.leftovers import Leftover, Scene, Steps
from s3gate.storage.filesystem.orphans import key_of_record, record_files
from s3gate.storage.filesystem.paths import CONTROL, HISTORIES, MAX_NAME, decode, key_of
from s3gate.storage.filesystem.records import Binding, BrokenRecord, Stored
from s3gate.storage.filesystem.verification import contents_fault
from s3gate.storage.filesystem.walk import Node, walk

__all__ = ["Finding", "Inspection", "Tally"]

_SECOND_LOOK = 0.2  # seconds between two looks at what a process may be at work on


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found. `path` is below the data directory. `fault` is False for what is only worth knowing."""

    kind: str
    path: bytes
    detail: str
    fault: bool = True
    repaired: bool = False


@dataclass(slots=True)
class Tally:
    """What has been looked at so far."""

    buckets: int = 0
    objects: int = 0
    versions: int = 0
    foreign: int = 0
    bytes_read: int = 0


@dataclass(slots=True)
class Inspection:
    """One run over buckets. `report` gets each finding, `tick` is called often, for progress.

    Without `repair` nothing is written. With it, what the janitor would clear away is cleared; nothing else is touched.
    """

    executor: Executor
    repair: bool
    verify_data: bool
    report: Callable[[Finding], None]
    tick: Callable[[Tally], None]
    now_ns: int
    tally: Tally = field(default_factory=Tally)

    async def leftovers(self, place: bytes, searches: Iterable[Steps]) -> None:
        """Report what killed processes left behind; with `repair`, clear it away. `place` goes before the paths."""
        for search in searches:
            found: list[Leftover] = []
            try:
                for leftover in search:
                    self.tick(self.tally)
                    if leftover is not None and self.repair:
                        await self._clear(place, leftover)
                    elif leftover is not None:
                        found.append(leftover)
            except OSError as error:
                self.report(Finding("not searched", place, f"what was left behind could not be told: {error}"))
            if found:
                time.sleep(_SECOND_LOOK)  # noqa: ASYNC251 - nothing else runs: what is in the making is done by then
            for leftover in found:
                if leftover.still():
                    self.report(Finding(leftover.kind, place + leftover.path, leftover.detail))

    async def _clear(self, place: bytes, leftover: Leftover) -> None:
        finding = Finding(leftover.kind, place + leftover.path, leftover.detail)
        try:
            if await janitor.clear(leftover, self.executor):
                self.report(replace(finding, repaired=True))
        except (OSError, S3Error, BrokenRecord) as error:
            self.report(replace(finding, detail=f"{leftover.detail}; it stays: {error}"))

    async def bucket(self, bucket: BucketDirectory) -> None:
        """Look through one bucket."""
        self.tally.buckets += 1
        place = bucket.name.encode() + b"/"
        if not bucket.is_adopted:
            scene = Scene(bucket, self.now_ns)
            await self.leftovers(place, janitor.of_bucket(scene))
        for finding in _Contents(bucket, self).findings():
            self.report(replace(finding, path=place + finding.path))


@dataclass(slots=True)
class _Contents:
    """The objects, versions, uploads and records of one bucket. Paths of findings are below it."""

    bucket: BucketDirectory
    run: Inspection
    closed: list[Finding] = field(default_factory=list)

    def findings(self) -> Iterator[Finding]:
        """Everything that is found."""
        yield from self._objects()
        yield from self._versions()
        yield from self._uploads()
        yield from self._completions()
        yield from self._records()
        state = self.bucket.documents().get(VERSIONING)
        if state not in (None, b"Enabled", b"Suspended"):
            yield Finding("unknown state", CONTROL + b"/conf/versioning", f"versioning is {state!r}")
        yield from self.closed

    def _failed(self, path: bytes, error: OSError) -> None:
        self.closed.append(Finding("unreadable", path, f"the directory cannot be read: {error.strerror}"))

    def _walk(self, top: bytes) -> Iterator[Node]:
        for node in walk(self.bucket.fd, top, failed=self._failed):
            self.run.tick(self.run.tally)
            if node.kind != "directory":
                yield node

    def _objects(self) -> Iterator[Finding]:
        for node in self._walk(b""):
            if node.kind == "other":
                yield Finding("hidden", node.path, "not a plain file: it is not served")
                continue
            key = key_of(node.path)
            if key is None:
                yield Finding(*_no_key(node.path))
                continue
            self.run.tally.objects += 1
            yield from self._file(node.path, key)

    def _versions(self) -> Iterator[Finding]:
        for node in self._walk(HISTORIES):
            above = node.path.rpartition(b"/")[0].removeprefix(HISTORIES + b"/")
            key = key_of(above)
            if key is None or node.kind != "file" or history.parse_name(node.name) is None:
                yield Finding("unknown file", node.path, "it is no version of a key")
                continue
            self.run.tally.versions += 1
            yield from self._file(node.path, key)

    def _file(self, path: bytes, key: bytes) -> Iterator[Finding]:
        """Check a file twice when something is wrong at first: it may have been replaced meanwhile."""
        finding = self._look(path, key)
        if finding is not None and finding.fault:
            finding = self._look(path, key)
        if finding is not None:
            yield finding

    def _look(self, path: bytes, key: bytes) -> Finding | None:
        try:
            opened = tree.open_regular(self.bucket.fd, path)
        except OSError as error:
            return Finding("unreadable", path, f"the file cannot be read: {error.strerror}")
        if opened is None:
            return None  # gone meanwhile
        fd, stat = opened
        try:
            stored = self.bucket.metadata.examine(fd, stat, key)
            return self._bound(path, fd, stat, stored)
        except BrokenRecord as error:
            return Finding("unreadable record", path, f"it is served as a file of another program: {error}")
        except FileNotFoundError:
            return Finding("missing record", path, "its large record is gone: it is served as one of another program")
        except OSError as error:
            return Finding("unreadable", path, f"the file cannot be read: {error.strerror}")
        finally:
            os.close(fd)

    def _bound(self, path: bytes, fd: int, stat: os.stat_result, stored: Stored | None) -> Finding | None:
        if stored is None or stored.record is None:
            self.run.tally.foreign += 1
            return None
        if stored.binding != Binding.of(stat):
            detail = "another program has changed the contents: headers, metadata and tags hold, the ETag does not"
            return Finding("changed outside", path, detail, fault=False)
        return self._verified(path, fd, stored.record)

    def _verified(self, path: bytes, fd: int, record: ObjectRecord, *, start: int = 0) -> Finding | None:
        if not self.run.verify_data:
            return None
        before = os.fstat(fd)
        fault = contents_fault(fd, record, self._read, start=start)
        if fault is None or Binding.of(os.fstat(fd)) != Binding.of(before):
            return None
        return Finding("damaged contents", path, fault)

    def _read(self, size: int) -> None:
        self.run.tally.bytes_read += size
        self.run.tick(self.run.tally)

    def _uploads(self) -> Iterator[Finding]:
        for node in self._walk(uploads.ROOT):
            above, _, name = node.path.rpartition(b"/")
            upload_id = above.rpartition(b"/")[2].decode(errors="replace")
            try:
                if not is_upload_id(upload_id):
                    raise ValueError("no upload")
                if name == b"upload":
                    uploads.load(self.bucket, upload_id)
                elif not parts.is_known(name):
                    raise ValueError("no part")
                elif parts.is_part(name):
                    yield from self._part(node.path, name)
            except BrokenRecord as error:
                yield Finding("unreadable upload", node.path, f"it can be neither completed nor listed: {error}")
            except ValueError:
                yield Finding("unknown file", node.path, "it belongs to no upload")

    def _part(self, path: bytes, name: bytes) -> Iterator[Finding]:
        opened = tree.open_regular(self.bucket.fd, path)
        if opened is None:
            return
        fd, stat = opened
        try:
            stored = parts.part_of(name, stat)
        finally:
            os.close(fd)
        holder = path if stored.offset is None else path.removesuffix(name) + regions.DATA_FILE
        opened = tree.open_regular(self.bucket.fd, holder)
        if opened is None:
            return  # replaced, or completed meanwhile
        part, fd = stored.part, opened[0]
        try:
            record = ObjectRecord(part.etag, part.size, 0, checksum=part.checksum)
            finding = self._verified(path, fd, record, start=stored.offset or 0)
        finally:
            os.close(fd)
        if finding is not None:
            yield finding

    def _completions(self) -> Iterator[Finding]:
        for node in self._walk(completed.ROOT):
            try:
                if completed.load(self.bucket, node.name.decode(errors="replace")) is None:
                    yield Finding("unknown file", node.path, "it is no completed upload")
            except BrokenRecord as error:
                yield Finding("unreadable record", node.path, str(error))

    def _records(self) -> Iterator[Finding]:
        for path in record_files(self.bucket):
            self.run.tick(self.run.tally)
            try:
                key_of_record(self.bucket, path)
            except BrokenRecord as error:
                if not path.endswith(b".new"):
                    yield Finding("unreadable record", path, str(error))
            except FileNotFoundError:
                continue  # its object was replaced meanwhile


def _no_key(path: bytes) -> tuple[str, bytes, str]:
    """Why a file has no key: kind, path and detail of a finding."""
    for name in path.split(b"/"):
        if len(name) > MAX_NAME and not name.startswith(CONTROL):
            return "long name", path, f"a name of {len(name)} bytes, more than {MAX_NAME}: it is not served"
        if decode(name) is None:
            return "hidden", path, f"no key can have the name {name.decode(errors='backslashreplace')!r}"
    return "hidden", path, "no key can have this path: it is not UTF-8, too long, or not as the gateway writes it"
