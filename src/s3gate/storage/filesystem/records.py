"""The record of one version as bytes: what is kept beside the contents of a file, and how it is bound to them.

A record is one version byte, a CRC-32 of the rest and a msgpack array, whose last element is a map of what most records
do not say. It names the size and the modification time of the file it was written for; where they no longer match,
another program has changed the contents, and only what the client said of the object (headers, metadata, tags) still
holds. A later version is refused by the version byte, not guessed at.

A plain record stays within 64 bytes: so much fits into an inode of ext4 with 256 bytes, and a larger attribute costs a
block of its own.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import struct
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from s3gate.core.checksums import FULL_OBJECT, Checksum
from s3gate.core.values import NULL_VERSION, STANDARD, ObjectRecord, Owner, PartSpan

__all__ = [
    "Binding",
    "BrokenRecord",
    "Stored",
    "decode",
    "encode",
    "encode_spilled",
    "foreign",
    "held",
    "pack",
    "resolve",
    "synthetic_etag",
    "unpack",
]

_VERSION = 1
_header = struct.Struct(">BI")  # version byte and CRC-32
_HEADER = _header.size
_unpack_header = _header.unpack_from
_MD5 = re.compile("[0-9a-f]{32}")
# What the first byte of a short checksum says. Only ever added to: records on disk count in it.
_ALGORITHMS = (
    "CRC32",
    "CRC32C",
    "CRC64NVME",
    "SHA1",
    "SHA256",
    "SHA512",
    "MD5",
    "XXHASH64",
    "XXHASH3",
    "XXHASH128",
)
_ALGORITHM_BYTES = {name: bytes([number]) for number, name in enumerate(_ALGORITHMS)}

# What `t` of a record says, counted from 1: the content types that clients send most, by the tables of the AWS CLI, of
# Python's mimetypes and of the SDKs' own defaults. Only ever added to: records on disk count in it.
_CONTENT_TYPES = (
    "binary/octet-stream",
    "application/octet-stream",
    "application/json",
    "application/xml",
    "text/plain",
    "text/html",
    "text/css",
    "text/csv",
    "text/xml",
    "text/markdown",
    "text/javascript",
    "application/javascript",
    "text/plain; charset=utf-8",
    "text/html; charset=utf-8",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "application/x-directory",
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
    "application/x-7z-compressed",
    "application/java-archive",
    "application/wasm",
    "application/x-yaml",
    "application/yaml",
    "application/toml",
    "application/x-ndjson",
    "application/x-python-code",
    "text/x-python",
    "application/x-sh",
    "application/sql",
    "application/vnd.apache.parquet",
    "application/x-parquet",
    "application/avro",
    "application/x-hdf5",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/svg+xml",
    "image/tiff",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "image/heic",
    "audio/mpeg",
    "audio/wav",
    "audio/x-wav",
    "audio/ogg",
    "audio/flac",
    "audio/aac",
    "video/mp4",
    "video/mpeg",
    "video/webm",
    "video/quicktime",
    "video/x-matroska",
    "font/woff",
    "font/woff2",
    "font/ttf",
)
_TYPE_NUMBERS = {name: number for number, name in enumerate(_CONTENT_TYPES, 1)}
_CONTENT_TYPE = "content-type"


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


class _Rest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What most records do not say: either `x`, the name of the file that holds the whole record, or the others.

    `t` is the content type, where it is one of the table; then it is not among the headers `h`.
    """

    x: str = ""
    t: Annotated[int, msgspec.Meta(ge=0)] = 0
    k: str = ""
    e: str = ""
    h: dict[str, str] = {}
    um: dict[str, str] = {}
    tg: dict[str, str] = {}
    ck: tuple[str, str, str] | None = None
    pt: tuple[tuple[int, int, str], ...] = ()
    sc: str = STANDARD
    ow: tuple[str, str] | None = None
    up: str = ""
    vid: str = NULL_VERSION
    seq: int | None = None


_NO_REST = _Rest()
_NONE: dict[str, str] = {}


class _Fields(msgspec.Struct, frozen=True, array_like=True):
    """A record as it stands: size and time of the contents, ETag where it is an MD5, how much later than
    the contents' time it was last modified, the checksum as one byte for its algorithm and the digest."""

    size: int
    mtime_ns: int
    md5: bytes = b""
    later_ns: int = 0
    checksum: bytes = b""
    rest: _Rest | None = None


_decode_fields = msgspec.msgpack.Decoder(_Fields).decode
_pack = msgspec.msgpack.Encoder().encode


def _framed(body: bytes) -> bytes:
    return _header.pack(_VERSION, zlib.crc32(body)) + body


def _body(data: bytes) -> bytes:
    """What _framed was given; BrokenRecord for anything else."""
    body = data[_HEADER:]
    if len(data) < _HEADER or _unpack_header(data) != (_VERSION, zlib.crc32(body)):
        raise BrokenRecord(f"{len(data)} bytes that begin with {data[:_HEADER].hex()}")
    return body


def pack(fields: Mapping[str, Any]) -> bytes:
    """A msgpack map with a version byte and a checksum before it."""
    return _framed(_pack(fields))


def unpack(data: bytes) -> dict[str, Any]:
    """The inverse of pack; BrokenRecord for anything else."""
    fields: dict[str, Any] = msgspec.msgpack.decode(_body(data))
    return fields


