"""What is remembered of a completed upload, so that a client that did not hear the answer may ask for it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord

__all__ = ["KEPT_NS", "Completion"]

KEPT_NS = 24 * 3600 * 10**9


class Completion(msgspec.Struct, frozen=True):
    """A completed upload: its key, a hash of the parts it was made of, and what the answer needs of the object."""

    key: str
    parts: str
    record: ObjectRecord

    @classmethod
    def of(cls, key: str, parts: Iterable[tuple[int, str]], record: ObjectRecord) -> Completion:
        """The completion of an upload to `key` with these parts (number, ETag), which has made `record`."""
        kept = ObjectRecord(
            etag=record.etag,
            size=record.size,
            modified_ns=record.modified_ns,
            checksum=record.checksum,
            upload_id=record.upload_id,
            version_id=record.version_id,
            sequence=record.sequence,
        )
        return cls(key, _digest(parts), kept)

    def again(self, key: str, parts: Iterable[tuple[int, str]]) -> ObjectRecord:
        """The answer to the same request; for any other there is no such upload any more: NoSuchUpload."""
        if key != self.key or _digest(parts) != self.parts:
            raise S3Error("NoSuchUpload", UploadId=self.record.upload_id)
        return self.record


def _digest(parts: Iterable[tuple[int, str]]) -> str:
    listed = "".join(f"{number} {etag}\n" for number, etag in parts)
    return hashlib.sha256(listed.encode()).hexdigest()
