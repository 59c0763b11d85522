"""Whether the bytes of a file are those that its record was made for: MD5 ETags and checksums, in one reading."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from s3gate.core.checksums import ALGORITHMS, COMPOSITE, Digest, composite
from s3gate.core.values import ObjectRecord

__all__ = ["contents_fault"]

_CHUNK_BYTES = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class _Piece:
    """A part, or the whole: how many bytes, and their digests."""

    size: int
    md5: Digest | None
    checksum: Digest | None


@dataclass(slots=True)
class _Plan:
    """What has to be computed: over the whole, and over each part where ETag or checksum are made of the parts'."""

    record: ObjectRecord
    whole: _Piece
    parts: list[_Piece] = field(default_factory=list)

    @classmethod
    def of(cls, record: ObjectRecord) -> _Plan:
        """The plan for a record. An ETag that is no MD5, or parts whose sizes are not known, cannot be compared."""
        checksum = record.checksum
        algorithm = ALGORITHMS[checksum.algorithm] if checksum else None
        in_parts = checksum is not None and checksum.type == COMPOSITE
        known = record.parts if sum(span.size for span in record.parts) == record.size else ()
        joined = record.etag == f"{record.etag[:32]}-{len(known)}" and _MD5.fullmatch(record.etag[:32]) is not None

        def digest(wanted: bool) -> Digest | None:
            return algorithm.new() if algorithm and wanted else None

        def md5(wanted: bool) -> Digest | None:
            return hashlib.md5(usedforsecurity=False) if wanted else None

        whole = _Piece(record.size, md5(_MD5.fullmatch(record.etag) is not None), digest(not in_parts))
        parts = [_Piece(span.size, md5(joined), digest(in_parts)) for span in known]
        return cls(record, whole, parts)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compare with."""
        return not any(piece.md5 or piece.checksum for piece in (self.whole, *self.parts))

    def pieces(self) -> Iterator[_Piece]:
        """Over what digests are made, in the order of the bytes."""
        return iter(self.parts or [_Piece(self.record.size, None, None)])

    def fault(self) -> str | None:
        """What does not agree, once every byte was read."""
        if self.whole.md5 is not None and self.whole.md5.digest().hex() != self.record.etag:
            return "the MD5 of the contents is not the ETag"
        if self.parts and self.parts[0].md5 is not None:
            joined = b"".join(piece.md5.digest() for piece in self.parts if piece.md5)
            if hashlib.md5(joined, usedforsecurity=False).hexdigest() != self.record.etag[:32]:
                return "the MD5s of the parts are not those of the ETag"
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


def contents_fault(fd: int, record: ObjectRecord, tick: Callable[[int], None]) -> str | None:
    """What is wrong with the bytes of an open file, None for nothing. `tick` gets the number of bytes just read."""
    plan = _Plan.of(record)
    if plan.is_empty:
        return None
    at = 0
    for piece in plan.pieces():
        end = at + piece.size
        while at < end:
            data = os.pread(fd, min(_CHUNK_BYTES, end - at), at)
            if not data:
                return f"the contents end at byte {at} of {record.size}"
            for digest in (plan.whole.md5, plan.whole.checksum, piece.md5, piece.checksum):
                if digest is not None:
                    digest.update(data)
            at += len(data)
            tick(len(data))
    return plan.fault()
