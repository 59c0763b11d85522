"""DeleteObjects."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway
from support.raw_http import Answer, ask, refusal
from support.signed import signed
from support.snapshot import unchanged


def post(gateway: Gateway, bucket: str, document: bytes, **headers: str) -> Answer:
    md5 = {"Content-MD5": base64.b64encode(hashlib.md5(document).digest()).decode()}
    return ask(gateway, signed(gateway, "POST", f"/{bucket}?delete", headers={**md5, **headers}, body=document))


def test_a_thousand_objects_are_deleted_at_once(s3: Any, bucket: str, directory: Path):
    for number in range(1000):
        (directory / f"{number:04}").write_bytes(b"x")

    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{number:04}"} for number in range(1000)]})

    assert [item["Key"] for item in answer["Deleted"]] == [f"{number:04}" for number in range(1000)]
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_objects_that_are_not_there_count_as_deleted(s3: Any, bucket: str):
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b/c"}]})

    assert [item["Key"] for item in answer["Deleted"]] == ["a", "b/c"]


def test_quiet_tells_of_failures_only(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    objects = [{"Key": "a"}, {"Key": "b", "ETag": "wrong"}, {"Key": "k" * 1025}]

    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})

    assert "Deleted" not in answer
    assert {(item["Key"], item["Code"]) for item in answer["Errors"]} == {
        ("b", "PreconditionFailed"),
        ("k" * 1025, "KeyTooLongError"),
    }
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b"]


@pytest.mark.parametrize("key", ["a b", "a+b", "<&>\"'", "日本/語", "x/", "//y", "tab\there", "line\nfeed", ".."])
def test_keys_of_every_kind_are_deleted(s3: Any, bucket: str, key: str):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")

    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})

    assert [item["Key"] for item in answer["Deleted"]] == [key]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["other"]


def test_the_null_version_is_the_object(s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")

    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a", "VersionId": "null"}]})

    assert answer["Deleted"] == [{"Key": "a", "VersionId": "null"}]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_document_in_no_namespace_is_read(gateway: Gateway, s3: Any, bucket: str):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")

    answer = post(gateway, bucket, b"<Delete><Object><Key>a</Key></Object></Delete>")

    assert answer.status == 200
    assert b"<Deleted><Key>a</Key></Deleted>" in answer.body


def test_more_than_a_thousand_keys_are_refused(gateway: Gateway, s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="0", Body=b"x")
    objects = b"".join(b"<Object><Key>%d</Key></Object>" % number for number in range(1001))

    with unchanged(directory):
        assert refusal(post(gateway, bucket, b"<Delete>%b</Delete>" % objects)) == (400, "MalformedXML")


def test_a_document_that_was_damaged_deletes_nothing(gateway: Gateway, s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    other = base64.b64encode(hashlib.md5(b"another").digest()).decode()
    document = b"<Delete><Object><Key>a</Key></Object></Delete>"

    with unchanged(directory):
        headers = {"Content-MD5": other}
        request = signed(gateway, "POST", f"/{bucket}?delete", headers=headers, body=document)
        assert refusal(ask(gateway, request)) == (400, "BadDigest")
