"""What an operation is given: the caller, the bucket, the store and the body of the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from s3gate.auth.payload import Payload
from s3gate.core.bucket_properties import CHECKSUM_TYPE, etag_kind
from s3gate.core.checksums import Buffer
from s3gate.core.etags import EtagKind
from s3gate.core.values import Bucket
from s3gate.core.wire import Wire
from s3gate.identity.model import Caller
from s3gate.storage.backend import Backend

__all__ = ["Body", "Call", "Require", "Rules"]


class Body(Protocol):
    """The bytes of the request body as they come from the client, still encoded."""

    async def batch(self) -> list[Buffer]:
        """The next batch of about a mebibyte, a list of pieces as they arrived; an empty one at the end."""


class Require(Protocol):
    """Asks for permission on a resource beside the one that the request names."""

    def __call__(self, action: str, bucket: Bucket, key: str = "") -> None:
        """Raise AccessDenied unless the caller may do `action` (as `s3:GetObject`) there."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide how operations work and answer. `checksum_type` is a kind of `core.etags`.

    With `any_region` a bucket that is to be made in another region than `region` is made there.
    """

    region: str = "us-east-1"
    any_region: bool = False
    relaxed_bucket_names: bool = False
    checksum_type: EtagKind = "md5"
    overlap_uploads: bool = True
    batches_ahead: int = 2


class Call(msgspec.Struct, frozen=True):
    """One request, authenticated and authorized. `bucket` is None at service level and for CreateBucket."""

    wire: Wire
    caller: Caller
    bucket: Bucket | None
    storage: Backend
    body: Body
    payload: Payload
    rules: Rules
    require: Require

    @property
    def etag_kind(self) -> EtagKind:
        """What the ETags of objects written here are made of: as the bucket says, else as the gateway is set."""
        bucket = self.bucket
        own = None if bucket is None or CHECKSUM_TYPE not in bucket.documents else self.own_etag_kind
        return own or self.rules.checksum_type

    @property
    def own_etag_kind(self) -> EtagKind | None:
        """What the bucket itself says of it."""
        document = None if self.bucket is None else self.bucket.documents.get(CHECKSUM_TYPE)
        return None if document is None else etag_kind(document)

    @property
    def here(self) -> Bucket:
        """The bucket of a request at bucket or object level."""
        if self.bucket is None:
            raise LookupError("this operation has no bucket")
        return self.bucket
