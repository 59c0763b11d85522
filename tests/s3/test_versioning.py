"""Versions as boto3 sees them, on two workers and a real directory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    """A bucket with versioning enabled."""
    set_versioning(s3, bucket, "Enabled")
    return bucket


def set_versioning(s3: Any, bucket: str, status: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3: Any, bucket: str, key: str, *contents: bytes) -> list[str]:
    return [s3.put_object(Bucket=bucket, Key=key, Body=data)["VersionId"] for data in contents]


def read(s3: Any, bucket: str, key: str, **version: str) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()
    return data


def refused(call: Any, **arguments: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value


def test_every_worker_hears_of_the_state_at_once(s3: Any, bucket: str):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended", "Enabled"):
        set_versioning(s3, bucket, status)
        assert {s3.get_bucket_versioning(Bucket=bucket)["Status"] for _ in range(10)} == {status}


def test_versions_are_read_listed_and_removed_and_the_file_is_the_current_one(s3: Any, versioned: str, directory: Path):
    ids = put(s3, versioned, "dir/k", b"1", b"22", b"333")
    assert [read(s3, versioned, "dir/k", VersionId=version) for version in ids] == [b"1", b"22", b"333"]
    assert (directory / "dir/k").read_bytes() == b"333"
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [(item["VersionId"], item["Size"], item["IsLatest"]) for item in listed] == [
        (ids[2], 3, True),
        (ids[1], 2, False),
        (ids[0], 1, False),
    ]
    s3.delete_object(Bucket=versioned, Key="dir/k", VersionId=ids[2])
    assert (directory / "dir/k").read_bytes() == read(s3, versioned, "dir/k") == b"22"


def test_a_delete_marker_hides_an_object_and_names_itself(s3: Any, versioned: str, directory: Path):
    put(s3, versioned, "k", b"1")
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert gone["DeleteMarker"] is True
    assert not (directory / "k").exists()
    headers = refused(s3.head_object, Bucket=versioned, Key="k").response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", gone["VersionId"])
    error = refused(s3.get_object, Bucket=versioned, Key="k", VersionId=gone["VersionId"]).response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("MethodNotAllowed", 405)
    assert "last-modified" in error["ResponseMetadata"]["HTTPHeaders"]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
    assert read(s3, versioned, "k") == b"1"


def test_a_file_from_before_versioning_stays_as_the_version_null(s3: Any, bucket: str, directory: Path):
    (directory / "k").write_bytes(b"from outside")
    set_versioning(s3, bucket, "Enabled")
    put(s3, bucket, "k", b"new")
    assert read(s3, bucket, "k", VersionId="null") == b"from outside"
    assert [item["VersionId"] for item in s3.list_object_versions(Bucket=bucket)["Versions"]][1:] == ["null"]


def test_a_suspended_bucket_keeps_one_version_null(s3: Any, versioned: str):
    (first,) = put(s3, versioned, "k", b"1")
    set_versioning(s3, versioned, "Suspended")
    for data in (b"2", b"3"):
        assert "VersionId" not in s3.put_object(Bucket=versioned, Key="k", Body=data)
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == "null"
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [(item["VersionId"], item["IsLatest"]) for item in listed] == [("null", True), (first, False)]
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert (gone["VersionId"], gone["DeleteMarker"]) == ("null", True)


def test_an_old_version_is_restored_by_copying_it_onto_its_key(s3: Any, versioned: str):
    first, _ = put(s3, versioned, "k", b"1", b"2")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert read(s3, versioned, "k", VersionId=copied["VersionId"]) == read(s3, versioned, "k") == b"1"
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 3


def test_metadata_that_is_replaced_in_a_versioned_bucket_leaves_the_old_version(s3: Any, versioned: str):
    (first,) = put(s3, versioned, "k", b"1")
    source = {"Bucket": versioned, "Key": "k"}
    s3.copy_object(
        Bucket=versioned, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"colour": "red"}
    )
    assert s3.head_object(Bucket=versioned, Key="k")["Metadata"] == {"colour": "red"}
    assert s3.head_object(Bucket=versioned, Key="k", VersionId=first)["Metadata"] == {}


def test_an_upload_in_parts_makes_a_version(s3: Any, versioned: str):
    (first,) = put(s3, versioned, "k", b"1")
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k", Tagging="a=1")["UploadId"]
    part = {"Bucket": versioned, "Key": "k", "UploadId": upload, "PartNumber": 1}
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.upload_part_copy(**part, CopySource=source)
    assert copied["CopySourceVersionId"] == first
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    done = s3.complete_multipart_upload(Bucket=versioned, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    head = s3.head_object(Bucket=versioned, Key="k", VersionId=done["VersionId"])
    assert (head["ContentLength"], head["TagCount"]) == (1, 1)


def test_a_listing_of_versions_goes_on_page_by_page_and_cleans_up(s3: Any, versioned: str):
    for key in ("a", "a/b", "a b", "a+b"):
        put(s3, versioned, key, b"1", b"2")
        s3.delete_object(Bucket=versioned, Key=key)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": 2})
    seen = [item for page in pages for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])]
    assert sorted({item["Key"] for item in seen}) == ["a", "a b", "a+b", "a/b"]
    assert len({(item["Key"], item["VersionId"]) for item in seen}) == len(seen) == 12

    named = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in seen]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": named})
    assert sum(item.get("DeleteMarker", False) for item in answer["Deleted"]) == 4
    assert "Errors" not in answer
    s3.delete_bucket(Bucket=versioned)


def test_a_bucket_with_versions_alone_is_not_empty(s3: Any, versioned: str):
    put(s3, versioned, "k", b"1")
    s3.delete_object(Bucket=versioned, Key="k")
    assert refused(s3.delete_bucket, Bucket=versioned).response["Error"]["Code"] == "BucketNotEmpty"


def test_writers_at_the_same_time_make_a_version_each(s3: Any, versioned: str):
    bodies = [b"%d" % number for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda body: put(s3, versioned, "k", body)[0], bodies))
    assert len(set(ids)) == len(bodies)
    assert [read(s3, versioned, "k", VersionId=version) for version in ids] == bodies
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert {item["VersionId"] for item in listed} == set(ids)
    assert read(s3, versioned, "k") == bodies[ids.index(listed[0]["VersionId"])]


@pytest.mark.parametrize("version", ["x", "0" * 23, "0" * 25, "G" * 24])
def test_a_text_that_is_no_version_id_is_an_invalid_argument(s3: Any, bucket: str, version: str):
    error = refused(s3.get_object, Bucket=bucket, Key="k", VersionId=version).response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidArgument", "Invalid version id specified")
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("versionId", version)
