"""PutBucketVersioning, GetBucketVersioning and ListObjectVersions."""

from __future__ import annotations

import pytest

from s3gate.operations.result import Result
from support.operations import Bench, texts, tree
from support.versions import put_versions, set_versioning

KEYS = ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud"]
UNKNOWN = "0123456789abcdef01234567"


async def fill(bench: Bench, *keys: str) -> None:
    for key in keys or KEYS:
        await bench("PUT", f"/b/{key}")


def one(result: Result, name: str) -> str | None:
    found = texts(result, name)
    return found[0] if found else None


def entries(result: Result) -> list[tuple[str, str, str]]:
    """Kind, key and version id of the entries of a page, in order."""
    nodes = [node for node in tree(result.document) if node.tag in ("Version", "DeleteMarker")]
    return [(str(node.tag), node.findtext("Key") or "", node.findtext("VersionId") or "") for node in nodes]


async def status(bench: Bench) -> list[str]:
    return texts(await bench("GET", "/b", "versioning"), "Status")


async def test_versioning_is_unset_until_it_is_set_and_then_enabled_or_suspended(bench: Bench) -> None:
    assert await status(bench) == []
    for wanted in ("Suspended", "Enabled", "Enabled", "Suspended"):
        await set_versioning(bench, wanted)
        assert await status(bench) == [wanted]


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("<Status>On</Status>", "MalformedXML"),
        ("<Status/>", "IllegalVersioningConfigurationException"),
        ("", "IllegalVersioningConfigurationException"),
        ("<MfaDelete>Disabled</MfaDelete>", "IllegalVersioningConfigurationException"),
        ("<Status>Suspended</Status><MfaDelete>Enabled</MfaDelete>", "NotImplemented"),
        ("<Status>Suspended</Status><MfaDelete>maybe</MfaDelete>", "MalformedXML"),
    ],
)
async def test_a_state_that_there_is_not_changes_nothing(versioned: Bench, inner: str, code: str) -> None:
    body = f"<VersioningConfiguration>{inner}</VersioningConfiguration>"
    assert (await versioned.fails("PUT", "/b", "versioning", body=body)).code == code
    assert await status(versioned) == ["Enabled"]


async def test_mfa_delete_may_be_said_to_be_off_and_takes_no_device(bench: Bench) -> None:
    body = "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>"
    error = await bench.fails("PUT", "/b", "versioning", body=body, x_amz_mfa="device 123456")
    assert (error.code, error.fields["Header"]) == ("NotImplemented", "x-amz-mfa")
    await bench("PUT", "/b", "versioning", body=body)
    assert await status(bench) == ["Enabled"]
    assert (await bench.fails("PUT", "/b", "versioning")).code == "MissingRequestBodyError"


async def test_every_object_is_its_own_latest_version_null(bench: Bench) -> None:
    await fill(bench)
    page = await bench("GET", "/b", "versions")
    assert texts(page, "Version/Key") == KEYS
    assert set(texts(page, "Version/VersionId")) == {"null"}
    assert set(texts(page, "Version/IsLatest")) == {"true"}


async def test_versions_come_in_pages(bench: Bench) -> None:
    await fill(bench)
    first = await bench("GET", "/b", "versions&max-keys=2")
    assert texts(first, "Version/Key") == KEYS[:2]
    assert (one(first, "NextKeyMarker"), one(first, "NextVersionIdMarker")) == ("boo/bar", "null")
    second = await bench("GET", "/b", "versions&key-marker=boo/bar&version-id-marker=null")
    assert texts(second, "Version/Key") == KEYS[2:]
    rolled = await bench("GET", "/b", "versions&delimiter=/&max-keys=2")
    assert texts(rolled, "CommonPrefixes/Prefix") == ["boo/"]
    assert (one(rolled, "NextKeyMarker"), one(rolled, "NextVersionIdMarker")) == ("boo/", None)
    last = await bench("GET", "/b", "versions&delimiter=/&key-marker=boo/")
    assert (texts(last, "Version/Key"), texts(last, "CommonPrefixes/Prefix")) == ([], ["cquux/"])


async def test_versions_and_delete_markers_come_newest_first_within_their_key(versioned: Bench) -> None:
    a1, a2 = await put_versions(versioned, "a", b"1", b"2")
    (b1,) = await put_versions(versioned, "b", b"1")
    gone = (await versioned("DELETE", "/b/a")).headers["x-amz-version-id"]
    page = await versioned("GET", "/b", "versions")
    assert entries(page) == [
        ("DeleteMarker", "a", gone),
        ("Version", "a", a2),
        ("Version", "a", a1),
        ("Version", "b", b1),
    ]
    assert texts(page, "*/IsLatest") == ["true", "false", "false", "true"]
    assert texts(page, "*/Owner/DisplayName") == ["alice"] * 4


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_of_versions_go_on_within_a_key(versioned: Bench, size: int) -> None:
    await put_versions(versioned, "a", b"1", b"2", b"3")
    await versioned("DELETE", "/b/a")
    await put_versions(versioned, "b", b"1", b"2")
    seen: list[tuple[str, str, str]] = []
    query = f"versions&max-keys={size}"
    more = ""
    while True:
        page = await versioned("GET", "/b", query + more)
        assert len(entries(page)) <= size
        seen += entries(page)
        if one(page, "IsTruncated") == "false":
            break
        more = f"&key-marker={one(page, 'NextKeyMarker')}&version-id-marker={one(page, 'NextVersionIdMarker')}"
    assert seen == entries(await versioned("GET", "/b", "versions"))
    assert len(seen) == 6


async def test_prefix_and_delimiter_choose_versions_and_roll_them_up(versioned: Bench) -> None:
    for key in ("p/a", "p/b/c", "q"):
        await put_versions(versioned, key, b"1", b"2")
    page = await versioned("GET", "/b", "versions&prefix=p/&delimiter=/")
    assert [key for _, key, _ in entries(page)] == ["p/a", "p/a"]
    assert texts(page, "CommonPrefixes/Prefix") == ["p/b/"]


async def test_no_versions_are_asked_for_and_none_are_given(versioned: Bench) -> None:
    await put_versions(versioned, "k", b"1")
    page = await versioned("GET", "/b", "versions&max-keys=0")
    assert (entries(page), one(page, "IsTruncated")) == ([], "false")


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        (f"version-id-marker={UNKNOWN}", "version-id-marker"),
        ("key-marker=k&version-id-marker=x", "version-id-marker"),
        ("encoding-type=base64", "encoding-type"),
        ("max-keys=-1", "max-keys"),
    ],
)
async def test_what_cannot_be_asked_is_an_invalid_argument(bench: Bench, query: str, argument: str) -> None:
    error = await bench.fails("GET", "/b", f"versions&{query}")
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", argument)


async def test_an_empty_marker_is_as_good_as_none(versioned: Bench) -> None:
    (version,) = await put_versions(versioned, "k", b"1")
    page = await versioned("GET", "/b", "versions&key-marker=&version-id-marker=")
    assert entries(page) == [("Version", "k", version)]
