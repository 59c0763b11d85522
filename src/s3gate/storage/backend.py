"""What the gateway asks of a store: the backend protocol, each method with its duties.

Every implementation passes the suite in tests/contract. Errors are S3Errors; an implementation lets no other exception
of its medium out. Buckets, keys and records are values of s3gate.core; a store never sees a request or a response.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from s3gate.core.checksums import Buffer
from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.observation import UsageReport
from s3gate.core.values import Bucket, ObjectRecord, Owner, Part, Upload

__all__ = [
    "Backend",
    "Beside",
    "Deletion",
    "ListPage",
    "ListQuery",
    "Listed",
    "ListedVersion",
    "ObjectReader",
    "Removal",
    "Stage",
    "StartError",
    "Swept",
    "Through",
    "VersionPage",
    "VersionQuery",
]


class StartError(Exception):
    """The store cannot be served as it stands; the message says why and what to do."""


# Takes the next pieces of a body and gives what is to be stored: decoding and digests run inside it.
Through = Callable[[list[Buffer]], list[Buffer]]
# Looks at what is stored, at the same time: digests that take longer than storing it.
Beside = Callable[[list[Buffer]], None]


class ListQuery(msgspec.Struct, frozen=True):
    """A page of a listing: keys that begin with `prefix`, are greater than `after` and do not begin with `past`.

    Keys that hold `delimiter` behind the prefix are rolled up into one common prefix that ends with it. `past` (when
    not empty) is a common prefix that an earlier page gave. `limit` counts keys and common prefixes together.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    past: str = ""
    limit: int = 1000


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A key and the record of its current version."""

    key: str
    record: ObjectRecord


class ListPage(msgspec.Struct):
    """Objects and common prefixes, each in byte order of UTF-8. `truncated` is true only if another entry follows.

    `last` is the greatest entry given, `last_is_prefix` tells whether it is a common prefix.
    """

    objects: list[Listed] = msgspec.field(default_factory=list)
    prefixes: list[str] = msgspec.field(default_factory=list)
    truncated: bool = False
    last: str = ""
    last_is_prefix: bool = False


class VersionQuery(msgspec.Struct, frozen=True):
    """A page of a listing of versions: those behind version `after_version` of `after_key`, in listing order.

    Without `after_version` the page begins behind all versions of `after_key`. Order is by key, then newest first. A
    marker need not name anything that is still there: a position is compared, not looked up. `prefix`, `delimiter`,
    `past` and `limit` are as in ListQuery.
    """

    prefix: str = ""
    delimiter: str = ""
    after_key: str = ""
    after_version: str = ""
    past: str = ""
    limit: int = 1000


class ListedVersion(msgspec.Struct, frozen=True, gc=False):
    """A version or delete marker (`record.delete_marker`) of a key; `latest` for the newest one of its key."""

    key: str
    record: ObjectRecord
    latest: bool


class VersionPage(msgspec.Struct):
    """Versions and common prefixes. `last` is the greatest entry given: a key with `last_version`, or a prefix."""

    versions: list[ListedVersion] = msgspec.field(default_factory=list)
    prefixes: list[str] = msgspec.field(default_factory=list)
    truncated: bool = False
    last: str = ""
    last_version: str = ""


class Deletion(msgspec.Struct, frozen=True):
    """What a delete did, in a bucket that was ever versioned: empty in any other.

    `version_id` is that of the delete marker that was made, or of the version that was removed; `delete_marker` tells
    whether it is a marker.
    """

    version_id: str = ""
    delete_marker: bool = False


class Removal(msgspec.Struct, frozen=True):
    """What is to be deleted: an object, or one version of it, if it meets a condition."""

    key: str
    condition: WriteCondition = NO_CONDITION
    version_id: str | None = None


class Swept(msgspec.Struct, frozen=True):
    """What a sweep put right: how many things, by the kind of what was left behind. Empty: nothing was to be done."""

    counts: Mapping[str, int] = msgspec.field(default_factory=dict)


class ObjectReader(Protocol):
    """One version of an object, held open: its bytes and `record` stay together whatever happens to the key."""

    @property
    def record(self) -> ObjectRecord:
        """The record that belongs to these bytes."""

    async def read(self, start: int, length: int) -> Buffer:
        """`length` bytes from `start`, in memory; for small ranges. InternalError when the object got shorter."""

    def chunks(self, start: int, length: int) -> AsyncIterator[Buffer]:
        """The same bytes in pieces of bounded size."""

    @property
    def file(self) -> int | None:
        """The descriptor of a plain file that holds exactly these bytes, so that the kernel can send them; else None.

        Whoever sends from it calls `require_unchanged` before the last bytes go out.
        """

    def require_unchanged(self) -> None:
        """Raise InternalError when the bytes are no longer those that were opened."""

    async def close(self) -> None:
        """Let go; a second call does nothing."""


class Stage(Protocol):
    """Bytes on their way in. Nobody sees them before they are committed."""

    @property
    def size(self) -> int:
        """Bytes stored so far."""

    async def write(self, pieces: list[Buffer], through: Through, beside: Beside | None = None) -> None:
        """Append what `through(pieces)` gives, and give the same to `beside`.

        Each runs once for each call, in the order of the calls, off the event loop where the work is long. A call may
        be made before the one before it has returned; then `through` of the later and `beside` of the earlier can run
        at the same time.
        """

    async def copy(self, source: ObjectReader, start: int, length: int) -> None:
        """Append bytes of an object of the same backend, without moving them through this process where it can.

        A stage that begins with this, of however few bytes, is where the bucket is from the beginning.
        """


class Backend(Protocol):
    """A store of buckets and objects, shared by several processes that know nothing of one another."""

    async def start(self) -> None:
        """Open the store. Raises StartError, which tells the remedy, when it cannot be served."""

    async def stop(self) -> None:
        """Let go of everything held. Pending work is finished first."""

    async def sweep(self) -> Swept:
        """Clear away what killed processes left behind, slowly, while requests are served.

        Nothing that is in use is touched, and nothing that is served changes. May be called at any time and in every
        process; one at a time does the work, for the others there is nothing to be done. What cannot be cleared is
        logged and stays for the next sweep.
        """

    async def hash_foreign_files(self) -> int:
        """Give files of other programs the MD5 of their contents as ETag, slowly, while requests are served.

        Gives how many. A file that changes meanwhile, has changed just now, or cannot be written is left as it is. May
        be called at any time and in every process; one at a time does the work, and goes on where the last one ended.
        """

    async def scan_usage(self, every: float) -> bool:
        """Look through all buckets for what they hold, slowly, while requests are served; gives whether it was done.

        May be called at any time and in every process; one at a time does the work, and not when it was done less than
        half of `every` seconds ago.
        """

    def usage(self) -> UsageReport | None:
        """What the last scan of any process has found; None where there was none. Called in any thread; blocks."""

    async def recount(self, bucket: Bucket) -> None:
        """Count anew what a bucket with a quota holds, while requests are served.

        Its quota is in force from the end of the first count, which this is where the quota is new. Of a bucket that
        has no quota any more it is forgotten what was known. A sweep does it for every bucket with a quota.
        """

    # --- buckets
    async def list_buckets(self) -> list[Bucket]:
        """All buckets, in byte order of their names."""

    async def find_bucket(self, name: str) -> Bucket:
        """The bucket, else NoSuchBucket. Any name may be asked for."""

    async def create_bucket(self, name: str, owner: Owner, region: str) -> Bucket:
        """Make a bucket; of several concurrent calls for a name exactly one succeeds.

        Raises BucketAlreadyOwnedByYou or BucketAlreadyExists, by the owner of the one that is there. The caller has
        checked the name.
        """

    async def delete_bucket(self, bucket: Bucket) -> None:
        """Remove an empty bucket (no object, version or marker) with its uploads, else BucketNotEmpty.

        No object that was acknowledged is lost.
        """

    async def put_document(self, bucket: Bucket, kind: str, data: bytes) -> None:
        """Keep a document of the bucket, in place of an earlier one of its kind, atomically.

        Every process finds it with the next find_bucket, in Bucket.documents. The kind VERSIONING decides what writes
        and deletes do from then on; it is only ever b"Enabled" or b"Suspended".
        """

    async def delete_document(self, bucket: Bucket, kind: str) -> None:
        """Remove a document; removing what is not there succeeds."""

    # --- objects
    def stage(self, bucket: Bucket) -> AbstractAsyncContextManager[Stage]:
        """A new stage; what is not committed inside the `async with` is gone after it."""

    async def commit_object(
        self, bucket: Bucket, stage: Stage, key: str, record: ObjectRecord, condition: WriteCondition
    ) -> ObjectRecord:
        """Make the staged bytes the object at `key`, under the lock of the key; gives the record as stored.

        The condition is decided against the current object while the lock is held. Readers see the old object or the
        new one, whole, with its own record. On return the object is as durable as the store is set to make it. On any
        error the old object stands untouched. `modified_ns`, `version_id` and `sequence` are set by the store.

        Where the bucket has a quota (a document of the kind QUOTA) that leaves no room for the change QuotaExceeded is
        raised. What the object replaces makes room for it.

        Where versioning is Enabled (as it stands when the key is locked) the object becomes a new version with an id of
        its own, and the one before stays as a version, its bytes never copied. Where it is Suspended the object
        becomes the version "null" and takes the place of the one that had this id. In a bucket never versioned the
        object replaces the one before it, which is the version "null" too.
        """

    async def open_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectReader:
        """The current version of the object, or the one with this id.

        Raises NoSuchKey where there is no object; when that is because the current version is a delete marker, with the
        headers x-amz-delete-marker: true and x-amz-version-id. With an id: NoSuchVersion (fields Key, VersionId) where
        there is none such, MethodNotAllowed (headers x-amz-delete-marker, x-amz-version-id, allow: DELETE and
        last-modified) where it is a delete marker. Any text may be asked for as id.
        """

    async def stat_object(self, bucket: Bucket, key: str, version_id: str | None = None) -> ObjectRecord:
        """The record of the current version, or of the one with this id; errors as open_object."""

    async def update_object(
        self,
        bucket: Bucket,
        key: str,
        change: Callable[[ObjectRecord], ObjectRecord],
        version_id: str | None = None,
    ) -> ObjectRecord:
        """Replace the record of a version in place, its bytes untouched; `change` runs under the key's lock.

        Errors as open_object; what `change` raises is passed on and nothing is changed. `change` sets `modified_ns`.
        """

    async def delete_object(
        self, bucket: Bucket, key: str, condition: WriteCondition, version_id: str | None = None
    ) -> Deletion:
        """Remove the object, or one version of it, under the lock of its key.

        Never versioned: the object goes; deleting what is not there succeeds (unless If-Match). Enabled: a delete
        marker becomes the current version, whether there was an object or not. Suspended: a delete marker with the id
        "null" becomes the current version and takes the place of the version that had this id. With an id: that
        version or marker is gone for good, and what was before it is current again when it was the current one;
        removing what is not there succeeds. The condition is decided against the current version, or the one with the
        id.
        """

    async def delete_objects(self, bucket: Bucket, removals: Sequence[Removal]) -> list[Deletion | S3Error]:
        """Remove many. For each, in their order, what delete_object gives or the S3Error it raises.

        Each is decided by itself, and what is wrong with one never fails the others; those of one key are done one
        after the other. What many of them need to be durable is done once for all. Raises NoSuchBucket.
        """

    async def list_versions(self, bucket: Bucket, query: VersionQuery) -> VersionPage:
        """A page of all versions and delete markers, the current ones among them."""

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """A page of the listing. An object that cannot be read never fails the page."""

    # --- multipart uploads
    async def create_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Record a new upload; it survives a restart."""

    async def find_upload(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """The upload under way with this id and key, else NoSuchUpload. Any text may be asked for."""

    def stage_part(
        self, bucket: Bucket, upload: Upload, number: int, length: int | None
    ) -> AbstractAsyncContextManager[Stage]:
        """A new stage for a part; what is not committed inside the `async with` is gone after it.

        `length` is how many bytes there will be, None where the client has not said: a store may put them where they
        belong in the object.
        """

    async def commit_part(self, bucket: Bucket, upload: Upload, stage: Stage, part: Part) -> Part:
        """Make the staged bytes a part, in place of an earlier one of its number; `modified_ns` is set by the store.

        The stage is one of stage_part for this very part, or any of stage().

        Raises NoSuchUpload when the upload has ended meanwhile.
        """

    async def list_parts(self, bucket: Bucket, upload: Upload) -> list[Part]:
        """All parts, by number."""

    async def list_uploads(self, bucket: Bucket, prefix: str) -> list[Upload]:
        """All uploads whose key begins with `prefix`, by key in byte order, then by id."""

    async def complete_upload(
        self,
        bucket: Bucket,
        upload: Upload,
        parts: Sequence[Part],
        record: ObjectRecord,
        condition: WriteCondition,
    ) -> ObjectRecord:
        """Make `parts` the object at the upload's key and end the upload; as commit_object in every other way.

        Raises InvalidPart when a part is no longer the one named. On any error the upload stands as it was. Where the
        upload has been completed meanwhile, as find_completed.
        """

    async def find_completed(
        self, bucket: Bucket, key: str, upload_id: str, parts: Sequence[tuple[int, str]]
    ) -> ObjectRecord:
        """What an upload to `key` became that was completed with these parts (number, ETag), as it was answered then.

        Known for a day, whatever has become of the object. Of its record there are ETag, size, time, checksum, version
        id, sequence and upload id. Raises NoSuchUpload where the upload was not completed, to another key or with
        other parts. Any text may be asked for.
        """

    async def abort_upload(self, bucket: Bucket, upload: Upload) -> None:
        """End the upload and remove its parts, else NoSuchUpload."""
