"""What may be the tags of an object or a bucket, and the header that carries them.

Sources: "Categorizing your objects using tags" and "Using cost allocation S3 bucket tags" of the S3 user guide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from s3gate.core.errors import S3Error
from s3gate.operations.binding import header_bytes

__all__ = ["BUCKET_TAGS", "OBJECT_TAGS", "TagRules", "tagging_header"]

Pairs = Iterable[tuple[str, str]]

# In UTF-16, as S3 counts: a character beyond U+FFFF takes two places.
_MAX_KEY = 128
_MAX_VALUE = 256
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def _is_text(text: str, limit: int) -> bool:
    """Whether it is at most `limit` letters, numbers, spaces and characters of `_.:/=+-@`."""
    return len(text.encode("utf-16-le", "surrogatepass")) <= 2 * limit and all(
        unicodedata.category(character)[0] in "LNZ" or character in "_.:/=+-@" for character in text
    )


@dataclass(frozen=True, slots=True)
class TagRules:
    """How many tags there may be, and what to say to who gives more, or one of AWS's own."""

    limit: int
    too_many: str
    reserved: str

    def check(self, pairs: Pairs) -> dict[str, str]:
        """The tags by key, in order of their keys, else InvalidTag (for too many AWS says BadRequest)."""
        tags: dict[str, str] = {}
        for key, value in pairs:
            if key in tags:
                raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=key)
            if key.lower().startswith("aws:"):
                raise S3Error("InvalidTag", self.reserved, TagKey=key)
            if not key or not _is_text(key, _MAX_KEY):
                raise S3Error("InvalidTag", "The TagKey you have provided is invalid", TagKey=key)
            if not _is_text(value, _MAX_VALUE):
                raise S3Error("InvalidTag", "The TagValue you have provided is invalid", TagKey=key, TagValue=value)
            tags[key] = value
        if len(tags) > self.limit:
            raise S3Error("InvalidTag", self.too_many)
        return dict(sorted(tags.items()))


OBJECT_TAGS = TagRules(10, "Object tags cannot be greater than 10", "Your TagKey cannot be prefixed with aws:")
BUCKET_TAGS = TagRules(
    50, "Bucket tag count cannot be greater than 50", "System tags cannot be added/updated by requester"
)


def _decoded(text: str) -> str:
    """Text of a query string, `+` as space; ValueError where it is none."""
    if _BROKEN_ESCAPE.search(text):
        raise ValueError("a percent sign without two hexadecimal digits behind it")
    return unquote_to_bytes(header_bytes(text.replace("+", " "))).decode()


def _pairs(text: str) -> list[tuple[str, str]]:
    """The pairs of a query string; ValueError where a key is empty or stands twice."""
    pairs = [(_decoded(key), _decoded(value)) for key, _, value in (item.partition("=") for item in text.split("&"))]
    keys = {key for key, _ in pairs}
    if "" in keys or len(keys) < len(pairs):
        raise ValueError("a key is empty or stands twice")
    return pairs


def tagging_header(text: str) -> dict[str, str]:
    """x-amz-tagging as tags of an object: `key1=value1&key2`, percent-encoded ("PutObject")."""
    if not text:
        return {}
    try:
        pairs = _pairs(text)
    except ValueError:
        raise S3Error(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            ArgumentName="x-amz-tagging",
            ArgumentValue=text,
        ) from None
    return OBJECT_TAGS.check(pairs)
