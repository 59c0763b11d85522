"""The record of one version as bytes: what is kept beside the contents of a file, and how it is bound to them.

A record is one version byte, a CRC-32 of the rest and a msgpack map. It names the size and the modification time of
the file it was written for; where they no longer match, another program has changed the contents, and only what the
client said of the object (headers, metadata, tags) still holds. Unknown fields of a later version are refused by the
version byte, not guessed at.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from s3gate.core.checksums import Checksum
from s3gate.core.values import NULL_VERSION, ObjectRecord, Owner, PartSpan

__all__ = [
    "Binding",
    "BrokenRecord",
    "Stored",
    "decode",
    "encode",
    "encode_spilled",
    "foreign",
    "pack",
    "resolve",
    "synthetic_etag",
    "unpack",
]

_VERSION = 1
_HEADER = 5  # version byte and CRC-32


class BrokenRecord(Exception):
    """Bytes that are not a record, or not one this version can read."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Which contents a record belongs to: a file's size in bytes and its modification time in nanoseconds."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Binding:
        """The binding of a file as it stands."""
        return cls(stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Stored:
    """A decoded record. `spill` names the file that holds the whole record where it was too large to stand inline.

    `key` is set where the record stands in a file of its own: the key of the object it was written for.
    """

    binding: Binding
    record: ObjectRecord | None
    spill: str = ""
    key: str = ""


def pack(fields: Mapping[str, Any]) -> bytes:
    """A msgpack map with a version byte and a checksum before it."""
    body: bytes = msgpack.packb(fields)
    return bytes([_VERSION]) + zlib.crc32(body).to_bytes(4, "big") + body


def unpack(data: bytes) -> dict[str, Any]:
    """The inverse of pack; BrokenRecord for anything else."""
    if (
        len(data) < _HEADER
        or data[0] != _VERSION
        or zlib.crc32(data[_HEADER:]) != int.from_bytes(data[1:_HEADER], "big")
    ):
        raise BrokenRecord(f"{len(data)} bytes that begin with {data[:_HEADER].hex()}")
    fields: dict[str, Any] = msgpack.unpackb(data[_HEADER:])
    return fields


def encode(record: ObjectRecord, binding: Binding, *, key: bytes = b"") -> bytes:
    """A record with everything in it; fields that say nothing are left out. `key`: for a file of its own."""
    optional = {
        "k": key.decode(),
        "h": dict(record.headers),
        "um": dict(record.user_metadata),
        "tg": dict(record.tags),
        "ck": [record.checksum.algorithm, record.checksum.value, record.checksum.type] if record.checksum else None,
        "pt": [[span.number, span.size, span.checksum] for span in record.parts],
        "sc": record.storage_class if record.storage_class != "STANDARD" else "",
        "ow": [record.owner.id, record.owner.display_name] if record.owner else None,
        "up": record.upload_id,
        "vid": record.version_id if record.version_id != NULL_VERSION else "",
        "seq": record.sequence,
    }
    fields = {"e": record.etag, "sz": binding.size, "mt": binding.mtime_ns, "lm": record.modified_ns}
    return pack(fields | {name: value for name, value in optional.items() if value})


def encode_spilled(spill: str, binding: Binding) -> bytes:
    """What stands inline for a record that is kept in the file `spill`."""
    return pack({"x": spill, "sz": binding.size, "mt": binding.mtime_ns})


def decode(data: bytes) -> Stored:
    """The inverse of encode and encode_spilled."""
    fields = unpack(data)
    try:
        binding = Binding(fields["sz"], fields["mt"])
        if "x" in fields:
            return Stored(binding, None, fields["x"])
        return Stored(binding, _record(fields), key=fields.get("k", ""))
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenRecord(str(error)) from error


def _record(fields: Mapping[str, Any]) -> ObjectRecord:
    get = fields.get
    checksum, owner, parts = get("ck"), get("ow"), get("pt")
    return ObjectRecord(
        etag=fields["e"],
        size=fields["sz"],
        modified_ns=fields["lm"],
        headers=get("h", {}),
        user_metadata=get("um", {}),
        checksum=Checksum(*checksum) if checksum else None,
        parts=tuple(PartSpan(*span) for span in parts) if parts else (),
        storage_class=get("sc", "STANDARD"),
        owner=Owner(*owner) if owner else None,
        tags=get("tg", {}),
        upload_id=get("up", ""),
        version_id=get("vid", NULL_VERSION),
        sequence=get("seq", 0),
    )


def synthetic_etag(stat: os.stat_result) -> str:
    """The ETag of contents nobody has hashed: it changes with them, and its dash tells clients it is no MD5."""
    identity = b"%d %d %d" % (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return hashlib.blake2b(identity, digest_size=16).hexdigest() + "-1"


def foreign(stat: os.stat_result, key: str) -> ObjectRecord:
    """The record of a file that another program put there."""
    guessed, encoding = mimetypes.guess_type(key, strict=False)
    headers = {"content-type": guessed} if guessed and not encoding else {}
    return ObjectRecord(
        etag=synthetic_etag(stat),
        size=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        headers=headers,
    )


def resolve(record: ObjectRecord, binding: Binding, stat: os.stat_result) -> ObjectRecord:
    """The record as it holds for a file: all of it, or what the client said where the contents were changed outside."""
    if binding.size == stat.st_size and binding.mtime_ns == stat.st_mtime_ns:
        return record
    return ObjectRecord(
        etag=synthetic_etag(stat),
        size=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        headers=record.headers,
        user_metadata=record.user_metadata,
        storage_class=record.storage_class,
        owner=record.owner,
        tags=record.tags,
        version_id=record.version_id,
        sequence=record.sequence,
    )