def _short_checksum(checksum: Checksum | None) -> bytes:
    """A checksum over all of the contents as bytes; b"" where it does not have that form."""
    if checksum is None or checksum.type != FULL_OBJECT or checksum.algorithm not in _ALGORITHM_BYTES:
        return b""
    digest = a2b_base64(checksum.value)
    if b2a_base64(digest, newline=False).decode() != checksum.value:
        return b""
    return _ALGORITHM_BYTES[checksum.algorithm] + digest


def _rest(record: ObjectRecord, *, key: bytes, etag: str, checksum: Checksum | None) -> _Rest | None:
    owner, parts, headers, number = record.owner, record.parts, _NONE, 0
    if record.headers:
        headers = dict(record.headers)
        number = _TYPE_NUMBERS.get(headers.get(_CONTENT_TYPE, ""), 0)
        if number:
            del headers[_CONTENT_TYPE]
    rest = _Rest(
        t=number,
        k=key.decode(),
        e=etag,
        h=headers,
        um=dict(record.user_metadata) if record.user_metadata else _NONE,
        tg=dict(record.tags) if record.tags else _NONE,
        ck=(checksum.algorithm, checksum.value, checksum.type) if checksum else None,
        pt=tuple([(span.number, span.size, span.checksum) for span in parts]) if parts else (),
        sc=record.storage_class,
        ow=(owner.id, owner.display_name) if owner else None,
        up=record.upload_id,
        vid=record.version_id,
        seq=record.sequence if record.sequence != record.modified_ns else None,
    )
    return None if rest == _NO_REST else rest


def encode(record: ObjectRecord, binding: Binding, *, key: bytes = b"") -> bytes:
    """A record with everything in it. `key`: for a file of its own."""
    md5 = bytes.fromhex(record.etag) if _MD5.fullmatch(record.etag) else b""
    checksum = _short_checksum(record.checksum)
    fields = _Fields(
        binding.size,
        binding.mtime_ns,
        md5,
        record.modified_ns - binding.mtime_ns,
        checksum,
        _rest(record, key=key, etag="" if md5 else record.etag, checksum=None if checksum else record.checksum),
    )
    return _framed(_pack(fields))


def encode_spilled(spill: str, binding: Binding) -> bytes:
    """What stands inline for a record that is kept in the file `spill`."""
    return _framed(_pack(_Fields(binding.size, binding.mtime_ns, rest=_Rest(x=spill))))


def decode(data: bytes) -> Stored:
    """The inverse of encode and encode_spilled."""
    try:
        fields = _decode_fields(_body(data))
        binding = Binding(fields.size, fields.mtime_ns)
        rest = fields.rest or _NO_REST
        if rest.x:
            return Stored(binding, None, rest.x)
        return Stored(binding, _record(fields, rest), key=rest.k)
    except (msgspec.MsgspecError, IndexError) as error:
        raise BrokenRecord(str(error)) from error


def held(data: bytes, stat: os.stat_result) -> ObjectRecord | None:
    """The record, where it stands whole in `data` and holds for the file; None where there is more to look at."""
    try:
        fields = _decode_fields(_body(data))
        rest = fields.rest or _NO_REST
        if rest.x or fields.size != stat.st_size or fields.mtime_ns != stat.st_mtime_ns:
            return None
        return _record(fields, rest)
    except (BrokenRecord, msgspec.MsgspecError, IndexError):
        return None


def _record(fields: _Fields, rest: _Rest) -> ObjectRecord:
    short, owner, parts = fields.checksum, rest.ow, rest.pt
    modified_ns = fields.mtime_ns + fields.later_ns
    checksum = None
    if short:
        checksum = Checksum(_ALGORITHMS[short[0]], b2a_base64(short[1:], newline=False).decode())
    elif rest.ck:
        checksum = Checksum(*rest.ck)
    return ObjectRecord(
        fields.md5.hex() or rest.e,
        fields.size,
        modified_ns,
        headers={_CONTENT_TYPE: _CONTENT_TYPES[rest.t - 1], **rest.h} if rest.t else rest.h,
        user_metadata=rest.um,
        checksum=checksum,
        parts=tuple([PartSpan(*span) for span in parts]) if parts else (),
        storage_class=rest.sc,
        owner=Owner(*owner) if owner else None,
        tags=rest.tg,
        upload_id=rest.up,
        version_id=rest.vid,
        sequence=modified_ns if rest.seq is None else rest.seq,
    )


def synthetic_etag(stat: os.stat_result) -> str:
    """The ETag of contents nobody has hashed: it changes with them, and its dash tells clients it is no MD5."""
    identity = b"%d %d %d" % (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return hashlib.blake2b(identity, digest_size=16).hexdigest() + "-1"


def foreign(stat: os.stat_result, key: str) -> ObjectRecord:
    """The record of a file that another program put there."""
    name = key[key.rfind("/") + 1 :]
    dot = name.find(".")
    # Behind the first dot is all that the type is guessed from, but for names that begin with it and URLs.
    guess_from = key if dot == 0 or ":" in key else "x" + name[dot:] if dot > 0 else "x"
    return ObjectRecord(
        etag=synthetic_etag(stat),
        size=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        headers=_guessed_headers(guess_from),
    )


@lru_cache(maxsize=1024)
def _guessed_headers(name: str) -> Mapping[str, str]:
    guessed, encoding = mimetypes.guess_type(name, strict=False)
    return MappingProxyType({"content-type": guessed} if guessed and not encoding else {})


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
