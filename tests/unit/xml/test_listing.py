"""Documents of listings."""

from __future__ import annotations

from s3gate.core.checksums import Checksum
from s3gate.core.values import ObjectRecord
from s3gate.xml.listing import (
    ListingPage,
    ListingQuery,
    VersionsPage,
    list_bucket_result_v1,
    list_bucket_result_v2,
    list_versions_result,
)
from support.operations import ALICE, BOB, tree

SECOND = 1_000_000_000
RECORD = ObjectRecord(
    "e", 3, 1_700_000_000 * SECOND, checksum=Checksum("CRC32", "AAAAAA=="), storage_class="STANDARD_IA"
)
PAGE = ListingPage([("a&b", RECORD)], ["p+q/"], True, ALICE)


def query(*, url: bool = False, prefix: str = "", delimiter: str = "") -> ListingQuery:
    return ListingQuery("bucket", prefix, delimiter, 7, url)


def test_an_entry_tells_all_that_a_listing_knows_of_an_object() -> None:
    root = tree(list_bucket_result_v1(query(), PAGE, marker="", next_marker=""))
    entry = root.find("Contents")
    assert entry is not None
    assert [(node.tag, node.text) for node in entry.iter() if not len(node)] == [
        ("Key", "a&b"),
        ("LastModified", "2023-11-14T22:13:20.000Z"),
        ("ETag", '"e"'),
        ("ChecksumAlgorithm", "CRC32"),
        ("ChecksumType", "FULL_OBJECT"),
        ("Size", "3"),
        ("ID", ALICE.id),
        ("DisplayName", "alice"),
        ("StorageClass", "STANDARD_IA"),
    ]
    assert root.findtext("CommonPrefixes/Prefix") == "p+q/"


def test_the_owner_of_an_object_is_told_before_that_of_the_bucket() -> None:
    page = ListingPage([("k", ObjectRecord("e", 0, 0, owner=BOB))], [], False, ALICE)
    root = tree(list_bucket_result_v1(query(), page, marker="", next_marker=""))
    assert root.findtext("Contents/Owner/ID") == BOB.id


def test_what_was_asked_for_is_told_again_encoded_where_that_is_asked_for() -> None:
    asked = query(url=True, prefix="x y", delimiter="+")
    root = tree(list_bucket_result_v1(asked, PAGE, marker="m\x01", next_marker="n%"))
    names = ("Name", "Prefix", "Delimiter", "MaxKeys", "EncodingType", "IsTruncated", "Marker", "NextMarker")
    assert [root.findtext(name) for name in names] == ["bucket", "x y", "%2B", "7", "url", "true", "m%01", "n%25"]
    assert root.findtext("Contents/Key") == "a%26b"
    assert root.findtext("CommonPrefixes/Prefix") == "p%2Bq/"


def test_an_empty_delimiter_is_not_told_but_an_empty_prefix_and_marker_are() -> None:
    root = tree(list_bucket_result_v1(query(), PAGE, marker="", next_marker=""))
    assert root.find("Delimiter") is None
    assert root.find("NextMarker") is None
    assert root.findtext("Prefix") == ""
    assert root.findtext("Marker") == ""


def test_the_second_version_counts_its_entries_and_tells_tokens_as_they_are() -> None:
    page = ListingPage(PAGE.objects, PAGE.prefixes, True, None)
    root = tree(list_bucket_result_v2(query(url=True), page, token="", next_token="t-_", start_after="a b"))
    names = ("KeyCount", "ContinuationToken", "NextContinuationToken", "StartAfter")
    assert [root.findtext(name) for name in names] == ["2", "", "t-_", "a%20b"]
    assert root.find("Contents/Owner") is None


def test_versions_and_delete_markers_stand_in_the_order_of_the_listing() -> None:
    marker = ObjectRecord("", 0, RECORD.modified_ns, version_id="2", delete_marker=True)
    page = VersionsPage([("k", marker, True), ("k", RECORD, False), ("l", RECORD, True)], ["p+q/"], True, ALICE)
    root = tree(list_versions_result(query(), page, markers=("k", "null"), next_markers=("n", "null")))
    names = ("KeyMarker", "VersionIdMarker", "NextKeyMarker", "NextVersionIdMarker", "CommonPrefixes/Prefix")
    assert [root.findtext(name) for name in names] == ["k", "null", "n", "null", "p+q/"]
    entries = [node for node in root if node.tag in ("Version", "DeleteMarker")]
    shown = [(node.tag, *(node.findtext(name) for name in ("Key", "VersionId", "IsLatest"))) for node in entries]
    assert shown == [
        ("DeleteMarker", "k", "2", "true"),
        ("Version", "k", "null", "false"),
        ("Version", "l", "null", "true"),
    ]
    assert [node.tag for node in entries[0]] == ["Key", "VersionId", "IsLatest", "LastModified", "Owner"]
    assert entries[1].findtext("ETag") == '"e"'


def test_the_keys_and_key_markers_of_versions_are_encoded_where_that_is_asked_for() -> None:
    page = VersionsPage([("a&b", RECORD, True)], [], True, ALICE)
    root = tree(list_versions_result(query(url=True), page, markers=("m ", "null"), next_markers=("n%", "null")))
    names = ("Version/Key", "KeyMarker", "NextKeyMarker", "NextVersionIdMarker")
    assert [root.findtext(name) for name in names] == ["a%26b", "m%20", "n%25", "null"]
