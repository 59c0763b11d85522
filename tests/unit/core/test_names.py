"""Names of buckets, keys, parts and uploads."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.core.names import bucket_name_fault, check_bucket_name, check_key, is_upload_id, new_upload_id, part_number


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my-bucket.2026", "123", "a-b", "a.b.c"])
def test_a_name_by_the_rules_of_aws_is_taken(name: str) -> None:
    assert bucket_name_fault(name, relaxed=False) is None
    assert bucket_name_fault(name, relaxed=True) is None


@pytest.mark.parametrize(
    ("name", "relaxed"),
    [
        ("ab", False),
        ("a" * 64, True),
        ("Upper", True),
        ("under_score", True),
        ("-dash", True),
        ("dot.", True),
        ("two..dots", True),
        ("192.168.5.4", True),
        ("xn--puny", True),
        ("sthree-x", True),
        ("x-s3alias", True),
        ("x--ol-s3", True),
        ("master.pre_process", True),
        ("D9A585E80A92439D5DFFB384901F359A572F4E1F", True),
        ("", False),
        ("a/b", False),
        ("a b", False),
        ("é" * 3, False),
        (".s3gate", False),
        (".s3gate-x", False),
        ("..", False),
        ("a" * 256, False),
        ("abc\n", False),
    ],
)
def test_a_name_outside_them_is_taken_by_the_relaxed_rule_or_by_none(name: str, relaxed: bool) -> None:
    assert bucket_name_fault(name, relaxed=False) is not None
    assert (bucket_name_fault(name, relaxed=True) is None) is relaxed


def test_a_bad_name_is_refused_with_the_code_of_aws() -> None:
    with pytest.raises(S3Error) as raised:
        check_bucket_name("Bad_Name", relaxed=False)

    assert (raised.value.code, raised.value.fields) == ("InvalidBucketName", {"BucketName": "Bad_Name"})


def test_a_key_has_at_most_1024_bytes_of_utf_8() -> None:
    check_key("é" * 512)
    with pytest.raises(S3Error) as raised:
        check_key("é" * 512 + "x")

    assert raised.value.code == "KeyTooLongError"
    assert raised.value.fields == {"Size": "1025", "MaxSizeAllowed": "1024"}


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10000", 10_000), ("007", 7)])
def test_a_part_number_is_from_1_to_10000(text: str, number: int) -> None:
    assert part_number(text) == number


@pytest.mark.parametrize("text", ["0", "10001", "-1", "1.5", "", "one", "¹", "9" * 400])
def test_any_other_part_number_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(S3Error) as raised:
        part_number(text)

    assert raised.value.code == "InvalidArgument"
    assert raised.value.fields["ArgumentName"] == "partNumber"


def test_upload_ids_are_ordered_in_time_and_safe_as_file_names() -> None:
    ids = [new_upload_id() for _ in range(50)]

    assert all(is_upload_id(upload_id) for upload_id in ids)
    assert len(set(ids)) == 50
    assert [upload_id[:10] for upload_id in ids] == sorted(upload_id[:10] for upload_id in ids)


@pytest.mark.parametrize(
    "text", ["", "..", "../../etc/passwd", "a" * 25, "a" * 27, "A" * 26, "i" * 26, "a" * 25 + "\n"]
)
def test_what_is_no_upload_id_is_known_as_such(text: str) -> None:
    assert not is_upload_id(text)
