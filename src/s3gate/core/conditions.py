"""Preconditions of reads, writes and copies, decided on values.

Sources: RFC 9110 section 13; "Conditional requests" of the S3 user guide for the pairs that S3 decides differently.
"""

from __future__ import annotations

import msgspec

from s3gate.core.clock import SECOND
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord

__all__ = ["NO_CONDITION", "ReadCondition", "WriteCondition", "etag_matches"]


def etag_matches(header: str, etag: str) -> bool:
    """Whether a list of entity tags as in If-Match (quoted or bare, `*`, weak) names `etag` (bare)."""
    for item in header.split(","):
        text = item.strip()
        if text == "*":
            return True
        if text.removeprefix("W/").strip('"') == etag:
            return True
    return False


class ReadCondition(msgspec.Struct, frozen=True):
    """The four conditions of GET and HEAD, or of a copy's source. Times are nanoseconds."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: int | None = None
    if_unmodified_since: int | None = None

    def failed(self, record: ObjectRecord) -> str | None:
        """The name of the header whose condition does not hold, or None.

        If-Match true overrides a false If-Unmodified-Since, If-None-Match false overrides a true If-Modified-Since
        (GetObject, "Additional considerations about request headers"). Comparison is in whole seconds.
        """
        modified = record.modified_ns // SECOND
        if self.if_match is not None:
            if not etag_matches(self.if_match, record.etag):
                return "If-Match"
        elif self.if_unmodified_since is not None and modified > self.if_unmodified_since // SECOND:
            return "If-Unmodified-Since"
        if self.if_none_match is not None:
            if etag_matches(self.if_none_match, record.etag):
                return "If-None-Match"
        elif self.if_modified_since is not None and modified <= self.if_modified_since // SECOND:
            return "If-Modified-Since"
        return None

    def check_read(self, record: ObjectRecord) -> None:
        """Raise NotModified (304) or PreconditionFailed (412) as a GET or HEAD answers."""
        name = self.failed(record)
        if name in ("If-None-Match", "If-Modified-Since"):
            raise S3Error("NotModified", headers={"etag": f'"{record.etag}"'})
        if name is not None:
            raise S3Error("PreconditionFailed", Condition=name)

    def check_copy(self, record: ObjectRecord) -> None:
        """Raise PreconditionFailed as CopyObject and UploadPartCopy answer for any of the four."""
        name = self.failed(record)
        if name is not None:
            raise S3Error("PreconditionFailed", Condition=f"x-amz-copy-source-{name}")


class WriteCondition(msgspec.Struct, frozen=True):
    """If-Match and If-None-Match of a write or a delete; the store decides them under the lock of the key."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, current: ObjectRecord | None) -> None:
        """Raise PreconditionFailed, or NoSuchKey for an If-Match where there is no object ("Conditional writes")."""
        if self.if_match is not None:
            if current is None:
                raise S3Error("NoSuchKey")
            if not etag_matches(self.if_match, current.etag):
                raise S3Error("PreconditionFailed", Condition="If-Match")
        if self.if_none_match is not None and current is not None and etag_matches(self.if_none_match, current.etag):
            raise S3Error("PreconditionFailed", Condition="If-None-Match")


NO_CONDITION = WriteCondition()
