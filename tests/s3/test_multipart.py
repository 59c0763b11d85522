"""Uploads in parts, from their beginning to their end."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import ask
from support.refused import refused
from support.signed import signed
from support.snapshot import unchanged

FIVE = 5 * MIB


class Upload:
    """An upload under way by its client."""

    def __init__(self, s3: Any, bucket: str, key: str = "folder/object", **arguments: Any) -> None:
        self.s3 = s3
        self.where = {"Bucket": bucket, "Key": key}
        self.id = s3.create_multipart_upload(**self.where, **arguments)["UploadId"]

    def put(self, number: int, body: bytes, **arguments: Any) -> dict[str, Any]:
        answer = self.s3.upload_part(**self.where, UploadId=self.id, PartNumber=number, Body=body, **arguments)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def copy(self, number: int, source: dict[str, str], **arguments: Any) -> dict[str, Any]:
        answer = self.s3.upload_part_copy(
            **self.where, UploadId=self.id, PartNumber=number, CopySource=source, **arguments
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def complete(self, *parts: dict[str, Any], **arguments: Any) -> Any:
        return self.s3.complete_multipart_upload(
            **self.where, UploadId=self.id, MultipartUpload={"Parts": list(parts)}, **arguments
        )

    @property
    def numbers(self) -> list[int]:
        answer = self.s3.list_parts(**self.where, UploadId=self.id)
        return [part["PartNumber"] for part in answer.get("Parts", [])]


def etag_of(*pieces: bytes) -> str:
    digests = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(pieces)}"'


def test_parts_become_one_object_in_the_order_of_their_numbers(gateway: Gateway, s3: Any, bucket: str, directory: Path):
    upload = Upload(s3, bucket, Metadata={"colour": "blue"}, ContentType="text/plain", StorageClass="STANDARD_IA")
    tail, first, second = payload(10, 3), payload(FIVE, 1), payload(FIVE + 1, 2)
    late, a, b = upload.put(7, tail), upload.put(1, first), upload.put(3, second)

    answer = upload.complete(a, b, late)

    got = s3.get_object(**upload.where)
    content = first + second + tail
    assert got["Body"].read() == content
    assert (got["Metadata"], got["ContentType"], got["StorageClass"]) == (
        {"colour": "blue"},
        "text/plain",
        "STANDARD_IA",
    )
    assert got["ETag"] == answer["ETag"] == etag_of(first, second, tail)
    assert answer["Location"] == f"{gateway.endpoint}/{bucket}/folder/object"
    assert (answer["Bucket"], answer["Key"]) == (bucket, "folder/object")
    assert (directory / "folder/object").read_bytes() == content
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_nothing_is_seen_of_an_upload_before_it_is_complete(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="folder/object", Body=b"old")
    upload = Upload(s3, bucket)
    part = upload.put(1, b"new")

    assert s3.get_object(**upload.where)["Body"].read() == b"old"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["folder/object"]
    assert [path.name for path in directory.iterdir() if path.name != ".s3gate"] == ["folder"]
    upload.complete(part)
    assert s3.get_object(**upload.where)["Body"].read() == b"new"


def test_a_part_that_is_put_again_counts_as_put_last(s3: Any, bucket: str):
    upload = Upload(s3, bucket)
    old = upload.put(1, b"old")
    new = upload.put(1, b"new")

    with pytest.raises(ClientError) as caught:
        upload.complete(old)
    assert caught.value.response["Error"]["Code"] == "InvalidPart"
    upload.complete(new)
    assert s3.get_object(**upload.where)["Body"].read() == b"new"


def test_parts_that_are_not_named_are_left_out(s3: Any, bucket: str):
    upload = Upload(s3, bucket)
    upload.put(1, payload(FIVE))
    kept = upload.put(2, b"kept")

    upload.complete(kept)

    assert s3.get_object(**upload.where)["Body"].read() == b"kept"


def test_an_empty_part_makes_an_empty_object(s3: Any, bucket: str):
    upload = Upload(s3, bucket)

    upload.complete(upload.put(1, b""))

    assert s3.head_object(**upload.where)["ContentLength"] == 0


def test_an_aborted_upload_is_gone_with_its_parts(s3: Any, bucket: str, directory: Path):
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    with unchanged(directory):
        upload = Upload(s3, bucket)
        part = upload.put(1, payload(100_000))
        s3.abort_multipart_upload(**upload.where, UploadId=upload.id)

    assert refused(s3.list_parts, **upload.where, UploadId=upload.id) == (404, "NoSuchUpload")
    again = {**upload.where, "UploadId": upload.id}
    assert refused(s3.abort_multipart_upload, **again) == (404, "NoSuchUpload")
    assert refused(s3.upload_part, **again, PartNumber=1, Body=b"x") == (404, "NoSuchUpload")
    assert refused(s3.complete_multipart_upload, **again, MultipartUpload={"Parts": [part]}) == (404, "NoSuchUpload")


def test_a_completion_that_is_asked_for_again_is_answered_again(s3: Any, bucket: str):
    upload = Upload(s3, bucket)
    part = upload.put(1, b"content")

    first, second = upload.complete(part), upload.complete(part)

    assert first["ETag"] == second["ETag"]
    s3.put_object(**upload.where, Body=b"newer")
    assert upload.complete(part)["ETag"] == first["ETag"]
    assert s3.get_object(**upload.where)["Body"].read() == b"newer"
    s3.delete_object(**upload.where)
    assert upload.complete(part)["ETag"] == first["ETag"]
    arguments = {**upload.where, "UploadId": upload.id, "MultipartUpload": {"Parts": [{**part, "PartNumber": 2}]}}
    assert refused(s3.complete_multipart_upload, **arguments) == (404, "NoSuchUpload")
    assert refused(s3.get_object, **upload.where) == (404, "NoSuchKey")


def test_uploads_to_one_key_do_not_disturb_each_other(s3: Any, bucket: str):
    one, two = Upload(s3, bucket), Upload(s3, bucket)
    part_one, part_two = one.put(1, b"one"), two.put(1, b"two")

    assert one.id != two.id
    two.complete(part_two)
    assert s3.get_object(**one.where)["Body"].read() == b"two"
    one.complete(part_one)
    assert s3.get_object(**one.where)["Body"].read() == b"one"


def test_an_upload_is_of_its_key_alone(s3: Any, bucket: str):
    upload = Upload(s3, bucket)
    elsewhere = {"Bucket": bucket, "Key": "another", "UploadId": upload.id}

    assert refused(s3.upload_part, **elsewhere, PartNumber=1, Body=b"x") == (404, "NoSuchUpload")
    assert refused(s3.abort_multipart_upload, **elsewhere) == (404, "NoSuchUpload")
    assert upload.numbers == []


def test_parts_are_copied_whole_and_by_range(s3: Any, bucket: str):
    content = payload(6 * MIB)
    s3.put_object(Bucket=bucket, Key="from +ü", Body=content)
    source = {"Bucket": bucket, "Key": "from +ü"}
    upload = Upload(s3, bucket)

    parts = [
        upload.copy(1, source),
        upload.copy(2, source, CopySourceRange=f"bytes=7-{FIVE + 6}"),
        upload.copy(3, source, CopySourceRange="bytes=0-0"),
    ]
    upload.complete(*parts)

    assert s3.get_object(**upload.where)["Body"].read() == content + content[7 : FIVE + 7] + content[:1]
    assert parts[2]["ETag"] == f'"{hashlib.md5(content[:1]).hexdigest()}"'


def test_a_copied_part_obeys_the_conditions_of_its_source(s3: Any, bucket: str):
    etag = s3.put_object(Bucket=bucket, Key="from", Body=b"content")["ETag"]
    source = {"Bucket": bucket, "Key": "from"}
    upload = Upload(s3, bucket)
    arguments = {**upload.where, "UploadId": upload.id, "PartNumber": 1, "CopySource": source}

    assert refused(s3.upload_part_copy, **arguments, CopySourceIfNoneMatch=etag) == (412, "PreconditionFailed")
    assert refused(s3.upload_part_copy, **arguments, CopySourceIfMatch='"0"') == (412, "PreconditionFailed")
    assert upload.numbers == []
    upload.copy(1, source, CopySourceIfMatch=etag)
    assert upload.numbers == [1]


BAD_RANGE = (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("bytes=0-7", (416, "InvalidRange")),
        ("bytes=7-8", (416, "InvalidRange")),
        ("bytes=5-2", BAD_RANGE),
        ("bytes=3-", BAD_RANGE),
        ("bytes=-3", BAD_RANGE),
        ("0-3", BAD_RANGE),
        ("bytes=0-1,3-4", BAD_RANGE),
        ("bytes=a-b", BAD_RANGE),
    ],
)
def test_a_range_that_is_not_within_the_source_is_refused(s3: Any, bucket: str, span: str, expected: tuple[int, str]):
    s3.put_object(Bucket=bucket, Key="from", Body=b"content")
    upload = Upload(s3, bucket)
    arguments = {**upload.where, "UploadId": upload.id, "PartNumber": 1, "CopySource": f"{bucket}/from"}

    assert refused(s3.upload_part_copy, **arguments, CopySourceRange=span) == expected
    assert upload.numbers == []


def test_parts_are_listed_in_pages(s3: Any, bucket: str):
    upload = Upload(s3, bucket, StorageClass="STANDARD_IA")
    bodies = {number: b"x" * number for number in (1, 2, 5, 9, 10_000 // 2)}
    for number, body in reversed(bodies.items()):
        upload.put(number, body)

    pages = list(
        s3.get_paginator("list_parts").paginate(**upload.where, UploadId=upload.id, PaginationConfig={"PageSize": 2})
    )

    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [[1, 2], [5, 9], [5000]]
    assert [(page["IsTruncated"], page["MaxParts"], page["PartNumberMarker"]) for page in pages] == [
        (True, 2, 0),
        (True, 2, 2),
        (False, 2, 9),
    ]
    for part in (part for page in pages for part in page["Parts"]):
        body = bodies[part["PartNumber"]]
        assert (part["Size"], part["ETag"]) == (len(body), f'"{hashlib.md5(body).hexdigest()}"')
    me = s3.list_buckets()["Owner"]
    assert (pages[0]["Initiator"]["ID"], pages[0]["Owner"], pages[0]["StorageClass"]) == (me["ID"], me, "STANDARD_IA")


def test_uploads_are_listed_in_pages_by_key_and_then_by_age(s3: Any, bucket: str):
    keys = ["b", "a", "b", "c/1", "c/2", "b", "d"]
    uploads = [Upload(s3, bucket, key) for key in keys]
    expected = sorted(((upload.where["Key"], upload.id) for upload in uploads), key=lambda pair: pair[0])

    for size in (1, 2, 3, 100):
        paginator = s3.get_paginator("list_multipart_uploads")
        pages = list(paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
        found = [(each["Key"], each["UploadId"]) for page in pages for each in page["Uploads"]]
        assert found == expected
        assert all(len(page["Uploads"]) == size for page in pages[:-1])


def test_uploads_are_rolled_up_by_delimiter_and_found_by_prefix(s3: Any, bucket: str):
    for key in ("a", "c/1", "c/2", "c/d/3", "e/4"):
        Upload(s3, bucket, key)

    top = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    below = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", Prefix="c/")
    behind = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", KeyMarker="c/")

    assert [each["Key"] for each in top["Uploads"]] == ["a"]
    assert [each["Prefix"] for each in top["CommonPrefixes"]] == ["c/", "e/"]
    assert [each["Key"] for each in below["Uploads"]] == ["c/1", "c/2"]
    assert [each["Prefix"] for each in below["CommonPrefixes"]] == ["c/d/"]
    assert [each["Prefix"] for each in behind["CommonPrefixes"]] == ["e/"]


def test_an_upload_marker_goes_on_within_a_key(s3: Any, bucket: str):
    ids = [Upload(s3, bucket, "k").id for _ in range(3)]

    after = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="k", UploadIdMarker=ids[0])
    behind = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="k")

    assert [each["UploadId"] for each in after["Uploads"]] == ids[1:]
    assert "Uploads" not in behind


def test_ten_thousand_is_the_last_part_number(s3: Any, bucket: str):
    upload = Upload(s3, bucket)

    upload.complete(upload.put(10_000, b"last"))

    assert s3.get_object(**upload.where, PartNumber=10_000)["Body"].read() == b"last"


def test_the_location_is_the_address_that_the_client_used(gateway: Gateway, s3: Any, bucket: str):
    upload = Upload(s3, bucket, "ü+k")
    etag = upload.put(1, b"x")["ETag"]
    document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    host = f"{bucket}.localhost:{gateway.port}"
    request = signed(
        gateway,
        "POST",
        f"/%C3%BC%2Bk?uploadId={upload.id}",
        headers={"Host": host},
        body=f"{document}</CompleteMultipartUpload>".encode(),
    )

    answer = ask(gateway, request)

    assert answer.status == 200
    assert f"<Location>http://{host}/%C3%BC%2Bk</Location>".encode() in answer.body
