"""Access control lists can be read, and set to what they are alone."""

from __future__ import annotations

import pytest

from support.operations import ALICE, Bench, texts
from support.versions import put_versions


async def test_the_owner_alone_has_rights_on_a_bucket_and_on_an_object(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=b"x")
    for path in ("/b", "/b/k"):
        found = await bench("GET", path, "acl")
        assert texts(found, "Owner/ID") == [ALICE.id]
        assert texts(found, "AccessControlList/Grant/Grantee/ID") == [ALICE.id]
        assert texts(found, "AccessControlList/Grant/Permission") == ["FULL_CONTROL"]


async def test_the_list_of_a_version_names_it(versioned: Bench) -> None:
    first, _ = await put_versions(versioned, "k", b"1", b"2")
    found = await versioned("GET", "/b/k", f"acl&versionId={first}")
    assert found.headers["x-amz-version-id"] == first


async def test_the_list_of_an_object_that_is_not_there_is_none(bench: Bench) -> None:
    assert (await bench.fails("GET", "/b/k", "acl")).code == "NoSuchKey"
    assert (await bench.fails("PUT", "/b/k", "acl", x_amz_acl="private")).code == "NoSuchKey"


@pytest.mark.parametrize("path", ["/b", "/b/k"])
@pytest.mark.parametrize(
    "headers", [{"x_amz_acl": "public-read"}, {"x_amz_acl": "private", "x_amz_grant_read": "id=1"}, {}]
)
async def test_rights_cannot_be_given_to_others(bench: Bench, path: str, headers: dict[str, str]) -> None:
    await bench("PUT", "/b/k", body=b"x")
    assert (await bench.fails("PUT", path, "acl", **headers)).code == "AccessControlListNotSupported"


@pytest.mark.parametrize("path", ["/b", "/b/k"])
async def test_what_is_read_can_be_written_again(bench: Bench, path: str) -> None:
    await bench("PUT", "/b/k", body=b"x")
    document = (await bench("GET", path, "acl")).document
    assert document is not None
    assert (await bench("PUT", path, "acl", body=document)).status == 200
    assert (await bench("PUT", path, "acl", x_amz_acl="bucket-owner-full-control")).status == 200
    for change in ((ALICE.id.encode(), b"0" * 64), (b"FULL_CONTROL", b"READ")):
        other = document.replace(*change)
        assert (await bench.fails("PUT", path, "acl", body=other)).code == "AccessControlListNotSupported"
