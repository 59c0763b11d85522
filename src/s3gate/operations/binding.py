"""Fill the typed arguments of an operation from the wire: path, query, headers, metadata, XML document.

The arguments are a frozen dataclass or a msgspec struct. `bucket` and `key` come from the path; every other field says
in its annotation where it comes from: `version_id: Annotated[str | None, Query("versionId")] = None`. A class is
compiled once, when its operation is declared.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Union, get_args, get_origin, get_type_hints

from s3gate.core.errors import S3Error
from s3gate.core.wire import Wire

__all__ = [
    "MAX_METADATA_BYTES",
    "METADATA_PREFIX",
    "Binder",
    "Document",
    "Group",
    "Header",
    "Query",
    "ReadDocument",
    "UserMetadata",
    "header_bytes",
    "header_text",
]

METADATA_PREFIX = "x-amz-meta-"
# "Working with object metadata" of the S3 user guide: the user-defined metadata is limited to 2 KB in size.
MAX_METADATA_BYTES = 2048
MAX_INTEGER = 2**31 - 1

Parse = Callable[[str], Any]


class ReadDocument(Protocol):
    """Reads the body of the request whole."""

    def __call__(self, limit: int, /, *, checksums: bool) -> Awaitable[bytes]:
        """The body, verified; S3Error for more than `limit` bytes. `checksums` is as in `Document`."""


@dataclass(frozen=True, slots=True)
class Query:
    """The field is the query parameter `name`. `parse` takes its text and raises S3Error or ValueError."""

    name: str
    parse: Parse | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """The field is the request header `name` (lower case). `parse` takes its text and raises S3Error or ValueError."""

    name: str
    parse: Parse | None = None


@dataclass(frozen=True, slots=True)
class UserMetadata:
    """The field is a mapping of the x-amz-meta-* headers, names without that prefix. Over 2 KB: MetadataTooLarge."""


@dataclass(frozen=True, slots=True)
class Group:
    """The field is a group of arguments that several operations share: its type is a class of such fields.

    It is bound behind the parameters and before the other headers. User metadata and the document are no part of it.
    """


@dataclass(frozen=True, slots=True)
class Document:
    """The field is the body, read by its type's classmethod `parse(bytes)`.

    `limit` is the most bytes the body may have. An empty body gives the field's default; a field without default
    refuses it with the code `empty`. `checksums` tells whether x-amz-checksum-* headers speak of this body.
    """

    limit: int = 1 << 20
    empty: str = "MissingRequestBodyError"
    checksums: bool = True


_RAW = re.compile("[\uef80-\uefff]")
_TO_SURROGATE = {0xEF80 + i: 0xDC80 + i for i in range(128)}
_FROM_SURROGATE = {0xDC80 + i: 0xEF80 + i for i in range(128)}


def header_text(value: str) -> str:
    """A header value (Latin-1, one character a byte) as the text it stands for: UTF-8, as S3's clients send.

    A byte that is not UTF-8 becomes a character of U+EF80 to U+EFFF (private use), so that text can be stored as UTF-8
    anywhere and `header_bytes` gives back every value as it was sent. RFC 2047 encoded words are left as sent.
    """
    if value.isascii():
        return value
    text = value.encode("latin-1").decode("utf-8", "surrogateescape")
    if _RAW.search(text):
        text = _RAW.sub(lambda match: match[0].encode().decode("ascii", "surrogateescape"), text)
    return text.translate(_FROM_SURROGATE)


def header_bytes(text: str) -> bytes:
    """The header value that `header_text` made `text` from."""
    if text.isascii():
        return text.encode("ascii")
    return text.translate(_TO_SURROGATE).encode("utf-8", "surrogateescape")


def _invalid(name: str, value: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)


def _integer(name: str) -> Parse:
    def parse(text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) <= MAX_INTEGER):
            raise _invalid(name, text, f"Provided {name} not an integer or within integer range")
        if text.startswith("-") and int(digits):
            raise _invalid(name, text, f"Argument {name} must be an integer between 0 and {MAX_INTEGER}")
        return int(digits)

    return parse


def _boolean(name: str) -> Parse:
    def parse(text: str) -> bool:
        lowered = text.lower()
        if lowered not in ("true", "false"):
            raise _invalid(name, text, f"Provided {name} is neither true nor false")
        return lowered == "true"

    return parse


def _guarded(name: str, parse: Parse) -> Parse:
    """`parse` with a ValueError told as the InvalidArgument it is."""

    def guarded(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise _invalid(name, text, f"Invalid value for {name}") from None

    return guarded


def _plain(hint: Any) -> Any:
    """The type inside `X | None`, or `hint` itself."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return inner[0] if len(inner) == 1 else hint
    return hint


def _parser(source: Query | Header, hint: Any) -> Parse | None:
    if source.parse is not None:
        return _guarded(source.name, source.parse)
    plain = _plain(hint)
    if plain is int:
        return _integer(source.name)
    if plain is bool:
        return _boolean(source.name)
    if plain is not str:
        raise TypeError(f"{source.name}: a field of type {hint} needs a parse function")
    return None


