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
from typing import Any

import msgspec

from s3gate.core.checksums import Checksum
from s3gate.core.values import NULL_VERSION, STANDARD, ObjectRecord, Owner, PartSpan

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


class Binding(msgspec.Struct, frozen=True):
    """Which contents a record belongs to: a file's size in bytes and its modification time in nanoseconds."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Binding:
        """The binding of a file as it stands."""
        return cls(stat.st_size, stat.st_mtime_ns)


class Stored(msgspec.Struct, frozen=True):
    """A decoded record. `spill` names the file that holds the whole record where it was too large to stand inline.

    `key` is set where the record stands in a file of its own: the key of the object it was written for.
    """

    binding: Binding
    record: ObjectRecord | None
    spill: str = ""
    key: str = ""


class _Fields(msgspec.Struct, frozen=True, omit_defaults=True):
    """The map of a record. Either `x`, or everything; fields that say nothing are left out."""

    sz: int
    mt: int
    e: str | msgspec.UnsetType = msgspec.UNSET
    lm: int = 0
    x: str = ""
    k: str = ""
    h: dict[str, str] = {}
    um: dict[str, str] = {}
    tg: dict[str, str] = {}
    ck: tuple[str, str, str] | None = None
    pt: tuple[tuple[int, int, str], ...] = ()
    sc: str = STANDARD
    ow: tuple[str, str] | None = None
    up: str = ""
    vid: str = NULL_VERSION
    seq: int = 0


_decode_fields = msgspec.msgpack.Decoder(_Fields).decode
_pack = msgspec.msgpack.Encoder().encode


def _framed(body: bytes) -> bytes:
    return b"%c%b%b" % (_VERSION, zlib.crc32(body).to_bytes(4, "big"), body)


def _body(data: bytes) -> memoryview:
    """What _framed was given; BrokenRecord for anything else."""
    body = memoryview(data)[_HEADER:]
    if len(data) < _HEADER or data[0] != _VERSION or zlib.crc32(body) != int.from_bytes(data[1:_HEADER], "big"):
        raise BrokenRecord(f"{len(data)} bytes that begin with {data[:_HEADER].hex()}")
    return body


def pack(fields: Mapping[str, Any]) -> bytes:
    """A msgpack map with a version byte and a checksum before it."""
    return _framed(_pack(fields))


def unpack(data: bytes) -> dict[str, Any]:
    """The inverse of pack; BrokenRecord for anything else."""
    fields: dict[str, Any] = msgspec.msgpack.decode(_body(data))
    return fields


def encode(record: ObjectRecord, binding: Binding, *, key: bytes = b"") -> bytes:
    """A record with everything in it; fields that say nothing are left out. `key`: for a file of its own."""
    checksum, owner = record.checksum, record.owner
    fields = _Fields(
        sz=binding.size,
        mt=binding.mtime_ns,
        e=record.etag,
        lm=record.modified_ns,
        k=key.decode(),
        h=dict(record.headers),
        um=dict(record.user_metadata),
        tg=dict(record.tags),
        ck=(checksum.algorithm, checksum.value, checksum.type) if checksum else None,
        pt=tuple([(span.number, span.size, span.checksum) for span in record.parts]),
        sc=record.storage_class,
        ow=(owner.id, owner.display_name) if owner else None,
        up=record.upload_id,
        vid=record.version_id,
        seq=record.sequence,
    )
    return _framed(_pack(fields))


def encode_spilled(spill: str, binding: Binding) -> bytes:
    """What stands inline for a record that is kept in the file `spill`."""
    return _framed(_pack(_Fields(sz=binding.size, mt=binding.mtime_ns, x=spill)))


def decode(data: bytes) -> Stored:
    """The inverse of encode and encode_spilled."""
    try:
        fields = _decode_fields(_body(data))
    except msgspec.MsgspecError as error:
        raise BrokenRecord(str(error)) from error
    binding = Binding(fields.sz, fields.mt)
    if fields.x:
        return Stored(binding, None, fields.x)
    if fields.e is msgspec.UNSET:
        raise BrokenRecord("a record without an ETag")
    return Stored(binding, _record(fields, fields.e), key=fields.k)


def _record(fields: _Fields, etag: str) -> ObjectRecord:
    checksum, owner, parts = fields.ck, fields.ow, fields.pt
    return ObjectRecord(
        etag,
        fields.sz,
        fields.lm,
        headers=fields.h,
        user_metadata=fields.um,
        checksum=Checksum(*checksum) if checksum else None,
        parts=tuple([PartSpan(*span) for span in parts]) if parts else (),
        storage_class=fields.sc,
        owner=Owner(*owner) if owner else None,
        tags=fields.tg,
        upload_id=fields.up,
        version_id=fields.vid,
        sequence=fields.seq,
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
