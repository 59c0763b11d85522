"""The forms that values of settings have, as types that pydantic checks."""

from __future__ import annotations

import os
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from s3gate.core.addresses import parse_listen, parse_network
from s3gate.core.log_levels import parse_levels
from s3gate.identity.keys import access_key_fault, secret_key_fault, split_pair

__all__ = [
    "AccessKey",
    "BucketPattern",
    "ChunkSize",
    "Domain",
    "Endpoint",
    "FilePath",
    "Levels",
    "Listen",
    "Pair",
    "PathPrefix",
    "Peer",
    "Region",
    "SecretKey",
]

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_BUCKET_PATTERN = re.compile(r"[A-Za-z0-9._*?-]{1,255}")
_CHUNK_SIZES = (0.5, 1.0, 2.0)


def _joined(value: object) -> object:
    """Several texts as one: a list of TOML, or a flag that is repeated."""
    several = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return ",".join(value) if several else value  # type: ignore[arg-type]  # it is looked at above


def _listen(text: str) -> str:
    return ",".join(map(str, parse_listen(text)))


def _levels(text: str) -> str:
    return str(parse_levels(text))


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a path has at least one character, and no NUL")
    return os.path.expanduser(text)


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError("a region has 1 to 64 letters, digits, '-' or '_'")
    return text


def _prefix(text: str) -> str:
    text = text.rstrip("/")
    if not _PREFIX.fullmatch(text):
        raise ValueError("a path prefix begins with '/' and has letters, digits, '.', '_', '~' or '-', as in /s3")
    return text


def _domain(text: str) -> str:
    text = text.lower()
    if not _DOMAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a domain name; give it without '*.', port or scheme, as in s3.example.com")
    return text


def _chunk_size(size: float) -> float:
    if size not in _CHUNK_SIZES:
        raise ValueError(f"it is one of {', '.join(f'{each:g}' for each in _CHUNK_SIZES)}")
    return size


def _pair(secret: SecretStr) -> SecretStr:
    split_pair(secret.get_secret_value())
    return secret


def _access_key(text: str) -> str:
    fault = access_key_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def _secret_key(secret: SecretStr) -> SecretStr:
    fault = secret_key_fault(secret.get_secret_value())
    if fault is not None:
        raise ValueError(fault)
    return secret


def _bucket_pattern(text: str) -> str:
    if not _BUCKET_PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is no bucket's name or pattern: it has letters, digits, '.', '_', '-', '*' or '?'")
    return text


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an endpoint is http://HOST:PORT or https://HOST:PORT")
    return text


def _peer(text: str) -> str:
    try:
        parse_network(text)
    except ValueError as error:
        raise ValueError(f"an address, a network as 10.0.0.0/8, or the word unix: {error}") from None
    return text


AccessKey = Annotated[str, AfterValidator(_access_key)]
BucketPattern = Annotated[str, AfterValidator(_bucket_pattern)]
ChunkSize = Annotated[float, AfterValidator(_chunk_size)]
Domain = Annotated[str, AfterValidator(_domain)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
FilePath = Annotated[str, AfterValidator(_path)]
Levels = Annotated[str, BeforeValidator(_joined), AfterValidator(_levels)]
Listen = Annotated[str, BeforeValidator(_joined), AfterValidator(_listen)]
Pair = Annotated[SecretStr, AfterValidator(_pair)]
Peer = Annotated[str, AfterValidator(_peer)]
PathPrefix = Annotated[str, AfterValidator(_prefix)]
Region = Annotated[str, AfterValidator(_region)]
SecretKey = Annotated[SecretStr, AfterValidator(_secret_key)]
