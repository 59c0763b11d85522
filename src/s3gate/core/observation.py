"""What a store tells of its own work and of what it holds, to whoever counts it."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

__all__ = [
    "UNOBSERVED",
    "BucketUsage",
    "LockWait",
    "StageEnd",
    "StoreObserver",
    "Synced",
    "Unobserved",
    "UploadEvent",
    "UsageReport",
]

LockWait = Literal["task", "process"]
Synced = Literal["file", "directory"]
StageEnd = Literal["committed", "discarded"]
UploadEvent = Literal["created", "completed", "aborted"]


class StoreObserver(Protocol):
    """Takes note of what a store does. Times are nanoseconds. No method raises or waits."""

    def lock_waited(self, whom: LockWait, ns: int) -> None:
        """A lock that was not free was waited for: for another task of this process, or for another process."""

    def synced(self, what: Synced, ns: int) -> None:
        """An fsync has ended. Called in any thread."""

    def stage_begun(self) -> None:
        """Bytes of an object or a part have a place to be staged in."""

    def stage_ended(self, how: StageEnd) -> None:
        """What was staged has become an object or a part, or is gone."""

    def upload(self, event: UploadEvent) -> None:
        """A multipart upload has begun or ended."""


class Unobserved:
    """A `StoreObserver` that counts nothing."""

    __slots__ = ()

    def lock_waited(self, whom: LockWait, ns: int) -> None:
        """See StoreObserver."""

    def synced(self, what: Synced, ns: int) -> None:
        """See StoreObserver."""

    def stage_begun(self) -> None:
        """See StoreObserver."""

    def stage_ended(self, how: StageEnd) -> None:
        """See StoreObserver."""

    def upload(self, event: UploadEvent) -> None:
        """See StoreObserver."""


UNOBSERVED = Unobserved()


class BucketUsage(msgspec.Struct, frozen=True):
    """What a bucket holds: its objects as a listing shows them, and the multipart uploads under way."""

    bucket: str
    objects: int
    size: int
    uploads: int = 0


class UsageReport(msgspec.Struct, frozen=True):
    """What all buckets held when they were last looked through: `at_ns` since 1970, which took so many `seconds`."""

    at_ns: int
    seconds: float
    buckets: list[BucketUsage]
