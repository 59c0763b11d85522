"""What a store owes on multipart uploads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from s3gate.core.checksums import COMPOSITE, Checksum
from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.names import new_upload_id
from s3gate.core.values import Bucket, ObjectRecord, Part
from s3gate.storage.backend import Backend, ListQuery
from support.stores import (
    ALICE,
    BOB,
    REGION,
    UPLOAD_STORES,
    Store,
    complete,
    delete,
    error_code,
    essence,
    get,
    get_with_record,
    in_order,
    keys,
    new_upload,
    put,
    put_part,
    read_all,
    remove_versions,
    set_versioning,
    start_upload,
    unchanged,
    version_ids,
    versions,
)

pytestmark = pytest.mark.parametrize("store", UPLOAD_STORES, indirect=True)

TEMPLATE = ObjectRecord(
    "",
    0,
    0,
    headers={"content-type": "video/mp4", "content-disposition": 'inline; filename="é.mp4"'},
    user_metadata={f"name-{n}": "\U0001f600é" * 16 for n in range(20)},
    storage_class="STANDARD_IA",
    owner=BOB,
    tags={"project": "Größe"},
)


async def find_again(backend: Backend, bucket: Bucket, key: str, upload_id: str) -> str:
    return await error_code(backend.find_upload(bucket, key, upload_id))


# --- uploads
@pytest.mark.parametrize("key", ["key", "a/", "..", "a//b", ".s3gate", "\0\n\U0001f600", "k" * 1024, "/" * 1024])
async def test_an_upload_is_found_as_it_was_made(backend: Backend, another: Backend, bucket: Bucket, key: str) -> None:
    upload = await start_upload(
        backend,
        bucket,
        key,
        initiator=BOB,
        template=TEMPLATE,
        checksum_algorithm="SHA256",
        checksum_type=COMPOSITE,
        client_chose_checksum=True,
    )
    for each in (backend, another):
        assert await each.find_upload(bucket, key, upload.id) == upload
        assert await each.list_uploads(bucket, "") == [upload]
        assert await each.list_parts(bucket, upload) == []


async def test_an_upload_is_no_object(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "dir/key")
    await put_part(backend, bucket, upload, 1, b"part")
    assert await error_code(backend.open_object(bucket, "dir/key")) == "NoSuchKey"
    assert await error_code(backend.stat_object(bucket, "dir/key")) == "NoSuchKey"
    page = await backend.list_objects(bucket, ListQuery(delimiter="/"))
    assert (page.objects, page.prefixes) == ([], [])


async def test_any_upload_id_may_be_asked_for(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    names = ["", ".", "..", "../..", "/", "/etc/passwd", "a/b", "\0", "\n", "x", "x" * 300, "x" * 5000, "é", "*", "%2e"]
    for upload_id in [*names, new_upload_id()]:
        unknown = replace(upload, id=upload_id)
        assert await find_again(backend, bucket, "key", upload_id) == "NoSuchUpload", upload_id
        assert await error_code(backend.list_parts(bucket, unknown)) == "NoSuchUpload", upload_id
        assert await error_code(put_part(backend, bucket, unknown, 1, b"part")) == "NoSuchUpload", upload_id
        assert await error_code(complete(backend, bucket, unknown, [])) == "NoSuchUpload", upload_id
        assert await error_code(backend.abort_upload(bucket, unknown)) == "NoSuchUpload", upload_id
    assert await backend.list_uploads(bucket, "") == [upload]


async def test_an_upload_id_that_is_nearly_right_is_unknown(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    for near in (
        upload.id[:-1],
        upload.id + "0",
        upload.id + "/",
        "./" + upload.id,
        upload.id + "\0",
        upload.id.upper(),
    ):
        assert await find_again(backend, bucket, "key", near) == "NoSuchUpload"


async def test_an_upload_belongs_to_its_key_and_bucket(backend: Backend, bucket: Bucket) -> None:
    other = await backend.create_bucket("other", ALICE, REGION)
    upload = await start_upload(backend, bucket, "key")
    for key in ("kez", "key/", "", "KEY", "key/key"):
        assert await find_again(backend, bucket, key, upload.id) == "NoSuchUpload"
    assert await find_again(backend, other, "key", upload.id) == "NoSuchUpload"
    assert await backend.list_uploads(other, "") == []


async def test_uploads_are_listed_by_key_and_then_by_id(backend: Backend, bucket: Bucket) -> None:
    names = ["b", "a/b", "a", "a/b", "é", "a0", "a/b", "\U0001f600", "\uffff", "a-b", "a/"]
    made = [await start_upload(backend, bucket, name) for name in names]
    expected = sorted(made, key=lambda upload: (upload.key.encode(), upload.id))
    assert await backend.list_uploads(bucket, "") == expected
    for prefix in ("a", "a/", "a/b", "é", "x", "\U0001f600"):
        wanted = [upload for upload in expected if upload.key.startswith(prefix)]
        assert await backend.list_uploads(bucket, prefix) == wanted


async def test_uploads_and_parts_outlive_their_backend(store: Store, backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key", template=TEMPLATE)
    first = await put_part(backend, bucket, upload, 1, b"one")
    await backend.stop()
    later = store()
    await later.start()
    assert await later.find_upload(bucket, "key", upload.id) == upload
    second = await put_part(later, bucket, upload, 2, b"two")
    assert await later.list_parts(bucket, upload) == [first, second]
    await complete(later, bucket, upload, [first, second])
    assert await get(later, bucket, "key") == b"onetwo"
    await later.stop()
    await backend.start()


# --- parts
async def test_parts_are_listed_by_number(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    made = {n: await put_part(backend, bucket, upload, n, b"%d" % n) for n in (10, 2, 10_000, 1, 100, 9, 1_000)}
    assert await another.list_parts(bucket, upload) == [made[n] for n in sorted(made)]


async def test_a_part_comes_back_as_it_was_given(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    checksum = Checksum("SHA512", "A" * 86 + "==")
    part = await put_part(backend, bucket, upload, 7, b"seven", checksum=checksum)
    assert replace(part, modified_ns=0) == Part(7, 5, hashlib.md5(b"seven").hexdigest(), 0, checksum)
    assert part.modified_ns > 1_600_000_000 * 10**9
    assert await another.list_parts(bucket, upload) == [part]


async def test_a_part_sent_again_replaces_the_earlier_one(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, b"first try, and longer")
    second = await put_part(another, bucket, upload, 1, b"second")
    assert await backend.list_parts(bucket, upload) == [second]
    await complete(backend, bucket, upload, [second])
    assert await get(backend, bucket, "key") == b"second"


async def test_a_part_that_is_not_committed_leaves_the_earlier_one(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")

    async def attempt() -> None:
        async with backend.stage(bucket) as stage:
            await stage.write([b"half a pa"], unchanged)
            raise S3Error("IncompleteBody")

    assert await error_code(attempt()) == "IncompleteBody"
    assert await backend.list_parts(bucket, upload) == [part]


async def test_a_part_may_be_copied_from_an_object(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "source", b"0123456789")
    upload = await start_upload(backend, bucket, "key")
    reader = await backend.open_object(bucket, "source")
    async with backend.stage(bucket) as stage:
        await stage.copy(reader, 3, 4)
        part = Part(1, 4, hashlib.md5(b"3456").hexdigest(), 0)
        part = await backend.commit_part(bucket, upload, stage, part)
    await reader.close()
    await complete(backend, bucket, upload, [part])
    assert await get(backend, bucket, "key") == b"3456"


async def test_parts_may_come_all_at_once(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    parts = await asyncio.gather(
        *[put_part([backend, another][n % 2], bucket, upload, n, b"%d," % n * 1000) for n in range(1, 31)]
    )
    assert await backend.list_parts(bucket, upload) == parts
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "key") == b"".join(b"%d," % n * 1000 for n in range(1, 31))


# --- completion
async def test_parts_are_joined_in_order(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "dir/key", template=TEMPLATE)
    pieces = {3: b"c" * 700_001, 1: b"a" * 1_048_577, 10_000: b"", 2: b"b"}
    parts = [await put_part(backend, bucket, upload, n, data) for n, data in pieces.items()]
    parts.sort(key=lambda part: part.number)
    stored = await complete(another, bucket, upload, parts)

    whole = b"a" * 1_048_577 + b"b" + b"c" * 700_001
    assert await get_with_record(backend, bucket, "dir/key") == (whole, stored)
    assert essence(stored) == essence(
        replace(TEMPLATE, etag=stored.etag, size=len(whole), parts=stored.parts, upload_id=upload.id)
    )
    assert [(span.number, span.size) for span in stored.parts] == [(1, 1_048_577), (2, 1), (3, 700_001), (10_000, 0)]
    reader = await backend.open_object(bucket, "dir/key")
    assert bytes(await reader.read(1_048_575, 5)) == b"aabcc"
    assert await read_all(reader) == whole
    await reader.close()
    assert await keys(backend, bucket) == ["dir/key"]


async def test_only_the_parts_named_are_joined(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    parts = [await put_part(backend, bucket, upload, n, b"%d" % n) for n in (1, 2, 3)]
    await complete(backend, bucket, upload, [parts[0], parts[2]])
    assert await get(backend, bucket, "key") == b"13"


async def test_a_completed_upload_has_ended(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    stored = await complete(backend, bucket, upload, [part])
    for each in (backend, another):
        assert await find_again(each, bucket, "key", upload.id) == "NoSuchUpload"
        assert await each.list_uploads(bucket, "") == []
        assert await error_code(each.list_parts(bucket, upload)) == "NoSuchUpload"
        assert await error_code(put_part(each, bucket, upload, 2, b"late")) == "NoSuchUpload"
        assert await error_code(each.abort_upload(bucket, upload)) == "NoSuchUpload"
    assert await get_with_record(backend, bucket, "key") == (b"part", stored)


@pytest.mark.parametrize("key", ["a", "a/b/c", "a/", "..", "k" * 1024, "new/dir/key"])
async def test_a_completed_upload_takes_its_place_beside_other_keys(backend: Backend, bucket: Bucket, key: str) -> None:
    await put(backend, bucket, "a/b", b"below")
    upload = await start_upload(backend, bucket, key)
    part = await put_part(backend, bucket, upload, 1, b"part")
    await complete(backend, bucket, upload, [part])
    assert await get(backend, bucket, key) == b"part"
    assert await get(backend, bucket, "a/b") == b"below"
    assert await keys(backend, bucket) == in_order(["a/b", key])


async def test_a_part_that_is_no_longer_the_one_named_is_refused(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """And the upload stands as it was."""
    upload = await start_upload(backend, bucket, "key")
    stale = await put_part(backend, bucket, upload, 1, b"stale")
    second = await put_part(backend, bucket, upload, 2, b"second")
    fresh = await put_part(another, bucket, upload, 1, b"fresh")
    never = replace(second, number=3)
    for parts in ([stale, second], [fresh, second, never], [never], [fresh, replace(second, etag="0" * 32)]):
        assert await error_code(complete(backend, bucket, upload, parts)) == "InvalidPart"
        assert await error_code(backend.stat_object(bucket, "key")) == "NoSuchKey"
        assert await backend.list_parts(bucket, upload) == [fresh, second]
        assert await backend.list_uploads(bucket, "") == [upload]
    await complete(backend, bucket, upload, [fresh, second])
    assert await get(backend, bucket, "key") == b"freshsecond"


async def test_conditions_are_decided_at_completion(backend: Backend, another: Backend, bucket: Bucket) -> None:
    absent, present = WriteCondition(if_none_match="*"), WriteCondition(if_match="*")
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    assert await error_code(complete(backend, bucket, upload, [part], condition=present)) == "NoSuchKey"
    old = await put(another, bucket, "key", b"came first")
    wrong = WriteCondition(if_match='"0"')
    for condition in (absent, wrong):
        outcome = await error_code(complete(backend, bucket, upload, [part], condition=condition))
        assert outcome == "PreconditionFailed"
    assert await get_with_record(backend, bucket, "key") == (b"came first", old)
    assert await backend.find_upload(bucket, "key", upload.id) == upload
    assert await backend.list_parts(bucket, upload) == [part]

    await complete(backend, bucket, upload, [part], condition=WriteCondition(if_match=old.etag))
    assert await get(backend, bucket, "key") == b"part"


async def test_of_concurrent_first_completions_exactly_one_succeeds(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    uploads = [await start_upload(backend, bucket, "key") for _ in range(10)]
    parts = [await put_part(backend, bucket, upload, 1, b"%d" % n) for n, upload in enumerate(uploads)]
    absent = WriteCondition(if_none_match="*")
    outcomes = await asyncio.gather(
        *[
            error_code(complete([backend, another][n % 2], bucket, upload, [parts[n]], condition=absent))
            for n, upload in enumerate(uploads)
        ]
    )
    assert sorted(outcomes) == ["PreconditionFailed"] * 9 + ["none"]
    winner = outcomes.index("none")
    assert await get(backend, bucket, "key") == b"%d" % winner
    left = {upload.id for upload in await backend.list_uploads(bucket, "")}
    assert left == {upload.id for upload in uploads} - {uploads[winner].id}


async def test_a_completion_sent_twice_at_once_makes_one_whole_object(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    """A client that lost patience repeats the request: both are told the same."""
    await set_versioning(backend, bucket, "Enabled")
    for n in range(5):
        upload = await start_upload(backend, bucket, f"key-{n}")
        parts = [await put_part(backend, bucket, upload, m, b"%d" % m * 1000) for m in (1, 2)]
        told = await asyncio.gather(
            complete(backend, bucket, upload, parts),
            complete(another, bucket, upload, parts),
            complete(backend, bucket, upload, parts),
        )
        assert {(record.etag, record.size, record.version_id) for record in told} == {
            (told[0].etag, 2000, told[0].version_id)
        }
        assert await version_ids(backend, bucket, f"key-{n}") == [told[0].version_id]
        assert await get(backend, bucket, f"key-{n}") == b"1" * 1000 + b"2" * 1000
        assert await backend.list_uploads(bucket, "") == []


# --- completion asked for again
def named(parts: Sequence[Part]) -> list[tuple[int, str]]:
    return [(part.number, part.etag) for part in parts]


@pytest.mark.parametrize("state", ["", "Enabled", "Suspended"])
async def test_a_completed_upload_is_answered_as_then_whatever_became_of_its_object(
    backend: Backend, another: Backend, bucket: Bucket, state: str
) -> None:
    if state:
        await set_versioning(backend, bucket, state)
    upload = await start_upload(backend, bucket, "key", template=TEMPLATE)
    checksum = Checksum("CRC64NVME", "1Gkn0MGGyNk=")
    parts = [await put_part(backend, bucket, upload, n, b"%d" % n, checksum=checksum) for n in (1, 2)]
    stored = await complete(backend, bucket, upload, parts)
    for change in (
        lambda: put(another, bucket, "key", b"overwritten"),
        lambda: delete(backend, bucket, "key"),
        lambda: remove_versions(backend, bucket),
    ):
        for each in (backend, another):
            again = await each.find_completed(bucket, "key", upload.id, named(parts))
            assert again == await complete(each, bucket, upload, parts)
            assert (again.etag, again.size, again.checksum) == (stored.etag, stored.size, stored.checksum)
            assert (again.version_id, again.upload_id) == (stored.version_id, upload.id)
            assert again.modified_ns == stored.modified_ns
        await change()
    assert await versions(backend, bucket) == []


async def test_a_completion_with_other_parts_or_to_another_key_or_of_no_upload_finds_none(
    backend: Backend, another: Backend, bucket: Bucket
) -> None:
    other = await backend.create_bucket("other", ALICE, REGION)
    upload = await start_upload(backend, bucket, "key")
    parts = [await put_part(backend, bucket, upload, n, b"%d" % n) for n in (1, 2)]
    assert await error_code(backend.find_completed(bucket, "key", upload.id, named(parts))) == "NoSuchUpload"
    await complete(backend, bucket, upload, parts)
    wrong = [parts[:1], parts[1:], [], parts[::-1], [replace(parts[0], number=3), parts[1]]]
    for each in (backend, another):
        for listed in wrong:
            assert await error_code(each.find_completed(bucket, "key", upload.id, named(listed))) == "NoSuchUpload"
            assert await error_code(complete(each, bucket, upload, listed)) == "NoSuchUpload"
        for place, key, upload_id in (
            (bucket, "kez", upload.id), (other, "key", upload.id), (bucket, "key", new_upload_id()),
            (bucket, "key", ""), (bucket, "key", "../" + upload.id), (bucket, "key", "\0"),
        ):  # fmt: skip
            assert await error_code(each.find_completed(place, key, upload_id, named(parts))) == "NoSuchUpload"
    assert await get(backend, bucket, "key") == b"12"


async def test_an_upload_that_was_aborted_or_refused_was_not_completed(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    absent = WriteCondition(if_none_match="*")
    for _ in range(2):
        outcome = await error_code(complete(backend, bucket, upload, [part], condition=absent))
        assert outcome == "PreconditionFailed"
        assert await error_code(backend.find_completed(bucket, "key", upload.id, named([part]))) == "NoSuchUpload"
    await backend.abort_upload(bucket, upload)
    assert await error_code(backend.find_completed(bucket, "key", upload.id, named([part]))) == "NoSuchUpload"


async def test_a_condition_that_held_once_is_not_asked_for_again(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    absent = WriteCondition(if_none_match="*")
    stored = await complete(backend, bucket, upload, [part], condition=absent)
    assert (await complete(backend, bucket, upload, [part], condition=absent)).etag == stored.etag


# --- parts of any length, in any order, sent more than once
@pytest.mark.parametrize(
    "sent",
    [
        [(1, 1000), (2, 1000), (3, 1000)],
        [(1, 1000), (2, 1000), (3, 7)],
        [(3, 7), (2, 1000), (1, 1000)],
        [(1, 1000), (2, 999), (3, 1000)],
        [(1, 1000), (2, 1001), (3, 1000)],
        [(1, 1000), (3, 1000), (4, 20)],
        [(1, 10), (2, 1000), (3, 1000)],
        [(1, 1000), (2, 1000), (3, 3000)],
        [(1, 1000), (2, 0), (3, 5)],
        [(1, 0), (2, 1000)],
        [(2, 1000), (5, 1000), (10_000, 1)],
        [(1, 1000), (2, 1000), (2, 1000), (1, 1000)],
        [(1, 1000), (2, 1000), (2, 300)],
        [(1, 1000), (2, 1000), (1, 1500)],
        [(1, 4096), (2, 4096), (3, 4096), (2, 4096), (2, 4096), (3, 1)],
    ],
)
async def test_parts_are_joined_whatever_was_sent_before(
    backend: Backend, another: Backend, bucket: Bucket, sent: list[tuple[int, int]]
) -> None:
    """Also where a completion was refused in between, for parts that are left out, and for another condition."""
    upload = await start_upload(backend, bucket, "key")
    pieces: dict[int, bytes] = {}
    parts: dict[int, Part] = {}
    for turn, (number, size) in enumerate(sent):
        pieces[number] = bytes([65 + turn]) * size
        parts[number] = await put_part([backend, another][turn % 2], bucket, upload, number, pieces[number])
        listed = [parts[n] for n in sorted(parts)]
        assert await another.list_parts(bucket, upload) == listed
        for chosen in (listed, listed[:1], listed[1:]):
            if chosen:
                refused = complete(backend, bucket, upload, chosen, condition=WriteCondition(if_match="*"))
                assert await error_code(refused) == "NoSuchKey"
    await complete(another, bucket, upload, [parts[n] for n in sorted(parts)])
    assert await get(backend, bucket, "key") == b"".join(pieces[n] for n in sorted(pieces))


async def test_a_part_that_fails_leaves_its_number_to_the_next_one(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    first = await put_part(backend, bucket, upload, 1, b"1" * 1000)

    async def attempt() -> None:
        async with backend.stage_part(bucket, upload, 2, 1000) as stage:
            await stage.write([b"x" * 700], unchanged)
            raise S3Error("IncompleteBody")

    assert await error_code(attempt()) == "IncompleteBody"
    assert await backend.list_parts(bucket, upload) == [first]
    second = await put_part(backend, bucket, upload, 2, b"2" * 500)
    await complete(backend, bucket, upload, [first, second])
    assert await get(backend, bucket, "key") == b"1" * 1000 + b"2" * 500


async def test_a_part_of_unknown_length_is_as_good_as_any(backend: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    parts = [await put_part(backend, bucket, upload, 1, b"1" * 1000)]
    async with backend.stage_part(bucket, upload, 2, None) as stage:
        await stage.write([b"2" * 1000], unchanged)
        part = Part(2, 1000, hashlib.md5(b"2" * 1000).hexdigest(), 0)
        parts.append(await backend.commit_part(bucket, upload, stage, part))
    parts.append(await put_part(backend, bucket, upload, 3, b"3" * 10))
    await complete(backend, bucket, upload, parts)
    assert await get(backend, bucket, "key") == b"1" * 1000 + b"2" * 1000 + b"3" * 10


async def test_two_parts_of_one_number_at_once_do_not_mix(backend: Backend, another: Backend, bucket: Bucket) -> None:
    """The one that is finished last counts."""
    upload = await start_upload(backend, bucket, "key")
    one, other = b"1" * 1000, b"2" * 1000
    async with backend.stage_part(bucket, upload, 1, 1000) as first:
        await first.write([one[:500]], unchanged)
        async with another.stage_part(bucket, upload, 1, 1000) as second:
            await second.write([other[:700]], unchanged)
            await first.write([one[500:]], unchanged)
            early = Part(1, 1000, hashlib.md5(one).hexdigest(), 0)
            await backend.commit_part(bucket, upload, first, early)
            await second.write([other[700:]], unchanged)
            part = Part(1, 1000, hashlib.md5(other).hexdigest(), 0)
            part = await another.commit_part(bucket, upload, second, part)
    assert await backend.list_parts(bucket, upload) == [part]
    await complete(backend, bucket, upload, [part])
    assert await get(backend, bucket, "key") == other


@pytest.mark.parametrize("end", ["complete", "abort"])
async def test_a_part_that_comes_too_late_changes_nothing(
    backend: Backend, another: Backend, bucket: Bucket, end: str
) -> None:
    upload = await start_upload(backend, bucket, "key")
    parts = [await put_part(backend, bucket, upload, n, b"%d" % n * 1000) for n in (1, 2)]
    async with another.stage_part(bucket, upload, 3, 1000) as late:
        await late.write([b"x" * 500], unchanged)
        if end == "complete":
            await complete(backend, bucket, upload, parts)
        else:
            await backend.abort_upload(bucket, upload)
        await late.write([b"y" * 500], unchanged)
        part = Part(3, 1000, "0" * 32, 0)
        assert await error_code(another.commit_part(bucket, upload, late, part)) == "NoSuchUpload"
    if end == "complete":
        assert await get(backend, bucket, "key") == b"1" * 1000 + b"2" * 1000
    else:
        assert await error_code(backend.stat_object(bucket, "key")) == "NoSuchKey"
    assert await backend.list_uploads(bucket, "") == []


# --- abortion
async def test_an_aborted_upload_has_ended(backend: Backend, another: Backend, bucket: Bucket) -> None:
    upload = await start_upload(backend, bucket, "key")
    kept = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    await backend.abort_upload(bucket, upload)
    for each in (another, backend):
        assert await error_code(each.abort_upload(bucket, upload)) == "NoSuchUpload"
        assert await find_again(each, bucket, "key", upload.id) == "NoSuchUpload"
        assert await error_code(each.list_parts(bucket, upload)) == "NoSuchUpload"
        assert await error_code(put_part(each, bucket, upload, 2, b"late")) == "NoSuchUpload"
        assert await error_code(complete(each, bucket, upload, [part])) == "NoSuchUpload"
        assert await each.list_uploads(bucket, "") == [kept]
    assert await keys(backend, bucket) == []


async def test_an_upload_is_either_completed_or_aborted(backend: Backend, another: Backend, bucket: Bucket) -> None:
    for n in range(10):
        upload = await start_upload(backend, bucket, f"key-{n}")
        part = await put_part(backend, bucket, upload, 1, b"part")
        completed, aborted = await asyncio.gather(
            error_code(complete(backend, bucket, upload, [part])), error_code(another.abort_upload(bucket, upload))
        )
        assert sorted([completed, aborted]) == ["NoSuchUpload", "none"]
        there = await error_code(backend.stat_object(bucket, f"key-{n}"))
        assert there == ("none" if completed == "none" else "NoSuchKey")
        assert await backend.list_uploads(bucket, "") == []


async def test_an_abortion_leaves_the_object_of_the_key(backend: Backend, bucket: Bucket) -> None:
    stored = await put(backend, bucket, "key", b"data")
    upload = await start_upload(backend, bucket, "key")
    await put_part(backend, bucket, upload, 1, b"part")
    await backend.abort_upload(bucket, upload)
    assert await get_with_record(backend, bucket, "key") == (b"data", stored)


async def test_deleting_the_object_of_a_key_leaves_its_uploads(backend: Backend, bucket: Bucket) -> None:
    await put(backend, bucket, "key", b"data")
    upload = await start_upload(backend, bucket, "key")
    part = await put_part(backend, bucket, upload, 1, b"part")
    await backend.delete_object(bucket, "key", NO_CONDITION)
    await complete(backend, bucket, upload, [part])
    assert await get(backend, bucket, "key") == b"part"


async def test_an_upload_to_a_bucket_that_is_not_there_finds_no_bucket(backend: Backend, bucket: Bucket) -> None:
    missing = replace(bucket, name="missing")
    assert await error_code(backend.create_upload(missing, new_upload("key"))) == "NoSuchBucket"
