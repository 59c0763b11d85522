"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import pytest

from support.operations import Bench, md5, texts
from support.versions import put_versions, set_versioning

UNKNOWN = "0123456789abcdef01234567"


async def keys(bench: Bench) -> list[str]:
    return texts(await bench("GET", "/b"), "Contents/Key")


def delete(*objects: str, quiet: bool = False) -> str:
    inner = "".join(f"<Object>{each}</Object>" for each in objects)
    return f"<Delete>{inner}<Quiet>{'true' if quiet else 'false'}</Quiet></Delete>"


async def test_an_object_goes_and_one_that_is_not_there_goes_too(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    assert (await bench("DELETE", "/b/k")).status == 204
    assert (await bench("DELETE", "/b/k")).status == 204
    assert await keys(bench) == []


async def test_a_condition_saves_an_object_from_deletion(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=b"x")
    assert (await bench.fails("DELETE", "/b/k", if_match="other")).code == "PreconditionFailed"
    assert await keys(bench) == ["k"]
    assert (await bench("DELETE", "/b/k", if_match=md5(b"x"))).status == 204


async def test_where_nothing_was_versioned_null_is_the_object_and_an_unknown_version_is_nothing(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    gone = await bench("DELETE", "/b/k", f"versionId={UNKNOWN}")
    assert (gone.status, gone.headers["x-amz-version-id"]) == (204, UNKNOWN)
    assert await keys(bench) == ["k"]
    assert (await bench.fails("DELETE", "/b/k", "versionId=x")).code == "InvalidArgument"
    assert (await bench("DELETE", "/b/k", "versionId=null")).status == 204
    assert await keys(bench) == []


async def test_a_parameter_that_nobody_knows_saves_an_object_from_deletion(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    assert (await bench.fails("DELETE", "/b/k", "taggings")).code == "NotImplemented"
    assert await keys(bench) == ["k"]


async def test_many_objects_go_at_once_in_the_order_of_the_request(bench: Bench) -> None:
    names = [f"k{i:03d}" for i in range(100)]
    for name in names:
        await bench("PUT", f"/b/{name}")
    result = await bench("POST", "/b", "delete", body=delete(*(f"<Key>{name}</Key>" for name in reversed(names))))
    assert texts(result, "Deleted/Key") == names[::-1]
    assert await keys(bench) == []


async def test_each_key_is_decided_by_itself(bench: Bench) -> None:
    for name in ("a", "denied", "kept", "old"):
        await bench("PUT", f"/b/{name}", body=b"x")
    bench.denied = frozenset({("s3:DeleteObject", "denied")})
    body = delete(
        "<Key>a</Key><VersionId>null</VersionId>",
        "<Key>denied</Key>",
        "<Key>kept</Key><ETag>other</ETag>",
        f"<Key>old</Key><VersionId>{UNKNOWN}</VersionId>",
        "<Key>bad</Key><VersionId>x</VersionId>",
        f"<Key>{'k' * 1025}</Key>",
        "<Key>sized</Key><Size>3</Size>",
        "<Key>never</Key>",
    )
    result = await bench("POST", "/b", "delete", body=body)
    assert texts(result, "Deleted/Key") == ["a", "old", "never"]
    assert texts(result, "Deleted/VersionId") == ["null", UNKNOWN]
    assert texts(result, "Error/Code") == [
        "AccessDenied",
        "PreconditionFailed",
        "InvalidArgument",
        "KeyTooLongError",
        "NotImplemented",
    ]
    assert await keys(bench) == ["denied", "kept", "old"]


async def test_a_quiet_deletion_tells_failures_only(bench: Bench) -> None:
    bench.denied = frozenset({("s3:DeleteObject", "denied")})
    result = await bench("POST", "/b", "delete", body=delete("<Key>a</Key>", "<Key>denied</Key>", quiet=True))
    assert texts(result, "Deleted/Key") == []
    assert texts(result, "Error/Key") == ["denied"]


@pytest.mark.parametrize("body", ["", "<Delete/>", "<x", delete(*["<Key>k</Key>"] * 1001)])
async def test_a_bad_document_deletes_nothing(bench: Bench, body: str) -> None:
    await bench("PUT", "/b/k")
    assert (await bench.fails("POST", "/b", "delete", body=body)).code == "MalformedXML"
    assert await keys(bench) == ["k"]


async def test_the_body_of_a_deletion_is_verified(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    body = delete("<Key>k</Key>")
    error = await bench.fails("POST", "/b", "delete", body=body, x_amz_checksum_crc32="AAAAAA==")
    assert error.code == "BadDigest"
    assert await keys(bench) == ["k"]


async def test_there_is_no_retention_to_bypass(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    body = delete("<Key>k</Key>")
    await bench("POST", "/b", "delete", body=body, x_amz_bypass_governance_retention="true")
    assert await keys(bench) == []


async def test_a_deletion_in_a_versioned_bucket_makes_a_delete_marker_and_tells_its_id(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "k", b"x")
    for _ in range(2):
        gone = await versioned("DELETE", "/b/k")
        marker = gone.headers["x-amz-version-id"]
        assert (gone.status, gone.headers["x-amz-delete-marker"]) == (204, "true")
        error = await versioned.fails("GET", "/b/k")
        assert (error.code, error.headers["x-amz-version-id"]) == ("NoSuchKey", marker)
        assert error.headers["x-amz-delete-marker"] == "true"
    assert await versioned.content("/b/k", f"versionId={version}") == b"x"


async def test_removing_the_delete_marker_brings_the_object_back(versioned: Bench) -> None:
    await put_versions(versioned, "k", b"1", b"2")
    marker = (await versioned("DELETE", "/b/k")).headers["x-amz-version-id"]
    error = await versioned.fails("GET", "/b/k", f"versionId={marker}")
    assert (error.code, error.headers["allow"]) == ("MethodNotAllowed", "DELETE")
    gone = await versioned("DELETE", "/b/k", f"versionId={marker}")
    assert gone.headers == {"x-amz-version-id": marker, "x-amz-delete-marker": "true"}
    assert await versioned.content("/b/k") == b"2"


async def test_a_version_that_is_removed_is_gone_and_the_one_before_is_current(versioned: Bench) -> None:
    first, second = await put_versions(versioned, "k", b"1", b"2")
    gone = await versioned("DELETE", "/b/k", f"versionId={second}")
    assert gone.headers == {"x-amz-version-id": second}
    assert (await versioned.fails("GET", "/b/k", f"versionId={second}")).code == "NoSuchVersion"
    assert (await versioned.head("/b/k"))["x-amz-version-id"] == first
    assert (await versioned("DELETE", "/b/k", f"versionId={second}")).status == 204


async def test_where_versioning_is_suspended_a_deletion_makes_the_delete_marker_null(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "k", b"1")
    await set_versioning(versioned, "Suspended")
    assert "x-amz-version-id" not in (await versioned("PUT", "/b/k", body=b"2")).headers
    gone = await versioned("DELETE", "/b/k")
    assert gone.headers == {"x-amz-version-id": "null", "x-amz-delete-marker": "true"}
    assert (await versioned.fails("GET", "/b/k", "versionId=null")).code == "MethodNotAllowed"
    assert await versioned.content("/b/k", f"versionId={version}") == b"1"


async def test_mfa_is_not_offered_and_saves_an_object_from_deletion(versioned: Bench) -> None:
    await put_versions(versioned, "k", b"1")
    assert (await versioned.fails("DELETE", "/b/k", x_amz_mfa="device 123456")).code == "NotImplemented"
    assert await versioned.content("/b/k") == b"1"


async def test_many_deletions_tell_the_delete_markers_that_they_made_and_removed(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "k", b"1")
    made = await versioned("POST", "/b", "delete", body=delete("<Key>k</Key>"))
    assert texts(made, "Deleted/DeleteMarker") == ["true"]
    assert texts(made, "Deleted/VersionId") == []
    (marker,) = texts(made, "Deleted/DeleteMarkerVersionId")
    named = [f"<Key>k</Key><VersionId>{each}</VersionId>" for each in (version, marker)]
    for _ in range(2):
        removed = await versioned("POST", "/b", "delete", body=delete(*named))
        assert texts(removed, "Deleted/VersionId") == [version, marker]
        assert texts(removed, "Error/Code") == []
    assert texts(await versioned("GET", "/b", "versions"), "*/VersionId") == []


async def test_who_may_not_delete_versions_may_still_delete_objects(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "k", b"1")
    versioned.denied = frozenset({("s3:DeleteObjectVersion", "k")})
    body = delete(f"<Key>k</Key><VersionId>{version}</VersionId>", "<Key>k</Key>")
    result = await versioned("POST", "/b", "delete", body=body)
    assert (texts(result, "Error/VersionId"), texts(result, "Deleted/DeleteMarker")) == ([version], ["true"])
