"""Conditions of reads, writes, deletes and completions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from support.gateway import Gateway
from support.raw_http import ask
from support.refused import refused
from support.signed import signed

WRONG = '"00000000000000000000000000000000"'


@pytest.fixture
def etag(s3: Any, bucket: str) -> str:
    tag: str = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]
    return tag


def test_reads_obey_entity_tags(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Key": "k"}
    for call, failed in ((s3.get_object, "PreconditionFailed"), (s3.head_object, "412")):
        assert call(**where, IfMatch=etag)["ETag"] == etag
        assert call(**where, IfMatch=etag.strip('"'))["ETag"] == etag
        assert call(**where, IfMatch="*")["ETag"] == etag
        assert call(**where, IfNoneMatch=WRONG)["ETag"] == etag
        assert refused(call, **where, IfMatch=WRONG) == (412, failed)
        assert refused(call, **where, IfNoneMatch=etag) == (304, "304")
        assert refused(call, **where, IfNoneMatch=f"{WRONG}, {etag}") == (304, "304")


def test_reads_obey_times(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Key": "k"}
    then = s3.head_object(**where)["LastModified"]
    earlier, later = then - timedelta(seconds=5), then + timedelta(seconds=5)

    assert s3.get_object(**where, IfModifiedSince=earlier)["ETag"] == etag
    assert s3.get_object(**where, IfUnmodifiedSince=then)["ETag"] == etag
    assert refused(s3.get_object, **where, IfModifiedSince=then) == (304, "304")
    assert refused(s3.get_object, **where, IfModifiedSince=later) == (304, "304")
    assert refused(s3.get_object, **where, IfUnmodifiedSince=earlier) == (412, "PreconditionFailed")


def test_entity_tags_win_over_times(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Key": "k"}
    then = s3.head_object(**where)["LastModified"]
    earlier = then - timedelta(seconds=5)

    assert s3.get_object(**where, IfMatch=etag, IfUnmodifiedSince=earlier)["ETag"] == etag
    assert refused(s3.get_object, **where, IfNoneMatch=etag, IfModifiedSince=earlier) == (304, "304")


def test_not_modified_has_the_entity_tag_and_no_body(gateway: Gateway, bucket: str, etag: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{bucket}/k", headers={"If-None-Match": etag}))

    assert (answer.status, answer.headers["etag"], answer.body) == (304, etag, b"")


def test_a_date_that_is_none_is_ignored(gateway: Gateway, bucket: str, etag: str):
    answer = ask(gateway, signed(gateway, "GET", f"/{bucket}/k", headers={"If-Modified-Since": "yesterday"}))

    assert (answer.status, answer.headers["etag"]) == (200, etag)


def test_a_put_if_none_match_stores_only_where_nothing_is(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Body": b"new", "IfNoneMatch": "*"}

    assert s3.put_object(Key="fresh", **where)["ETag"]
    assert refused(s3.put_object, Key="k", **where) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_a_put_if_match_replaces_just_that_object(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Body": b"new"}

    assert refused(s3.put_object, Key="k", IfMatch=WRONG, **where) == (412, "PreconditionFailed")
    assert refused(s3.put_object, Key="nothing", IfMatch=etag, **where) == (404, "NoSuchKey")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    s3.put_object(Key="k", IfMatch=etag, **where)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"
    assert "nothing" not in [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_a_delete_if_match_removes_just_that_object(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Key": "k"}

    assert refused(s3.delete_object, **where, IfMatch=WRONG) == (412, "PreconditionFailed")
    assert s3.head_object(**where)["ETag"] == etag
    s3.delete_object(**where, IfMatch=etag)
    assert refused(s3.head_object, **where) == (404, "404")


def test_a_completion_obeys_conditions(s3: Any, bucket: str, etag: str):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    complete = {**where, "UploadId": upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part}]}}

    assert refused(s3.complete_multipart_upload, **complete, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(s3.complete_multipart_upload, **complete, IfMatch=WRONG) == (412, "PreconditionFailed")
    assert s3.get_object(**where)["Body"].read() == b"old"
    s3.complete_multipart_upload(**complete, IfMatch=etag)
    assert s3.get_object(**where)["Body"].read() == b"part"


def test_of_many_that_create_an_object_at_once_one_wins(gateway: Gateway, bucket: str):
    def create(number: int) -> int:
        body = b"%d" % number
        return ask(gateway, signed(gateway, "PUT", f"/{bucket}/one", headers={"If-None-Match": "*"}, body=body)).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(create, range(24)))

    assert statuses.count(200) == 1
    assert set(statuses) == {200, 412}
    winner = ask(gateway, signed(gateway, "GET", f"/{bucket}/one")).body
    assert winner == b"%d" % statuses.index(200)


def test_a_counter_that_is_compared_and_swapped_loses_no_step(gateway: Gateway, bucket: str):
    target = f"/{bucket}/counter"
    ask(gateway, signed(gateway, "PUT", target, body=b"0"))

    def count(_: int) -> None:
        while True:
            seen = ask(gateway, signed(gateway, "GET", target))
            body = b"%d" % (int(seen.body) + 1)
            put = signed(gateway, "PUT", target, headers={"If-Match": seen.headers["etag"]}, body=body)
            if ask(gateway, put).status == 200:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(20)))

    assert ask(gateway, signed(gateway, "GET", target)).body == b"20"
