"""Key <-> path: reversible, free of collisions, total over S3's keys. Pure; nothing else builds a path of an object.

A key is split at "/". A component that the filesystem can hold as it is stands under its own name; any other is
written with a prefix of ours. With P(x) = x with "%" as "%25" and NUL as "%00":

    c                   a plain component
    .s3gate%P(c)        an escaped component (the empty one is `.s3gate%`, ".." is `.s3gate%..`)
    .s3gate+P(c)/       a continuation directory: the first part of a component longer than MAX_NAME
    .s3gate=c           the object whose plain name is taken by a directory (its shadow)
    .s3gate#P(c)        the same for an escaped component
    .s3gate!c           the directory that holds the history of a key (in the tree of histories only)
    .s3gate&P(c)        the same for an escaped component

So `a/` is the file `a/.s3gate%`, and `a` beside `a/b` is the file `.s3gate=a` beside the directory `a`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from s3gate.core.names import MAX_KEY_BYTES, RESERVED

__all__ = [
    "CONTROL",
    "HISTORIES",
    "MAX_NAME",
    "Entry",
    "Place",
    "decode",
    "directory_of",
    "history_of_ordinary",
    "is_ordinary",
    "key_of",
    "place",
]

CONTROL = RESERVED.encode()  # the control directory of a bucket, and the prefix of every name that is ours
MAX_NAME = 240  # bytes: leaves room for a prefix below the 255 of every Linux filesystem
_HIDDEN = (b"lost+found", b".snapshot", b".zfs")
_NFS_SILLY_RENAME = re.compile(rb"\.nfs[0-9a-fA-F]{24}")
_ESCAPE, _CONTINUATION, _SHADOW, _ESCAPED_SHADOW, _HISTORY, _ESCAPED_HISTORY = b"%", b"+", b"=", b"#", b"!", b"&"
HISTORIES = CONTROL + b"/v"  # the tree of histories: the directories of the bucket once more


class Place(msgspec.Struct, frozen=True):
    """Where an object stands, relative to its bucket: in directory `parent` ("" for the bucket) as `name`.

    `shadow` is its name where a directory has taken `name`.
    """

    parent: bytes
    name: bytes
    shadow: bytes

    @property
    def path(self) -> bytes:
        """The path of the object under its own name."""
        return b"%b/%b" % (self.parent, self.name) if self.parent else self.name

    @property
    def history(self) -> bytes:
        """The path of the directory that holds the older versions and the delete markers of the object."""
        name = _marked(self.name, _HISTORY, _ESCAPED_HISTORY)
        return b"/".join((HISTORIES, self.parent, name) if self.parent else (HISTORIES, name))

    @property
    def shadow_path(self) -> bytes:
        """The path of the object under its shadow name."""
        return self.parent + b"/" + self.shadow if self.parent else self.shadow


@dataclass(frozen=True, slots=True)
class Entry:
    """What a directory entry stands for: a `component` (or the first part of one), and as what."""

    component: bytes
    shadow: bool = False
    continuation: bool = False
    history: bool = False


def _escape(text: bytes) -> bytes:
    return text.replace(b"%", b"%25").replace(b"\0", b"%00")


def _unescape(text: bytes) -> bytes | None:
    """The inverse of _escape, or None for text that _escape does not make."""
    plain = text.replace(b"%00", b"\0").replace(b"%25", b"%")
    return plain if _escape(plain) == text else None


def _is_plain(component: bytes) -> bool:
    return (
        1 <= len(component) <= MAX_NAME
        and component not in (b".", b"..")
        and not component.startswith(CONTROL)
        and b"\0" not in component
        and component not in _HIDDEN
        and _NFS_SILLY_RENAME.fullmatch(component) is None
    )


def is_ordinary(name: str) -> bool:
    """Whether a component stands under its own name for sure, told cheaply; most that do are so, not all.

    `name` is not empty, and may hold surrogates for bytes that are no UTF-8 (PEP 383).
    """
    return name[0] != "." and len(name) <= MAX_NAME // 4 and name != "lost+found" and "\0" not in name


def history_of_ordinary(name: str) -> bytes:
    """The name of the directory that holds the history of an ordinary component."""
    return CONTROL + _HISTORY + name.encode()


def _cut(component: bytes) -> int:
    """How many bytes of a long component go into one continuation directory: whole characters, escaped <= MAX_NAME."""
    size = min(len(component), MAX_NAME)
    while len(_escape(component[:size])) > MAX_NAME or (size < len(component) and component[size] & 0xC0 == 0x80):
        size -= 1
    return size


def _names(component: bytes) -> list[bytes]:
    """The names that hold a component: continuation directories, then the last one."""
    names: list[bytes] = []
    while True:
        if _is_plain(component):
            return [*names, component]
        escaped = _escape(component)
        if len(escaped) <= MAX_NAME:
            return [*names, CONTROL + _ESCAPE + escaped]
        size = _cut(component)
        names.append(CONTROL + _CONTINUATION + _escape(component[:size]))
        component = component[size:]


def _marked(name: bytes, plain: bytes, escaped: bytes) -> bytes:
    """The name with another mark: `plain` before one that stands as it is, `escaped` instead of the escape's own."""
    rest = name.removeprefix(CONTROL + _ESCAPE)
    return CONTROL + (plain + name if rest is name else escaped + rest)


