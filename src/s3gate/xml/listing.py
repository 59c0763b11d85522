"""Documents of listings: ListBucketResult of both versions, and ListVersionsResult.

Written as text by hand: a page of 1000 entries takes about a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from s3gate.core.clock import iso_date
from s3gate.core.values import ObjectRecord, Owner
from s3gate.xml.writer import document, element, encode_key, escape, owner

__all__ = [
    "ListingPage",
    "ListingQuery",
    "VersionsPage",
    "list_bucket_result_v1",
    "list_bucket_result_v2",
    "list_versions_result",
]

Entry = tuple[str, ObjectRecord]


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """What every listing was asked for and tells again; `url_encoded` is encoding-type=url."""

    bucket: str
    prefix: str
    delimiter: str
    max_keys: int
    url_encoded: bool


@dataclass(frozen=True, slots=True)
class ListingPage:
    """Keys with their records, and common prefixes, each in order.

    `owner` stands for records that name none; None leaves owners out.
    """

    objects: Sequence[Entry]
    prefixes: Sequence[str]
    truncated: bool
    owner: Owner | None


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """Keys with the record of a version or delete marker and whether it is the latest, in the order of the listing."""

    versions: Sequence[tuple[str, ObjectRecord, bool]]
    prefixes: Sequence[str]
    truncated: bool
    owner: Owner


def _encoder(query: ListingQuery) -> Callable[[str], str]:
    """Makes a key the content of an element."""
    return encode_key if query.url_encoded else escape


class _Owners(dict[Owner | None, str]):
    """The Owner element of each owner, written once; `fallback` stands for None, and None leaves owners out."""

    def __init__(self, fallback: Owner | None) -> None:
        self._fallback = fallback

    def __missing__(self, who: Owner | None) -> str:
        text = self[who] = owner("Owner", who or self._fallback) if self._fallback else ""
        return text


def _body(record: ObjectRecord, owners: _Owners) -> str:
    """What the entries of all listings say of an object behind its key."""
    checksum = record.checksum
    kinds = (
        f"<ChecksumAlgorithm>{checksum.algorithm}</ChecksumAlgorithm><ChecksumType>{checksum.type}</ChecksumType>"
        if checksum
        else ""
    )
    return (
        f"<LastModified>{iso_date(record.modified_ns)}</LastModified><ETag>&quot;{escape(record.etag)}&quot;</ETag>"
        f"{kinds}<Size>{record.size}</Size>{owners[record.owner]}"
        f"<StorageClass>{record.storage_class}</StorageClass>"
    )


def _contents(page: ListingPage, encode: Callable[[str], str]) -> Iterable[str]:
    owners = _Owners(page.owner)
    return [f"<Contents><Key>{encode(key)}</Key>{_body(record, owners)}</Contents>" for key, record in page.objects]


def _prefixes(page: ListingPage | VersionsPage, encode: Callable[[str], str]) -> Iterable[str]:
    return [f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in page.prefixes]


def _optional(name: str, value: str, encode: Callable[[str], str]) -> str:
    return f"<{name}>{encode(value)}</{name}>" if value else ""


def _echo(
    query: ListingQuery, page: ListingPage | VersionsPage, encode: Callable[[str], str], *, prefix: str = ""
) -> str:
    """What the answers of all listings tell of their request; `prefix` where it is not encoded like the rest."""
    return (
        f"{element('Name', query.bucket)}<Prefix>{prefix or encode(query.prefix)}</Prefix>"
        f"{_optional('Delimiter', query.delimiter, encode)}<MaxKeys>{query.max_keys}</MaxKeys>"
        f"{'<EncodingType>url</EncodingType>' if query.url_encoded else ''}"
        f"{element('IsTruncated', page.truncated)}"
    )


def list_bucket_result_v1(query: ListingQuery, page: ListingPage, *, marker: str, next_marker: str) -> bytes:
    """The answer of ListObjects; an empty `next_marker` is left out.

    Prefix is told as it was asked whatever the encoding type: botocore decodes it in ListObjectsV2 and not here, and
    ceph/s3-tests holds servers to that.
    """
    encode = _encoder(query)
    return document(
        "ListBucketResult",
        _echo(query, page, encode, prefix=escape(query.prefix)),
        f"<Marker>{encode(marker)}</Marker>",
        _optional("NextMarker", next_marker, encode),
        *_contents(page, encode),
        *_prefixes(page, encode),
    )


def list_bucket_result_v2(
    query: ListingQuery, page: ListingPage, *, token: str | None, next_token: str | None, start_after: str
) -> bytes:
    """The answer of ListObjectsV2; tokens are told as they are, whatever the encoding type."""
    encode = _encoder(query)
    return document(
        "ListBucketResult",
        _echo(query, page, encode),
        element("KeyCount", len(page.objects) + len(page.prefixes)),
        element("ContinuationToken", token),
        element("NextContinuationToken", next_token),
        _optional("StartAfter", start_after, encode),
        *_contents(page, encode),
        *_prefixes(page, encode),
    )


def _version(key: str, record: ObjectRecord, *, latest: bool, owners: _Owners) -> str:
    which = (
        f"<Key>{key}</Key><VersionId>{escape(record.version_id)}</VersionId>"
        f"<IsLatest>{'true' if latest else 'false'}</IsLatest>"
    )
    if not record.delete_marker:
        return f"<Version>{which}{_body(record, owners)}</Version>"
    modified = iso_date(record.modified_ns)
    return f"<DeleteMarker>{which}<LastModified>{modified}</LastModified>{owners[record.owner]}</DeleteMarker>"


def list_versions_result(
    query: ListingQuery,
    page: VersionsPage,
    *,
    markers: tuple[str, str],
    next_markers: tuple[str, str],
) -> bytes:
    """The answer of ListObjectVersions: versions and delete markers stand among one another.

    Markers are pairs of key and version id; those of `next_markers` are left out where they are empty.
    """
    encode = _encoder(query)
    owners = _Owners(page.owner)
    return document(
        "ListVersionsResult",
        _echo(query, page, encode),
        f"<KeyMarker>{encode(markers[0])}</KeyMarker>",
        element("VersionIdMarker", markers[1]),
        _optional("NextKeyMarker", next_markers[0], encode),
        _optional("NextVersionIdMarker", next_markers[1], escape),
        *(_version(encode(key), record, latest=latest, owners=owners) for key, record, latest in page.versions),
        *_prefixes(page, encode),
    )