# RFC 9110 section 5.1: what the name of a header may be.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The x-amz-meta-* headers by name without the prefix; MetadataTooLarge for more than 2 KB of names and values."""
    found: dict[str, str] = {}
    if METADATA_PREFIX not in " ".join(headers):
        return found
    size = 0
    for name, value in headers.items():
        if name.startswith(METADATA_PREFIX):
            if not _TOKEN.fullmatch(name):  # a header cannot have such a name, a parameter of a presigned URL can
                raise S3Error("InvalidArgument", "A metadata name is no header name", ArgumentName=name)
            found[name[len(METADATA_PREFIX) :]] = header_text(value)
            size += len(name) - len(METADATA_PREFIX) + len(value)
    if size > MAX_METADATA_BYTES:
        raise S3Error("MetadataTooLarge", Size=size, MaxSizeAllowed=MAX_METADATA_BYTES)
    return found


class Binder:
    """Makes the arguments of one operation.

    `queries` and `headers` are the names that the arguments take, `metadata` tells whether they take x-amz-meta-*.
    """

    def __init__(self, args: type) -> None:
        self.args = args
        self.metadata = ""
        self.document: tuple[str, Any, Document, bool] | None = None
        self._with_bucket = self._with_key = False
        self._groups: list[tuple[str, Binder]] = []
        # (field, name on the wire, parse, required, an empty text counts as absent)
        self._query: list[tuple[str, str, Parse | None, bool, bool]] = []
        self._header: list[tuple[str, str, Parse | None, bool, bool]] = []
        hints = get_type_hints(args, include_extras=True)
        for name, parameter in inspect.signature(args).parameters.items():
            self._add(name, hints[name], parameter.default is parameter.empty)
        self._own_headers = frozenset(spec[1] for spec in self._header)
        self.headers: frozenset[str] = self._own_headers.union(*(group.headers for _, group in self._groups))
        queries = frozenset(spec[1] for spec in self._query)
        self.queries: frozenset[str] = queries.union(*(group.queries for _, group in self._groups))
        self._needs_query = any(required for *_, required, _ in self._query)
        self._needs_header = any(required for *_, required, _ in self._header)

    def _add(self, name: str, hint: Any, required: bool) -> None:
        if name == "bucket":
            self._with_bucket = True
            return
        if name == "key":
            self._with_key = True
            return
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{self.args.__name__}.{name} does not say where it comes from")
        inner, *sources = get_args(hint)
        for source in sources:
            if isinstance(source, Query | Header):
                parse = _parser(source, inner)
                blank = source.parse is None and parse is not None
                specs = self._query if isinstance(source, Query) else self._header
                specs.append((name, source.name, parse, required, blank))
            elif isinstance(source, UserMetadata):
                self.metadata = name
            elif isinstance(source, Group):
                group = Binder(inner)
                if group.metadata or group.document is not None:
                    raise TypeError(f"{self.args.__name__}.{name}: metadata and document are fields of the whole")
                self._groups.append((name, group))
            elif isinstance(source, Document):
                self.document = (name, _plain(inner), source, required)
            else:
                continue
            return
        raise TypeError(f"{self.args.__name__}.{name} does not say where it comes from")

    def bind(self, bucket: str, key: str, wire: Wire) -> Any:
        """The arguments of this request, for a class without a document."""
        return self.args(**self._values(bucket, key, wire))

    async def bind_document(self, bucket: str, key: str, wire: Wire, *, read: ReadDocument) -> Any:
        """The arguments of this request; the document is read last, once everything else was found good."""
        values = self._values(bucket, key, wire)
        if self.document is not None:
            field, kind, source, required = self.document
            data = await read(source.limit, checksums=source.checksums)
            if data:
                values[field] = kind.parse(data)
            elif required:
                raise S3Error(source.empty)
        return self.args(**values)

    def _values(self, bucket: str, key: str, wire: Wire) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._with_bucket:
            values["bucket"] = bucket
        if self._with_key:
            values["key"] = key
        if wire.query or self._needs_query:
            self._bind_query(values, wire.query)
        for field, group in self._groups:
            values[field] = group.bind(bucket, key, wire)
        if self._needs_header or not self._own_headers.isdisjoint(wire.headers):
            self._bind_headers(values, wire.headers)
        if self.metadata:
            values[self.metadata] = user_metadata(wire.headers)
        return values

    def _bind_query(self, values: dict[str, Any], query: Mapping[str, str]) -> None:
        for field, name, parse, required, blank in self._query:
            text = query.get(name)
            if text is None or (blank and not text):
                if required:
                    raise _invalid(name, "", f"Missing required query parameter for this request: {name}")
                continue
            values[field] = text if parse is None else parse(text)

    def _bind_headers(self, values: dict[str, Any], headers: Mapping[str, str]) -> None:
        for field, name, parse, required, blank in self._header:
            text = headers.get(name)
            if text is None or (blank and not text):
                if required:
                    raise S3Error("InvalidRequest", f"Missing required header for this request: {name}")
                continue
            text = header_text(text)
            values[field] = text if parse is None else parse(text)
