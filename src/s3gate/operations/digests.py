"""Running digests over the bytes of an object."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

from s3gate.core.checksums import Algorithm, Buffer, Checksum, Digest

__all__ = ["Digests"]


class Digests:
    """MD5 and checksums of the bytes that passed, and their number.

    Called with pieces it gives them back as they are, so that it is a `storage.backend.Through` by itself.
    """

    __slots__ = ("_checksums", "_md5", "size")

    def __init__(self, algorithms: Iterable[Algorithm], *, md5: bool = True) -> None:
        self.size = 0
        self._md5: Digest | None = hashlib.md5(usedforsecurity=False) if md5 else None
        self._checksums: Mapping[str, Digest] = {algorithm.name: algorithm.new() for algorithm in algorithms}

    def __call__(self, pieces: list[Buffer]) -> list[Buffer]:
        """Take the next bytes."""
        running = [*self._checksums.values(), *([self._md5] if self._md5 is not None else ())]
        for piece in pieces:
            self.size += len(piece)
            for digest in running:
                digest.update(piece)
        return pieces

    @property
    def md5(self) -> bytes:
        """The raw MD5 digest, 16 bytes."""
        if self._md5 is None:
            raise LookupError("no MD5 was asked for")
        return self._md5.digest()

    @property
    def etag(self) -> str:
        """The entity tag of an object that is put in one piece: its MD5 in hex."""
        return self.md5.hex()

    def checksum(self, algorithm: Algorithm) -> Checksum:
        """The checksum of all bytes by an algorithm that was asked for."""
        value = base64.b64encode(self._checksums[algorithm.name].digest()).decode()
        return Checksum(algorithm.name, value)