@lru_cache(maxsize=8192)
def place(key: bytes) -> Place:
    """The place of the object at `key` (1 to 1024 bytes of UTF-8)."""
    *directories, last = key.split(b"/")
    names = [name for component in directories for name in _names(component)]
    *more, name = _names(last)
    return Place(b"/".join([*names, *more]), name, _marked(name, _SHADOW, _ESCAPED_SHADOW))


def directory_of(prefix: bytes) -> bytes:
    """The path of the directory that holds every key beginning with `prefix`, which is empty or ends with "/"."""
    return b"/".join(name for component in prefix.split(b"/")[:-1] for name in _names(component))


def decode(name: bytes) -> Entry | None:
    """What a directory entry stands for, or None for a name that is the gateway's own or no key can have."""
    if not name.startswith(CONTROL):
        return Entry(name) if _is_plain(name) else None
    kind, rest = name[len(CONTROL) : len(CONTROL) + 1], name[len(CONTROL) + 1 :]
    if kind in (_SHADOW, _HISTORY):
        return Entry(rest, shadow=kind == _SHADOW, history=kind == _HISTORY) if _is_plain(rest) else None
    component = _unescape(rest)
    if component is None or len(rest) > MAX_NAME:
        return None
    if kind == _CONTINUATION:
        return Entry(component, continuation=True) if component else None
    if kind in (_ESCAPE, _ESCAPED_SHADOW, _ESCAPED_HISTORY) and not _is_plain(component):
        return Entry(component, shadow=kind == _ESCAPED_SHADOW, history=kind == _ESCAPED_HISTORY)
    return None


def key_of(path: bytes) -> bytes | None:
    """The key whose object, shadow or history (relative to HISTORIES) has this path; None where there is none such.

    The inverse of place(): a path that place() does not make leads to no key, however its names may be read.
    """
    *directories, name = path.split(b"/")
    key = b""
    for part in directories:
        meaning = decode(part)
        if meaning is None or meaning.shadow or meaning.history:
            return None
        key += meaning.component if meaning.continuation else meaning.component + b"/"
    meaning = decode(name)
    if meaning is None or meaning.continuation:
        return None
    key += meaning.component
    if not key or len(key) > MAX_KEY_BYTES or not _is_text(key):
        return None
    where = place(key)
    return key if path in (where.path, where.shadow_path, where.history.removeprefix(HISTORIES + b"/")) else None


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
