"""What the path and the host of a request name: the service, a bucket or an object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from s3gate.core.errors import S3Error
from s3gate.core.names import check_key
from s3gate.core.wire import Wire
from s3gate.operations.registry import Level

__all__ = ["Addressing", "Target"]

_SURE_CHARACTERS = 255  # a key of no more is never too long: a character has at most four bytes
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


class Target(msgspec.Struct, frozen=True):
    """The place a request names. `host_bucket` is the bucket's name when the host gave it, else ""."""

    level: Level
    bucket: str = ""
    key: str = ""
    host_bucket: str = ""


_SERVICE = Target(Level.SERVICE)


class Addressing:
    """Path style for every host, and virtual-host style (`bucket.DOMAIN`) for the given domains.

    "Virtual hosting of general purpose buckets" of the S3 user guide. `path_prefix` (as `/s3`) stands before every
    path of either style.
    """

    def __init__(self, domains: Iterable[str] = (), path_prefix: str = "") -> None:
        trimmed = {domain.strip(".").lower() for domain in domains}
        self._suffixes = tuple(f".{domain}" for domain in sorted(trimmed, key=len, reverse=True) if domain)
        prefix = path_prefix.strip("/")
        self._prefix = f"/{prefix}" if prefix else ""
        # Clients name few hosts, again and again.
        self.host_bucket = lru_cache(maxsize=1024)(self._host_bucket)

    def resolve(self, wire: Wire) -> Target:
        """The target; percent-decoded exactly once, nothing normalized: `+`, `//`, `..` and `%2F` survive in a key.

        Raises InvalidURI, KeyTooLongError, InvalidBucketName for an empty name before a key, and NoSuchBucket outside
        the path prefix.
        """
        path = wire.raw_path
        if self._prefix or path[:1] != "/":
            path = self._below_prefix(path)
        bucket = self.host_bucket(wire.headers.get("host", "")) if self._suffixes else ""
        if bucket:
            key = path[1:]
            if not key:
                return Target(Level.BUCKET, bucket, host_bucket=bucket)
            return Target(Level.OBJECT, bucket, _key(key), bucket)
        name, slash, key = path[1:].partition("/")
        if not name:
            if slash:
                raise S3Error("InvalidBucketName", BucketName="")
            return _SERVICE
        if not key:
            return Target(Level.BUCKET, _decoded(name))
        if "%" in path or len(key) > _SURE_CHARACTERS:
            name, key = _decoded(name), _key(key)
        return Target(Level.OBJECT, name, key)

    def _host_bucket(self, host: str) -> str:
        """The bucket that a Host header names, or "" for path style. The longest domain counts; ports do not."""
        if not self._suffixes or not host:
            return ""
        name = host.lower()
        if name.rpartition(":")[2].isdigit():
            name = name.rpartition(":")[0]
        for suffix in self._suffixes:
            if name == suffix[1:]:
                return ""
            if name.endswith(suffix):
                return name[: -len(suffix)]
        return ""

    def _below_prefix(self, path: str) -> str:
        if not path.startswith("/"):
            raise S3Error("InvalidURI", URI=path)
        if not self._prefix:
            return path
        rest = path.removeprefix(self._prefix)
        if rest == path or not rest.startswith(("/", "")) or (rest and rest[0] != "/"):
            raise S3Error("NoSuchBucket", f"S3 is served below {self._prefix}/ only.", BucketName=path.split("/")[1])
        return rest or "/"


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise S3Error("InvalidURI", URI=text)
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidURI", URI=text) from None


def _key(text: str) -> str:
    key = _decoded(text)
    if len(key) > _SURE_CHARACTERS:
        check_key(key)
    return key
