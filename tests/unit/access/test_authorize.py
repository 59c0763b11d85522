"""Who may do what, from values alone."""

from __future__ import annotations

import pytest

from s3gate.access.authorize import OPEN, Protection, acting, authorize, is_read
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, Owner
from s3gate.identity.model import ANONYMOUS, ROOT, Caller, Policy

ME, OTHER = Owner("me", "Me"), Owner("other", "Other")
OPEN_TO_ALL = Protection()
MINE, THEIRS = Bucket("mine", ME, "r", 0), Bucket("theirs", OTHER, "r", 0)


def allowed(
    caller: Caller, action: str, bucket: Bucket | None, *, name: str = "", protection: Protection = OPEN_TO_ALL
) -> bool:
    try:
        authorize(caller, action, bucket, "key", name=name, protection=protection)
    except S3Error as error:
        return error.code != "AccessDenied"
    return True


@pytest.mark.parametrize(
    ("policy", "read", "write"),
    [("readonly", True, False), ("writeonly", False, True), ("readwrite", True, True), ("admin", True, True)],
)
def test_a_policy_allows_reads_or_writes_in_the_buckets_of_its_account(policy: Policy, read: bool, write: bool) -> None:
    caller = Caller(ME, policy, "AK")
    assert [allowed(caller, action, MINE) for action in ("s3:GetObject", "s3:ListBucket")] == [read, read]
    writes = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:DeleteBucket")
    assert [allowed(caller, action, MINE) for action in writes] == [write] * 4
    assert allowed(caller, "s3:CreateBucket", None) is write


@pytest.mark.parametrize("policy", ["readonly", "writeonly", "readwrite"])
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteBucket"])
def test_only_an_administrator_reaches_the_buckets_of_another_account(policy: Policy, action: str) -> None:
    assert not allowed(Caller(ME, policy, "AK"), action, THEIRS)
    assert allowed(Caller(ME, "admin", "AK"), action, THEIRS)


@pytest.mark.parametrize("policy", ["readonly", "writeonly", "readwrite", "admin"])
def test_every_caller_with_credentials_lists_the_buckets_of_its_account(policy: Policy) -> None:
    assert allowed(Caller(ME, policy, "AK"), "s3:ListAllMyBuckets", None)


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:ListAllMyBuckets", "s3:CreateBucket"])
def test_the_anonymous_caller_may_nothing(action: str) -> None:
    assert not allowed(ANONYMOUS, action, None)
    assert not allowed(ANONYMOUS, action, MINE)


def test_read_only_denies_writes_to_everyone_and_reads_to_nobody() -> None:
    for caller in (Caller(ME, "readwrite", "AK"), Caller(ROOT, "admin", "AK"), OPEN):
        assert not allowed(caller, "s3:PutObject", MINE, protection=Protection(read_only=True))
        assert not allowed(caller, "s3:CreateBucket", None, protection=Protection(read_only=True))
        assert allowed(caller, "s3:ListAllMyBuckets", None, protection=Protection(read_only=True))
    assert allowed(Caller(ME, "readwrite", "AK"), "s3:GetObject", MINE, protection=Protection(read_only=True))


def test_an_action_that_nobody_knows_counts_as_a_write() -> None:
    assert not is_read("s3:Frobnicate")
    assert not is_read("GetObject")


def test_open_access_makes_the_anonymous_caller_the_administrator_and_nobody_else() -> None:
    assert acting(ANONYMOUS, open_access=True) == OPEN == Caller(ROOT, "admin")
    assert acting(ANONYMOUS, open_access=False) is ANONYMOUS
    known = Caller(ME, "readonly", "AK")
    assert acting(known, open_access=True) is known


PROTECTED = Protection(read_only_buckets=("master.*", "stats.spli?", "input"))


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        ("master.train", True),
        ("master.", True),
        ("stats.split", True),
        ("input", True),
        ("mastertrain", False),
        ("stats.splits", False),
        ("stats.spli", False),
        ("my-input", False),
        ("input2", False),
        ("Input", False),
        ("input\n", False),
    ],
)
def test_nobody_writes_into_a_bucket_whose_name_matches_a_read_only_pattern(name: str, protected: bool) -> None:
    bucket = Bucket(name, ME, "r", 0)
    for caller in (Caller(ME, "readwrite", "AK"), Caller(ROOT, "admin", "AK"), OPEN):
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:PutBucketVersioning", "s3:DeleteBucket"):
            assert allowed(caller, action, bucket, protection=PROTECTED) is not protected
        assert allowed(caller, "s3:CreateBucket", None, name=name, protection=PROTECTED) is not protected
        assert allowed(caller, "s3:GetObject", bucket, protection=PROTECTED)
        assert allowed(caller, "s3:ListAllMyBuckets", None, protection=PROTECTED)


def test_fixed_buckets_are_written_to_and_neither_made_nor_removed() -> None:
    fixed = Protection(fixed_buckets=True)
    assert allowed(OPEN, "s3:PutObject", MINE, protection=fixed)
    assert allowed(OPEN, "s3:PutBucketVersioning", MINE, protection=fixed)
    assert not allowed(OPEN, "s3:CreateBucket", None, name="other", protection=fixed)
    assert not allowed(OPEN, "s3:DeleteBucket", MINE, protection=fixed)
