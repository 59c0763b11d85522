"""The document of tags, of objects and of buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from s3gate.xml.codec import S3Xml

__all__ = ["Tag", "TagSet", "Tagging"]


class Tag(S3Xml):
    """A key and its value, which may be empty."""

    key: str
    value: str


class TagSet(S3Xml):
    """Tags in the order they were given."""

    tag: tuple[Tag, ...] = ()


class Tagging(S3Xml):
    """What the Put…Tagging operations are sent and the Get…Tagging operations answer."""

    root: ClassVar[str] = "Tagging"

    tag_set: TagSet

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Self:
        """The document of tags by key."""
        return cls(tag_set=TagSet(tag=tuple(Tag(key=key, value=value) for key, value in tags.items())))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Keys and values as they were sent; nothing of them is checked here."""
        return [(tag.key, tag.value) for tag in self.tag_set.tag]
