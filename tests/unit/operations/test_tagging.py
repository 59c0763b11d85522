"""Tags of objects and of buckets."""

from __future__ import annotations

import pytest

from support.operations import Bench, texts
from support.versions import put_versions


def tagging(**tags: str) -> str:
    inner = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags.items())
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>"


async def tags(bench: Bench, path: str, query: str = "tagging") -> dict[str, str]:
    found = await bench("GET", path, query)
    return dict(zip(texts(found, "TagSet/Tag/Key"), texts(found, "TagSet/Tag/Value"), strict=True))


async def test_tags_are_put_counted_replaced_and_deleted(bench: Bench) -> None:
    await bench("PUT", "/b/k", body=b"x")
    before = await bench.head("/b/k")
    assert await tags(bench, "/b/k") == {}
    assert (await bench("PUT", "/b/k", "tagging", body=tagging(b="2", a=""))).headers == {}
    assert list((await tags(bench, "/b/k")).items()) == [("a", ""), ("b", "2")]
    assert await bench.head("/b/k") == {**before, "x-amz-tagging-count": "2"}
    await bench("PUT", "/b/k", "tagging", body=tagging(c="3"))
    assert await tags(bench, "/b/k") == {"c": "3"}
    assert (await bench("DELETE", "/b/k", "tagging")).status == 204
    assert await bench.head("/b/k") == before
    assert await bench.content("/b/k") == b"x"


async def test_tags_do_not_change_the_time_of_an_object(bench: Bench) -> None:
    await bench("PUT", "/b/k")
    bucket = await bench.storage.find_bucket("b")
    before = await bench.storage.stat_object(bucket, "k")
    await bench("PUT", "/b/k", "tagging", body=tagging(a="1"))
    assert (await bench.storage.stat_object(bucket, "k")).modified_ns == before.modified_ns


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "MissingRequestBodyError"),
        ("<Tagging/>", "MalformedXML"),
        (tagging(**{f"k{n}": "" for n in range(11)}), "InvalidTag"),
        (tagging(k="v" * 257), "InvalidTag"),
    ],
)
async def test_bad_tags_leave_those_there_are(bench: Bench, body: str, code: str) -> None:
    await bench("PUT", "/b/k", x_amz_tagging="a=1")
    assert (await bench.fails("PUT", "/b/k", "tagging", body=body)).code == code
    assert await tags(bench, "/b/k") == {"a": "1"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_is_not_there_has_no_tags(bench: Bench, method: str) -> None:
    assert (await bench.fails(method, "/b/k", "tagging", body=tagging(a="1"))).code == "NoSuchKey"
    assert (await bench.fails(method, "/b/" + "k" * 1025, "tagging", body=tagging())).code == "KeyTooLongError"
    unknown = "tagging&versionId=0123456789abcdef01234567"
    assert (await bench.fails(method, "/b/k", unknown, body=tagging(a="1"))).code == "NoSuchVersion"


async def test_every_version_has_tags_of_its_own(versioned: Bench) -> None:
    first, second = await put_versions(versioned, "k", b"1", b"2")
    put = await versioned("PUT", "/b/k", f"tagging&versionId={first}", body=tagging(a="1"))
    assert put.headers == {"x-amz-version-id": first}
    assert (await versioned("PUT", "/b/k", "tagging", body=tagging(b="2"))).headers == {"x-amz-version-id": second}
    assert await tags(versioned, "/b/k", f"tagging&versionId={first}") == {"a": "1"}
    assert await tags(versioned, "/b/k") == {"b": "2"}
    gone = await versioned("DELETE", "/b/k", f"tagging&versionId={first}")
    assert (gone.status, gone.headers) == (204, {"x-amz-version-id": first})
    assert await tags(versioned, "/b/k", f"tagging&versionId={first}") == {}
    assert await tags(versioned, "/b/k") == {"b": "2"}


async def test_a_delete_marker_has_no_tags(versioned: Bench) -> None:
    marker = (await versioned("DELETE", "/b/k")).headers["x-amz-version-id"]
    assert (await versioned.fails("GET", "/b/k", "tagging")).code == "NoSuchKey"
    error = await versioned.fails("PUT", "/b/k", f"tagging&versionId={marker}", body=tagging(a="1"))
    assert error.code == "MethodNotAllowed"


async def test_an_object_is_put_with_its_tags(bench: Bench) -> None:
    await bench("PUT", "/b/k", x_amz_tagging="foo=bar&bar")
    assert await tags(bench, "/b/k") == {"bar": "", "foo": "bar"}
    await bench("PUT", "/b/k")
    assert await tags(bench, "/b/k") == {}


async def test_an_upload_in_parts_gives_its_tags_to_the_object(bench: Bench) -> None:
    begun = await bench("POST", "/b/k", "uploads", x_amz_tagging="a=1")
    upload = f"uploadId={texts(begun, 'UploadId')[0]}"
    etag = (await bench("PUT", "/b/k", f"partNumber=1&{upload}", body=b"x")).headers["etag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    await bench("POST", "/b/k", upload, body=f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>")
    assert await tags(bench, "/b/k") == {"a": "1"}


@pytest.mark.parametrize(("method", "query"), [("PUT", ""), ("POST", "uploads")])
async def test_tags_are_taken_from_who_may_tag_only(bench: Bench, method: str, query: str) -> None:
    bench.denied = frozenset({("s3:PutObjectTagging", "k")})
    assert (await bench.fails(method, "/b/k", query, x_amz_tagging="a=1")).code == "AccessDenied"
    assert (await bench(method, "/b/k", query)).status == 200


async def test_a_bucket_has_tags_from_when_they_are_put_until_they_are_deleted(bench: Bench) -> None:
    assert (await bench.fails("GET", "/b", "tagging")).code == "NoSuchTagSet"
    assert (await bench("PUT", "/b", "tagging", body=tagging(Hello="World", a="1"))).status == 204
    assert await tags(bench, "/b") == {"Hello": "World", "a": "1"}
    for _ in range(2):
        assert (await bench("DELETE", "/b", "tagging")).status == 204
    assert (await bench.fails("GET", "/b", "tagging")).code == "NoSuchTagSet"


async def test_bad_tags_leave_those_of_the_bucket(bench: Bench) -> None:
    await bench("PUT", "/b", "tagging", body=tagging(a="1"))
    body = tagging(**{f"k{n}": "" for n in range(51)})
    assert (await bench.fails("PUT", "/b", "tagging", body=body)).code == "InvalidTag"
    assert await tags(bench, "/b") == {"a": "1"}
