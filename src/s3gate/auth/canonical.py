"""The canonical form of a request that Signature Version 4 signs.

Source: "Create a signed AWS API request" (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html)
and the S3 page named in signing_key, which says where S3 differs: a path is encoded once and never normalised.

All text is Latin-1, one character a byte, as in core.wire.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes

__all__ = [
    "ALGORITHM",
    "canonical_headers",
    "canonical_request",
    "encoded_path",
    "encoded_query",
    "other_forms",
    "sorted_query",
    "string_to_sign",
]

ALGORITHM = "AWS4-HMAC-SHA256"
_RUN = re.compile(r"[ \t]+")


def _encoded(text: str, safe: str) -> str:
    """Percent-encoding decoded, then done again by RFC 3986: upper-case hex, and nothing that needs none."""
    return quote_from_bytes(unquote_to_bytes(text.encode("latin-1")), safe=safe)


def encoded_path(raw: str) -> str:
    """A path as the specification has it signed, however the client wrote it."""
    return _encoded(raw, "/")


def _pairs(raw: str, without: str) -> Iterator[tuple[str, str]]:
    for pair in raw.split("&"):
        name, _, value = pair.partition("=")
        if pair and name != without:
            yield name, value


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def sorted_query(raw: str, *, without: str = "") -> str:
    """A query as it was sent, in signing order: by name, then by value, `=` behind a name that has no value.

    `without` names a parameter to leave out (X-Amz-Signature).
    """
    if not raw:
        return ""
    if "&" not in raw and not without:
        return raw if "=" in raw else f"{raw}="
    return _joined(_pairs(raw, without))


def encoded_query(raw: str, *, without: str = "") -> str:
    """A query as the specification has it signed, however the client wrote it; `+` is a space, as S3 reads it."""
    pairs = [(_encoded(n.replace("+", " "), ""), _encoded(v.replace("+", " "), "")) for n, v in _pairs(raw, "")]
    return _joined(pair for pair in pairs if pair[0] != without)


def other_forms(path: str, query: str, *, without: str = "") -> Iterator[tuple[str, str]]:
    """The pairs of path and query that a client may have signed instead of those it sent, the canonical one last.

    Clients sign what they send (the query as sorted_query has it) or the canonical encoding of it, and not always alike
    in path and query. Each of the forms names the same bytes to the server, so that accepting them all grants nothing
    that was not signed.
    """
    sent = path, sorted_query(query, without=without)
    canonical = encoded_path(path), encoded_query(query, without=without)
    if canonical != sent:
        mixed = (canonical[0], sent[1]), (sent[0], canonical[1])
        yield from (form for form in mixed if form not in (sent, canonical))
        yield canonical


def canonical_headers(headers: Mapping[str, str], names: Sequence[str]) -> str:
    """The lines of the named headers: values trimmed, runs of white space as one space.

    A header that is named and absent counts as empty, which no signature of an honest client matches.
    """
    lines = ""
    for name in names:
        lines += f"{name}:{headers.get(name, '')}\n"
    if " " in lines or "\t" in lines:  # most clients sign no value that has any
        trimmed = [_RUN.sub(" ", headers.get(name, "").strip(" \t")) for name in names]
        lines = "".join([f"{name}:{value}\n" for name, value in zip(names, trimmed, strict=True)])
    return lines


def canonical_request(
    method: str, path: str, query: str, *, header_lines: str, signed_headers: str, content: str
) -> bytes:
    """The request to be hashed; `content` is the hash of the payload or the word that stands for it."""
    return f"{method}\n{path}\n{query}\n{header_lines}\n{signed_headers}\n{content}".encode("latin-1")


def string_to_sign(timestamp: str, scope: str, canonical: bytes) -> bytes:
    """What the signing key signs; `timestamp` as in x-amz-date, `scope` is day/region/service/aws4_request."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode("latin-1")
