"""Tags as boto3 sees them, on two workers and a real directory."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def tag_set(**tags: str) -> dict[str, list[dict[str, str]]]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    found: str = caught.value.response["Error"]["Code"]
    return found


def test_tags_of_an_object_outlive_nothing_but_its_next_version(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&Z%C3%BCrich=%2B")
    before = s3.head_object(Bucket=bucket, Key="k")
    assert before["TagCount"] == 2
    found = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert found == [{"Key": "Z\u00fcrich", "Value": "+"}, {"Key": "a", "Value": "1"}]

    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(b="2"))
    after = s3.head_object(Bucket=bucket, Key="k")
    assert (after["TagCount"], after["LastModified"], after["ETag"]) == (1, before["LastModified"], before["ETag"])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"

    deleted = s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_every_version_has_tags_of_its_own(s3: Any, bucket: str):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    put = s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=first, Tagging=tag_set(b="2"))
    assert put["VersionId"] == first
    old = s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=first)
    assert (old["VersionId"], old["TagSet"]) == (first, tag_set(b="2")["TagSet"])
    new = s3.get_object_tagging(Bucket=bucket, Key="k")
    assert (new["VersionId"], new["TagSet"]) == (second, [])


def test_tags_go_along_with_a_copy_or_are_replaced(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="k", Tagging="a=1")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="other", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2")
    assert s3.get_object_tagging(Bucket=bucket, Key="same")["TagSet"] == tag_set(a="1")["TagSet"]
    assert s3.get_object_tagging(Bucket=bucket, Key="other")["TagSet"] == tag_set(b="2")["TagSet"]


def test_bad_tags_store_nothing(s3: Any, bucket: str):
    assert code(s3.put_object, Bucket=bucket, Key="k", Tagging="a=1&a=2") == "InvalidArgument"
    assert code(s3.put_object, Bucket=bucket, Key="k", Tagging="aws%3Aa=1") == "InvalidTag"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_bucket_has_tags_until_they_are_deleted(s3: Any, bucket: str):
    assert code(s3.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(Hello="World"))
    assert [s3.get_bucket_tagging(Bucket=bucket)["TagSet"] for _ in range(6)] == [tag_set(Hello="World")["TagSet"]] * 6
    s3.delete_bucket_tagging(Bucket=bucket)
    assert code(s3.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"
