"""GetObjectAttributes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3gate.core.checksums import Checksum
from s3gate.core.values import ObjectRecord, PartSpan
from support.operations import Bench, md5, texts, tree

ALL = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"


async def in_parts(bench: Bench, *, checksums: bool = True) -> None:
    await bench("PUT", "/b/k", body=b"data")
    spans = tuple(PartSpan(n, 5, f"sum{n}" if checksums else "") for n in range(1, 7))

    def change(record: ObjectRecord) -> ObjectRecord:
        return replace(record, parts=spans, checksum=Checksum("SHA256", "abc-6", "COMPOSITE"))

    await bench.storage.update_object(await bench.storage.find_bucket("b"), "k", change)


async def test_the_attributes_that_are_asked_for_are_told(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=b"data", x_amz_storage_class="ONEZONE_IA")
    result = await bench("GET", "/b/k", "attributes", x_amz_object_attributes=ALL)
    assert [node.tag for node in tree(result.document)] == ["ETag", "Checksum", "StorageClass", "ObjectSize"]
    assert (texts(result, "ETag"), texts(result, "ObjectSize")) == ([md5(b"data")], ["4"])
    assert texts(result, "StorageClass") == ["ONEZONE_IA"]
    assert len(texts(result, "Checksum/ChecksumCRC64NVME")) == 1
    assert "last-modified" in result.headers
    some = await bench("GET", "/b/k", "attributes", x_amz_object_attributes="ObjectSize, ETag")
    assert [node.tag for node in tree(some.document)] == ["ETag", "ObjectSize"]


async def test_parts_are_told_in_pages(bench: Bench) -> None:
    await in_parts(bench)
    headers = {"x_amz_object_attributes": ALL, "x_amz_max_parts": "1", "x_amz_part_number_marker": "3"}
    result = await bench("GET", "/b/k", "attributes", **headers)
    names = ("IsTruncated", "MaxParts", "NextPartNumberMarker", "PartNumberMarker", "PartsCount")
    assert [texts(result, f"ObjectParts/{name}") for name in names] == [["true"], ["1"], ["4"], ["3"], ["6"]]
    assert texts(result, "ObjectParts/Part/PartNumber") == ["4"]
    assert texts(result, "ObjectParts/Part/Size") == ["5"]
    assert texts(result, "ObjectParts/Part/ChecksumSHA256") == ["sum4"]
    headers |= {"x_amz_max_parts": "10", "x_amz_part_number_marker": "4"}
    result = await bench("GET", "/b/k", "attributes", **headers)
    assert texts(result, "ObjectParts/Part/PartNumber") == ["5", "6"]
    assert texts(result, "ObjectParts/IsTruncated") == ["false"]


async def test_parts_without_checksums_are_only_counted(bench: Bench) -> None:
    await in_parts(bench, checksums=False)
    result = await bench("GET", "/b/k", "attributes", x_amz_object_attributes="ObjectParts")
    assert (texts(result, "ObjectParts/PartsCount"), texts(result, "ObjectParts/Part")) == (["6"], [])


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "InvalidRequest"),
        ({"x_amz_object_attributes": ""}, "InvalidArgument"),
        ({"x_amz_object_attributes": "ETag,Colour"}, "InvalidArgument"),
        ({"x_amz_object_attributes": ALL, "x_amz_max_parts": "-1"}, "InvalidArgument"),
    ],
)
async def test_what_cannot_be_asked_is_refused(bench: Bench, headers: dict[str, str], code: str) -> None:
    await bench("PUT", "/b/k")
    assert (await bench.fails("GET", "/b/k", "attributes", **headers)).code == code


async def test_attributes_take_the_right_to_read_the_object(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    bench.denied = frozenset({("s3:GetObject", "k")})
    assert (await bench.fails("GET", "/b/k", "attributes", x_amz_object_attributes=ALL)).code == "AccessDenied"


async def test_an_object_or_version_that_is_not_there_has_no_attributes(bench: Bench) -> None:
    assert (await bench.fails("GET", "/b/k", "attributes", x_amz_object_attributes=ALL)).code == "NoSuchKey"
    query = "attributes&versionId=0123456789abcdef01234567"
    assert (await bench.fails("GET", "/b/k", query, x_amz_object_attributes=ALL)).code == "NoSuchVersion"
