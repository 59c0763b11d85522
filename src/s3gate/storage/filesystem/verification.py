"""Whether the bytes of a file are those that its record was made for: ETags and checksums, in one reading."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from s3gate.core.checksums import ALGORITHMS, COMPOSITE, Digest, composite
from s3gate.core.etags import DigestKind, digest_etag, etag_kind_of, joined_etag, joined_kind_of, new_digest
from s3gate.core.values import ObjectRecord

__all__ = ["contents_fault"]

_CHUNK_BYTES = 1 << 20
_NAMES: Mapping[DigestKind, str] = {"md5": "MD5", "xxhash": "XXH3"}


@dataclass(slots=True)
class _Piece:
    """A part, or the whole: how many bytes, and their digests."""

    size: int
    etag: Digest | None
    checksum: Digest | None


@dataclass(slots=True)
class _Plan:
    """What has to be computed: over the whole, and over each part where ETag or checksum are made of the parts'."""

    record: ObjectRecord
    whole: _Piece
    parts: list[_Piece] = field(default_factory=list)
    kind: DigestKind | None = None

    @classmethod
    def of(cls, record: ObjectRecord) -> _Plan:
        """The plan for a record. An ETag that is of no digest, or parts of unknown sizes, cannot be compared."""
        checksum = record.checksum
        algorithm = ALGORITHMS[checksum.algorithm] if checksum else None
        in_parts = checksum is not None and checksum.type == COMPOSITE
        known = record.parts if sum(span.size for span in record.parts) == record.size else ()
        whole_kind = None if record.parts else etag_kind_of(record.etag)
        joined_kind = joined_kind_of(record.etag, len(known)) if known else None

        def digest(wanted: bool) -> Digest | None:
            return algorithm.new() if algorithm and wanted else None

        def etag(kind: DigestKind | None) -> Digest | None:
            return new_digest(kind) if kind else None

        whole = _Piece(record.size, etag(whole_kind), digest(not in_parts))
        parts = [_Piece(span.size, etag(joined_kind), digest(in_parts)) for span in known]
        return cls(record, whole, parts, whole_kind or joined_kind)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compare with."""
        return not any(piece.etag or piece.checksum for piece in (self.whole, *self.parts))

    def pieces(self) -> Iterator[_Piece]:
        """Over what digests are made, in the order of the bytes."""
        return iter(self.parts or [_Piece(self.record.size, None, None)])

    def fault(self) -> str | None:
        """What does not agree, once every byte was read."""
        if self.kind is None:
            return self._checksum_fault()
        if self.whole.etag is not None and digest_etag(self.kind, self.whole.etag.digest()) != self.record.etag:
            return f"the {_NAMES[self.kind]} of the contents is not the ETag"
        of_parts = [digest_etag(self.kind, piece.etag.digest()) for piece in self.parts if piece.etag]
        if of_parts and joined_etag(of_parts) != self.record.etag:
            return f"the {_NAMES[self.kind]}s of the parts are not those of the ETag"
        return self._checksum_fault()

    def _checksum_fault(self) -> str | None:
        checksum = self.record.checksum
        found = None
        if checksum is not None and self.whole.checksum is not None:
            found = base64.b64encode(self.whole.checksum.digest()).decode()
        elif checksum is not None and self.parts:
            values = [base64.b64encode(piece.checksum.digest()).decode() for piece in self.parts if piece.checksum]
            found = composite(checksum.algorithm, values).value
        if checksum is None or found is None or found == checksum.value:
            return None
        return f"the {checksum.algorithm} of the contents is {found}, the record has {checksum.value}"


def contents_fault(fd: int, record: ObjectRecord, tick: Callable[[int], None], *, start: int = 0) -> str | None:
    """What is wrong with the bytes of an open file from `start` on, None for nothing.

    `tick` gets the number of bytes just read.
    """
    plan = _Plan.of(record)
    if plan.is_empty:
        return None
    at = start
    for piece in plan.pieces():
        end = at + piece.size
        while at < end:
            data = os.pread(fd, min(_CHUNK_BYTES, end - at), at)
            if not data:
                return f"the contents end at byte {at - start} of {record.size}"
            for digest in (plan.whole.etag, plan.whole.checksum, piece.etag, piece.checksum):
                if digest is not None:
                    digest.update(data)
            at += len(data)
            tick(len(data))
    return plan.fault()
