"""Buckets themselves: made, adopted, listed, located and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.gateway import REGION, Gateway
from support.raw_http import ask, refusal
from support.refused import refused
from support.signed import signed


def test_a_bucket_is_a_directory_and_is_there_until_it_is_deleted(gateway: Gateway, s3: Any, new_name: str):
    made = s3.create_bucket(Bucket=new_name)
    head = s3.head_bucket(Bucket=new_name)

    assert made["Location"] == f"/{new_name}"
    assert head["BucketRegion"] == REGION
    assert (gateway.root / new_name).is_dir()
    assert s3.delete_bucket(Bucket=new_name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert not (gateway.root / new_name).exists()
    assert refused(s3.head_bucket, Bucket=new_name) == (404, "404")
    assert refused(s3.delete_bucket, Bucket=new_name) == (404, "NoSuchBucket")


def test_the_owner_may_make_a_bucket_again_and_loses_nothing(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")

    s3.create_bucket(Bucket=bucket)

    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"x"


def test_a_directory_that_is_there_is_adopted_with_its_files(gateway: Gateway, s3: Any, new_name: str):
    (gateway.root / new_name / "sub").mkdir(parents=True)
    (gateway.root / new_name / "sub/file.txt").write_bytes(b"from before")

    s3.create_bucket(Bucket=new_name)

    assert s3.get_object(Bucket=new_name, Key="sub/file.txt")["Body"].read() == b"from before"
    s3.put_object(Bucket=new_name, Key="new", Body=b"later")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=new_name)["Contents"]] == ["new", "sub/file.txt"]


def test_a_directory_is_a_bucket_without_being_made_one(gateway: Gateway, s3: Any, new_name: str):
    (gateway.root / new_name).mkdir()
    (gateway.root / new_name / "file").write_bytes(b"there")

    assert new_name in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    assert s3.get_object(Bucket=new_name, Key="file")["Body"].read() == b"there"


@pytest.mark.parametrize("relaxed", ["Photos_2024", "UPPER.Case-Name", "a" * 100])
def test_a_directory_under_a_relaxed_name_is_served_as_it_stands(gateway: Gateway, s3: Any, relaxed: str):
    (gateway.root / relaxed).mkdir()
    (gateway.root / relaxed / "picture").write_bytes(b"there")
    try:
        assert relaxed in [item["Name"] for item in s3.list_buckets()["Buckets"]]
        assert ask(gateway, signed(gateway, "HEAD", f"/{relaxed}")).status == 200
        s3_object = ask(gateway, signed(gateway, "GET", f"/{relaxed}/picture"))
        assert s3_object.body == b"there"
        assert ask(gateway, signed(gateway, "PUT", f"/{relaxed}/new", body=b"x")).status == 200
        assert (gateway.root / relaxed / "new").read_bytes() == b"x"
        assert ask(gateway, signed(gateway, "GET", f"/{relaxed}?list-type=2")).body.count(b"<Key>") == 2
    finally:
        (gateway.root / relaxed / "picture").unlink()
        (gateway.root / relaxed / "new").unlink(missing_ok=True)
        s3_delete = ask(gateway, signed(gateway, "DELETE", f"/{relaxed}"))
    assert s3_delete.status == 204


def test_a_bucket_that_holds_an_object_is_not_deleted(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")

    assert refused(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    assert (directory / "a/b").read_bytes() == b"x"


def test_a_bucket_with_an_upload_under_way_can_be_deleted(s3: Any, bucket: str):
    s3.create_multipart_upload(Bucket=bucket, Key="k")

    s3.delete_bucket(Bucket=bucket)

    assert refused(s3.head_bucket, Bucket=bucket) == (404, "404")


def test_buckets_are_listed_by_name_with_their_owner(s3: Any, new_name: str):
    names = [f"{new_name}-{letter}" for letter in "cab"]
    for each in names:
        s3.create_bucket(Bucket=each)

    answer = s3.list_buckets()

    listed = [item["Name"] for item in answer["Buckets"]]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)
    assert answer["Owner"]["ID"]
    assert "BucketRegion" not in answer["Buckets"][0]


def test_buckets_are_listed_by_prefix_and_page(s3: Any, new_name: str):
    names = [f"{new_name}-page-{number}" for number in range(5)]
    for each in names:
        s3.create_bucket(Bucket=each)

    pages = list(
        s3.get_paginator("list_buckets").paginate(Prefix=f"{new_name}-page-", PaginationConfig={"PageSize": 2})
    )

    assert [[item["Name"] for item in page["Buckets"]] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert [("ContinuationToken" in page, page["Prefix"]) for page in pages] == [
        (True, f"{new_name}-page-"),
        (True, f"{new_name}-page-"),
        (False, f"{new_name}-page-"),
    ]
    assert {item["BucketRegion"] for page in pages for item in page["Buckets"]} == {REGION}


def test_buckets_are_listed_by_region(s3: Any, bucket: str):
    here = s3.list_buckets(BucketRegion=REGION, Prefix=bucket)
    elsewhere = s3.list_buckets(BucketRegion="eu-west-1", Prefix=bucket)

    assert [item["Name"] for item in here["Buckets"]] == [bucket]
    assert elsewhere["Buckets"] == []


@pytest.mark.parametrize("number", ["0", "10001", "-1", "many"])
def test_a_page_of_buckets_has_one_to_ten_thousand(gateway: Gateway, number: str):
    assert refusal(ask(gateway, signed(gateway, "GET", f"/?max-buckets={number}"))) == (400, "InvalidArgument")


def test_a_bucket_tells_its_location(s3: Any, bucket: str):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


@pytest.mark.parametrize(
    ("constraint", "code"),
    [("eu-west-1", "IllegalLocationConstraintException"), ("nowhere", "InvalidLocationConstraint")],
)
def test_a_bucket_elsewhere_is_not_made_here(gateway: Gateway, s3: Any, new_name: str, constraint: str, code: str):
    configuration = {"LocationConstraint": constraint}

    assert refused(s3.create_bucket, Bucket=new_name, CreateBucketConfiguration=configuration) == (400, code)
    assert not (gateway.root / new_name).exists()


def test_the_name_of_a_bucket_that_is_gone_can_be_taken_again(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="old", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="old")
    s3.delete_bucket(Bucket=bucket)

    s3.create_bucket(Bucket=bucket)

    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_operations_on_a_bucket_that_is_not_there_say_so(s3: Any, new_name: str):
    for call, arguments in [
        (s3.list_objects_v2, {}),
        (s3.list_objects, {}),
        (s3.get_bucket_location, {}),
        (s3.list_multipart_uploads, {}),
        (s3.get_object, {"Key": "k"}),
        (s3.put_object, {"Key": "k", "Body": b"x"}),
        (s3.delete_object, {"Key": "k"}),
        (s3.delete_objects, {"Delete": {"Objects": [{"Key": "k"}]}}),
        (s3.create_multipart_upload, {"Key": "k"}),
    ]:
        assert refused(call, Bucket=new_name, **arguments) == (404, "NoSuchBucket"), call


def test_the_owner_named_in_a_request_must_be_the_owner(s3: Any, bucket: str):
    owner = s3.list_buckets()["Owner"]["ID"]

    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
    assert refused(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="1" * 12) == (403, "AccessDenied")
