"""Operations on buckets."""

from __future__ import annotations

import pytest

from s3gate.identity.model import ANONYMOUS, Caller
from s3gate.operations.call import Rules
from support.operations import ALICE, BOB, Bench, texts


def configuration(location: str) -> str:
    return f"<CreateBucketConfiguration><LocationConstraint>{location}</LocationConstraint></CreateBucketConfiguration>"


async def test_a_new_bucket_is_at_its_location_and_in_the_list(bench: Bench) -> None:
    created = await bench("PUT", "/new")
    assert (created.status, created.headers) == (200, {"location": "/new"})
    listed = await bench("GET", "/")
    assert texts(listed, "Buckets/Bucket/Name") == ["b", "new"]
    assert texts(listed, "Owner/ID") == [ALICE.id]
    assert texts(listed, "Buckets/Bucket/BucketRegion") == []


async def test_the_owner_makes_a_bucket_again_in_us_east_1_only(bench: Bench) -> None:
    await bench("PUT", "/new")
    assert (await bench("PUT", "/new")).status == 200
    bench.rules = Rules(region="eu-west-1")
    assert (await bench.fails("PUT", "/new")).code == "BucketAlreadyOwnedByYou"


async def test_a_name_that_another_owner_has_is_taken(bench: Bench) -> None:
    await bench("PUT", "/new")
    bench.caller = Caller(BOB, "readwrite", "BK")
    assert (await bench.fails("PUT", "/new")).code == "BucketAlreadyExists"


@pytest.mark.parametrize("name", ["B", "ab", "Upper", "under_score", "192.168.5.123", ".s3gate"])
async def test_a_bad_name_is_refused(bench: Bench, name: str) -> None:
    assert (await bench.fails("PUT", f"/{name}")).code == "InvalidBucketName"


async def test_relaxed_rules_take_names_that_strict_ones_do_not(bench: Bench) -> None:
    bench.rules = Rules(relaxed_bucket_names=True)
    assert (await bench("PUT", "/Under_Score")).status == 200


@pytest.mark.parametrize(
    ("region", "location", "code"),
    [
        ("us-east-1", "", ""),
        ("us-east-1", "us-east-1", ""),
        ("eu-west-1", "EU", ""),
        ("eu-west-1", "eu-west-1", ""),
        ("us-east-1", "eu-west-1", "IllegalLocationConstraintException"),
        ("us-east-1", "EU", "IllegalLocationConstraintException"),
        ("us-east-1", "nowhere", "InvalidLocationConstraint"),
    ],
)
async def test_a_location_is_that_of_the_gateway_or_refused(
    bench: Bench, region: str, location: str, code: str
) -> None:
    bench.rules = Rules(region=region)
    if code:
        assert (await bench.fails("PUT", "/new", body=configuration(location))).code == code
    else:
        assert (await bench("PUT", "/new", body=configuration(location))).status == 200


@pytest.mark.parametrize("location", ["eu-west-1", "ais", ""])
async def test_where_regions_are_not_checked_every_bucket_is_in_the_gateways(bench: Bench, location: str) -> None:
    bench.rules = Rules(region="us-west-2", any_region=True)
    assert (await bench("PUT", "/new", body=configuration(location))).status == 200
    assert (await bench("HEAD", "/new")).headers["x-amz-bucket-region"] == "us-west-2"


async def test_a_configuration_that_is_no_xml_makes_no_bucket(bench: Bench) -> None:
    assert (await bench.fails("PUT", "/new", body="<x")).code == "MalformedXML"
    assert (await bench.fails("HEAD", "/new")).code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("acl", "code"),
    [("public-read", "AccessControlListNotSupported"), ("public-ready", "InvalidArgument")],
)
async def test_an_acl_that_opens_a_bucket_is_refused(bench: Bench, acl: str, code: str) -> None:
    assert (await bench.fails("PUT", "/new", x_amz_acl=acl)).code == code
    assert (await bench("PUT", "/new", x_amz_acl="private")).status == 200


async def test_a_bucket_tells_its_region(bench: Bench) -> None:
    bench.rules = Rules(region="eu-west-1")
    await bench("PUT", "/new")
    assert (await bench.head("/new"))["x-amz-bucket-region"] == "eu-west-1"
    assert texts(await bench("GET", "/new", "location"), ".") == ["eu-west-1"]
    assert texts(await bench("GET", "/b", "location"), ".") == [""]


async def test_an_empty_bucket_goes_and_a_full_one_stays(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    assert (await bench.fails("DELETE", "/b")).code == "BucketNotEmpty"
    await bench("DELETE", "/b/k")
    assert (await bench("DELETE", "/b")).status == 204
    assert (await bench.fails("DELETE", "/b")).code == "NoSuchBucket"


async def test_callers_see_their_own_buckets_and_an_administrator_all(bench: Bench) -> None:
    bench.caller = Caller(BOB, "readwrite", "BK")
    await bench("PUT", "/bobs")
    assert texts(await bench("GET", "/"), "Buckets/Bucket/Name") == ["bobs"]
    bench.caller = Caller(BOB, "admin", "BK")
    assert texts(await bench("GET", "/"), "Buckets/Bucket/Name") == ["b", "bobs"]
    bench.caller = ANONYMOUS
    assert texts(await bench("GET", "/"), "Buckets/Bucket/Name") == []


async def test_the_list_of_buckets_comes_in_pages(bench: Bench) -> None:
    for name in ("b-1", "b-2", "c-1"):
        await bench("PUT", f"/{name}")
    first = await bench("GET", "/", "max-buckets=2&prefix=b")
    assert texts(first, "Buckets/Bucket/Name") == ["b", "b-1"]
    assert texts(first, "Buckets/Bucket/BucketRegion") == ["us-east-1", "us-east-1"]
    (token,) = texts(first, "ContinuationToken")
    second = await bench("GET", "/", f"max-buckets=2&prefix=b&continuation-token={token}")
    assert texts(second, "Buckets/Bucket/Name") == ["b-2"]
    assert texts(second, "ContinuationToken") == []


async def test_the_list_of_buckets_is_cut_by_region(bench: Bench) -> None:
    assert texts(await bench("GET", "/", "bucket-region=eu-west-1"), "Buckets/Bucket/Name") == []
    assert texts(await bench("GET", "/", "bucket-region=us-east-1"), "Buckets/Bucket/Name") == ["b"]


@pytest.mark.parametrize("query", ["max-buckets=0", "max-buckets=10001", "max-buckets=x", "continuation-token=x"])
async def test_a_bad_page_of_buckets_is_an_invalid_argument(bench: Bench, query: str) -> None:
    assert (await bench.fails("GET", "/", query)).code == "InvalidArgument"
