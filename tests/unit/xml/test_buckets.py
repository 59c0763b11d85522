"""Documents of buckets."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.xml.buckets import CreateBucketConfiguration, location_constraint
from support.operations import tree


def test_the_location_of_us_east_1_is_empty_and_any_other_is_itself() -> None:
    assert tree(location_constraint("us-east-1")).text is None
    assert tree(location_constraint("eu-west-1")).text == "eu-west-1"


def test_a_bucket_configuration_may_name_a_location_or_nothing() -> None:
    named = CreateBucketConfiguration.parse(
        b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    )
    assert named.location_constraint == "eu-west-1"
    assert CreateBucketConfiguration.parse(b"<CreateBucketConfiguration/>").location_constraint is None


@pytest.mark.parametrize("element", ["Location", "Bucket", "Tags"])
def test_what_makes_another_kind_of_bucket_is_not_implemented(element: str) -> None:
    with pytest.raises(S3Error) as caught:
        CreateBucketConfiguration.parse(f"<CreateBucketConfiguration><{element}/></CreateBucketConfiguration>".encode())
    assert caught.value.code == "NotImplemented"
