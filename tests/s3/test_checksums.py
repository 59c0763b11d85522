"""Checksums of every algorithm: verified on their way in, kept, and told on request."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from awscrt import checksums as crt

from support.files import MIB, payload
from support.gateway import Gateway
from support.raw_http import Answer, Request, ask, refusal
from support.refused import refused
from support.signed import put_in_chunks, signed
from support.snapshot import unchanged

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
Digest = Callable[[bytes], bytes]
DIGESTS: dict[str, Digest] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
CONTENT = payload(150_000)


def value_of(name: str, data: bytes) -> str:
    return base64.b64encode(DIGESTS[name](data)).decode()


def header_of(name: str) -> str:
    return f"x-amz-checksum-{name.lower()}"


def told(gateway: Gateway, target: str) -> dict[str, str]:
    """What HEAD tells of checksums when asked."""
    answer = ask(gateway, signed(gateway, "HEAD", target, headers={"x-amz-checksum-mode": "ENABLED"}))
    return {name: value for name, value in answer.headers.items() if name.startswith("x-amz-checksum-")}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_checksum_in_a_header_is_verified_and_kept(gateway: Gateway, s3: Any, bucket: str, name: str):
    value = value_of(name, CONTENT)

    put = s3.put_object(Bucket=bucket, Key="k", Body=CONTENT, **{f"Checksum{name}": value})

    assert put[f"Checksum{name}"] == value
    assert put["ChecksumType"] == "FULL_OBJECT"
    assert told(gateway, f"/{bucket}/k") == {header_of(name): value, "x-amz-checksum-type": "FULL_OBJECT"}
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got[f"Checksum{name}"], got["Body"].read()) == (value, CONTENT)


@pytest.mark.parametrize("name", DIGESTS)
def test_the_clients_own_checksum_is_the_one_that_is_kept(s3: Any, bucket: str, name: str):
    s3.put_object(Bucket=bucket, Key="k", Body=CONTENT, ChecksumAlgorithm=name)

    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[f"Checksum{name}"] == value_of(name, CONTENT)
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [name]


@pytest.mark.parametrize("name", DIGESTS)
def test_a_wrong_checksum_in_a_header_stores_nothing(s3: Any, bucket: str, directory: Path, name: str):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    with unchanged(directory):
        wrong = {f"Checksum{name}": value_of(name, b"another")}
        assert refused(s3.put_object, Bucket=bucket, Key="k", Body=CONTENT, **wrong) == (400, "BadDigest")


@pytest.mark.parametrize("transfer", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("content", [UNSIGNED_TRAILER, SIGNED_TRAILER])
@pytest.mark.parametrize("name", DIGESTS)
def test_a_checksum_in_a_trailer_is_verified_and_kept(
    gateway: Gateway, s3: Any, bucket: str, name: str, content: str, transfer: bool
):
    value = value_of(name, CONTENT)
    request = put_in_chunks(
        gateway,
        f"/{bucket}/k",
        [CONTENT[:65_536], CONTENT[65_536:131_072], CONTENT[131_072:]],
        content=content,
        trailers={header_of(name): value},
        transfer=transfer,
    )

    answer = ask(gateway, request)

    assert answer.status == 200
    assert answer.headers[header_of(name)] == value
    assert told(gateway, f"/{bucket}/k") == {header_of(name): value, "x-amz-checksum-type": "FULL_OBJECT"}
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == CONTENT
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("transfer", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("content", [UNSIGNED_TRAILER, SIGNED_TRAILER])
@pytest.mark.parametrize("name", DIGESTS)
def test_a_wrong_checksum_in_a_trailer_stores_nothing(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, name: str, content: str, transfer: bool
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    trailers = {header_of(name): value_of(name, b"another")}
    request = put_in_chunks(gateway, f"/{bucket}/k", [CONTENT], content=content, trailers=trailers, transfer=transfer)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == (400, "BadDigest")


def _put(gateway: Gateway, bucket: str, headers: dict[str, str]) -> Answer:
    return ask(gateway, signed(gateway, "PUT", f"/{bucket}/k", headers=headers, body=CONTENT))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-amz-checksum-crc32": "not base64"}, (400, "BadDigest")),
        ({"x-amz-checksum-crc32": value_of("SHA1", CONTENT)}, (400, "BadDigest")),
        ({"x-amz-checksum-crc32": ""}, (400, "BadDigest")),
        (
            {"x-amz-checksum-crc32": value_of("CRC32", CONTENT), "x-amz-checksum-sha1": value_of("SHA1", CONTENT)},
            (400, "InvalidRequest"),
        ),
        ({"x-amz-sdk-checksum-algorithm": "SHA1"}, (400, "InvalidRequest")),
        (
            {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": value_of("CRC32", CONTENT)},
            (400, "InvalidRequest"),
        ),
        ({"x-amz-checksum-algorithm": "ROT13"}, (400, "InvalidRequest")),
        ({"x-amz-checksum-rot13": "AAAA"}, (501, "NotImplemented")),
        ({"Content-MD5": "not base64"}, (400, "InvalidDigest")),
        ({"Content-MD5": "AAAA"}, (400, "InvalidDigest")),
        ({"Content-MD5": ""}, (400, "InvalidDigest")),
        ({"Content-MD5": base64.b64encode(hashlib.md5(b"another").digest()).decode()}, (400, "BadDigest")),
    ],
)
def test_checksums_that_cannot_be_right_are_refused(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, headers: dict[str, str], expected: tuple[int, str]
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    with unchanged(directory):
        assert refusal(_put(gateway, bucket, headers)) == expected


def test_a_right_content_md5_is_taken(gateway: Gateway, s3: Any, bucket: str):
    md5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()

    assert _put(gateway, bucket, {"Content-MD5": md5}).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == CONTENT


def test_an_object_whose_client_sent_no_checksum_has_one_of_the_service(gateway: Gateway, bucket: str):
    assert _put(gateway, bucket, {}).status == 200

    expected = {"x-amz-checksum-crc64nvme": value_of("CRC64NVME", CONTENT), "x-amz-checksum-type": "FULL_OBJECT"}
    assert told(gateway, f"/{bucket}/k") == expected


def test_checksums_are_told_on_request_only_and_not_for_ranges(gateway: Gateway, bucket: str):
    _put(gateway, bucket, {"x-amz-checksum-sha256": value_of("SHA256", CONTENT)})

    def headers_of(**headers: str) -> str:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return " ".join(ask(gateway, signed(gateway, "GET", f"/{bucket}/k", headers=sent)).headers)

    assert "x-amz-checksum-sha256" in headers_of(x_amz_checksum_mode="ENABLED")
    assert "x-amz-checksum" not in headers_of()
    assert "x-amz-checksum" not in headers_of(x_amz_checksum_mode="ENABLED", range="bytes=0-5")


@pytest.mark.parametrize("name", DIGESTS)
def test_a_copy_keeps_the_checksum_and_may_have_another(s3: Any, bucket: str, name: str):
    s3.put_object(Bucket=bucket, Key="from", Body=CONTENT, ChecksumAlgorithm=name)
    source = {"Bucket": bucket, "Key": "from"}
    other = "SHA256" if name != "SHA256" else "CRC32C"

    kept = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    changed = s3.copy_object(Bucket=bucket, Key="changed", CopySource=source, ChecksumAlgorithm=other)

    assert kept["CopyObjectResult"][f"Checksum{name}"] == value_of(name, CONTENT)
    assert changed["CopyObjectResult"][f"Checksum{other}"] == value_of(other, CONTENT)


PIECES = [payload(5 * MIB, 1), payload(1_000_000, 2)]


def parts_of(s3: Any, name: str, where: dict[str, str], upload: str) -> list[dict[str, Any]]:
    parts = []
    for number, piece in enumerate(PIECES, 1):
        value = {f"Checksum{name}": value_of(name, piece)}
        answer = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece, **value)
        assert answer[f"Checksum{name}"] == value[f"Checksum{name}"]
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **value})
    return parts


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_a_composite_checksum_is_made_of_those_of_the_parts(s3: Any, bucket: str, name: str):
    where = {"Bucket": bucket, "Key": "k"}
    created = s3.create_multipart_upload(**where, ChecksumAlgorithm=name)
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == (name, "COMPOSITE")
    upload = created["UploadId"]
    parts = parts_of(s3, name, where, upload)
    listed = s3.list_parts(**where, UploadId=upload)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (name, "COMPOSITE")
    assert [part[f"Checksum{name}"] for part in listed["Parts"]] == [part[f"Checksum{name}"] for part in parts]

    done = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    expected = value_of(name, b"".join(DIGESTS[name](piece) for piece in PIECES)) + "-2"
    assert (done[f"Checksum{name}"], done["ChecksumType"]) == (expected, "COMPOSITE")
    head = s3.head_object(**where, ChecksumMode="ENABLED")
    assert (head[f"Checksum{name}"], head["ChecksumType"]) == (expected, "COMPOSITE")
    part = s3.get_object(**where, PartNumber=2, ChecksumMode="ENABLED")
    assert part["Body"].read() == PIECES[1]
    assert part[f"Checksum{name}"] == value_of(name, PIECES[1])


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_a_full_object_checksum_is_that_of_all_bytes(s3: Any, bucket: str, name: str):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm=name, ChecksumType="FULL_OBJECT")["UploadId"]
    parts = parts_of(s3, name, where, upload)
    value = value_of(name, b"".join(PIECES))
    arguments = {
        **where,
        "UploadId": upload,
        "MultipartUpload": {"Parts": parts},
        "ChecksumType": "FULL_OBJECT",
    }

    wrong = {f"Checksum{name}": value_of(name, b"another")}
    assert refused(s3.complete_multipart_upload, **arguments, **wrong) == (400, "BadDigest")
    done = s3.complete_multipart_upload(**arguments, **{f"Checksum{name}": value})

    assert (done[f"Checksum{name}"], done["ChecksumType"]) == (value, "FULL_OBJECT")
    assert s3.head_object(**where, ChecksumMode="ENABLED")[f"Checksum{name}"] == value


@pytest.mark.parametrize(("name", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT"), ("CRC32", "HALF")])
def test_pairs_of_algorithm_and_type_that_s3_has_not_are_refused(s3: Any, bucket: str, name: str, kind: str):
    arguments = {"Bucket": bucket, "Key": "k", "ChecksumAlgorithm": name, "ChecksumType": kind}

    assert refused(s3.create_multipart_upload, **arguments) == (400, "InvalidRequest")


def test_a_part_has_the_algorithm_of_its_upload(s3: Any, bucket: str):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    arguments = {**where, "UploadId": upload, "PartNumber": 1, "Body": b"x"}

    assert refused(s3.upload_part, **arguments, ChecksumAlgorithm="CRC32") == (400, "InvalidRequest")
    assert "Parts" not in s3.list_parts(**where, UploadId=upload)


def parts_on_disk(directory: Path) -> list[str]:
    """The files of parts below a directory, and the claims to a place in a joint file.

    A joint file and the length of its parts may be there before the first part is.
    """
    names = (path.name for path in directory.glob("**/.s3gate/mpu/*/*"))
    return sorted(name for name in names if name not in ("upload", "sent", "size", "data"))


def test_a_wrong_checksum_of_a_part_stores_no_part(s3: Any, bucket: str, directory: Path):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    arguments = {**where, "UploadId": upload, "PartNumber": 1, "Body": b"x"}

    before = parts_on_disk(directory)
    wrong = {"ChecksumSHA256": value_of("SHA256", b"another")}
    assert refused(s3.upload_part, **arguments, **wrong) == (400, "BadDigest")
    assert parts_on_disk(directory) == before
    assert "Parts" not in s3.list_parts(**where, UploadId=upload)


def test_wrong_checksums_of_parts_in_the_completion_are_refused(s3: Any, bucket: str, directory: Path):
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    etag = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")["ETag"]
    part = {"PartNumber": 1, "ETag": etag, "ChecksumSHA256": value_of("SHA256", b"another")}

    with unchanged(directory):
        arguments = {**where, "UploadId": upload, "MultipartUpload": {"Parts": [part]}}
        assert refused(s3.complete_multipart_upload, **arguments) == (400, "InvalidPart")


TRAILER_FAULTS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "announced, not sent": ({"trailers": {}, "announced": "x-amz-checksum-crc32"}, (400, "MalformedTrailerError")),
    "sent, not announced": (
        {"trailers": {"x-amz-checksum-crc32": value_of("CRC32", CONTENT)}, "announced": " "},
        (400, "MalformedTrailerError"),
    ),
    "another one": (
        {"trailers": {"x-amz-checksum-crc32": value_of("CRC32", CONTENT)}, "announced": "x-amz-checksum-sha1"},
        (400, "MalformedTrailerError"),
    ),
    "no checksum": ({"trailers": {"x-amz-meta-late": "1"}}, (400, "InvalidRequest")),
    "no value": ({"trailers": {"x-amz-checksum-crc32": ""}}, (400, "BadDigest")),
    "in both places": (
        {
            "trailers": {"x-amz-checksum-crc32": value_of("CRC32", CONTENT)},
            "headers": {"x-amz-checksum-sha1": value_of("SHA1", CONTENT)},
        },
        (400, "InvalidRequest"),
    ),
}


@pytest.mark.parametrize("content", [UNSIGNED_TRAILER, SIGNED_TRAILER])
@pytest.mark.parametrize("fault", TRAILER_FAULTS)
def test_trailers_that_are_not_as_announced_are_refused(
    gateway: Gateway, s3: Any, bucket: str, directory: Path, fault: str, content: str
):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    arguments, expected = TRAILER_FAULTS[fault]
    request: Request = put_in_chunks(gateway, f"/{bucket}/k", [CONTENT], content=content, **arguments)

    with unchanged(directory):
        assert refusal(ask(gateway, request)) == expected
