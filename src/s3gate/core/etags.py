"""Entity tags of objects, by the kind that a gateway makes, and how those of parts make that of an object.

S3 says of an ETag that is no MD5 only that it changes with the contents. Clients take one without a dash for the MD5 of
what they sent or got, so every other kind has one:

| kind | of an object in one piece, or a part | of an object of N parts |
|---|---|---|
| md5 | MD5 in hex | MD5 of the parts' MD5s, `-N` |
| xxhash | XXH3 of 128 bits in hex, `-x1` | XXH3 of the parts' digests, `-xN` |
| none | 128 random bits in hex, `-n1` | XXH3 of the parts' ETags as text, `-nN` |

Parts of different kinds are joined as those of the last.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

import xxhash

from s3gate.core.checksums import Digest

__all__ = [
    "DigestKind",
    "EtagKind",
    "digest_etag",
    "etag_kind_of",
    "joined_etag",
    "joined_kind_of",
    "new_digest",
    "random_etag",
]

DigestKind = Literal["md5", "xxhash"]
EtagKind = Literal["md5", "xxhash", "none"]

_JOINED = re.compile(r"[0-9a-f]{32}(-x?)([1-9][0-9]{0,4})")
_DIGEST = re.compile(r"([0-9a-f]{32})(-x1)?")
_MARKS: Mapping[EtagKind, str] = {"md5": "-", "xxhash": "-x", "none": "-n"}


def new_digest(kind: DigestKind) -> Digest:
    """A running digest for an ETag of this kind."""
    return hashlib.md5(usedforsecurity=False) if kind == "md5" else xxhash.xxh3_128()


def digest_etag(kind: EtagKind, digest: bytes) -> str:
    """The ETag of contents with this digest."""
    return digest.hex() if kind == "md5" else f"{digest.hex()}{_MARKS[kind]}1"


def random_etag() -> str:
    """An ETag of the kind `none`: of contents that nobody has hashed."""
    return f"{secrets.token_hex(16)}{_MARKS['none']}1"


def etag_kind_of(etag: str) -> DigestKind | None:
    """By which digest of all its contents the ETag of an object or part was made; None for any other ETag."""
    found = _DIGEST.fullmatch(etag)
    if found is None:
        return None
    return "xxhash" if found[2] else "md5"


def joined_etag(etags: Sequence[str]) -> str:
    """The ETag of an object from those of its parts."""
    kinds = {etag_kind_of(etag) for etag in etags}
    kind = kinds.pop() if len(kinds) == 1 else None
    digest = new_digest(kind or "xxhash")
    for etag in etags:
        digest.update(bytes.fromhex(etag[:32]) if kind else etag.encode())
    return f"{digest.digest().hex()}{_MARKS[kind or 'none']}{len(etags)}"


def joined_kind_of(etag: str, parts: int) -> DigestKind | None:
    """By which digests of its parts the ETag of an object of so many parts was made; None for any other ETag."""
    found = _JOINED.fullmatch(etag)
    if found is None or int(found[2]) != parts:
        return None
    return "xxhash" if found[1] == _MARKS["xxhash"] else "md5"
