"""Parts, completions and an abortion of one upload by several processes at once: one whole object, or none."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, Part, Upload
from s3gate.storage.filesystem import assembly
from support.forks import fork, in_child, status_of
from support.mutations import LocalBackend, on
from support.observed import is_true
from support.stores import (
    ALICE,
    REGION,
    complete,
    error_code,
    get_with_record,
    set_versioning,
    start_upload,
    unchanged,
    versions,
)
from support.torture import MINUTES, SEED

PARTS = 4
SIZE = 40_000
ROUNDS = 100 if MINUTES else 12
_EXPECTED = {"NoSuchUpload", "InvalidPart", "none"}


async def send(backend: LocalBackend, bucket: Bucket, upload: Upload, number: int, data: bytes, pause: float) -> None:
    """A part that takes its time."""
    async with backend.stage_part(bucket, upload, number, len(data)) as stage:
        for start in range(0, len(data), 10_000):
            await stage.write([data[start : start + 10_000]], unchanged)
            await asyncio.sleep(pause)
        await backend.commit_part(bucket, upload, stage, Part(number, len(data), hashlib.md5(data).hexdigest(), 0))


async def senders(backend: LocalBackend, bucket: Bucket, upload: Upload, seed: str) -> None:
    """Parts, again and again, until the upload has ended."""
    chance = random.Random(seed)

    async def one() -> None:
        while True:
            size = chance.choice([SIZE, SIZE, SIZE, SIZE // 3])
            await send(backend, bucket, upload, chance.randint(1, PARTS), chance.randbytes(1) * size, 0.0005)

    outcomes = await asyncio.gather(*(error_code(one()) for _ in range(3)))
    assert set(outcomes) == {"NoSuchUpload"}


async def ender(backend: LocalBackend, bucket: Bucket, upload: Upload, seed: str, *, aborts: bool) -> None:
    """Completes what is there, until the upload has ended; told the same as everybody who was told anything."""
    chance = random.Random(seed)
    await asyncio.sleep(chance.random() * 0.05)
    while True:
        try:
            parts = await backend.list_parts(bucket, upload)
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise
            return
        if aborts and chance.random() < 0.3:
            assert await error_code(backend.abort_upload(bucket, upload)) in _EXPECTED
        elif parts:
            outcome = await error_code(complete(backend, bucket, upload, parts))
            assert outcome in _EXPECTED, outcome
            if outcome == "none":
                again = await complete(backend, bucket, upload, parts)
                assert again.upload_id == upload.id


@pytest.mark.parametrize("upload_parts", ["in-place", "separate"])
@pytest.mark.parametrize("aborts", [False, True])
def test_an_upload_becomes_one_whole_object_or_none(tmp_path: Path, upload_parts: str, aborts: bool) -> None:
    seed = SEED or 5

    async def prepare(backend: LocalBackend) -> Bucket:
        bucket = await backend.create_bucket("bucket", ALICE, REGION)
        await set_versioning(backend, bucket, "Enabled")
        return bucket

    settings = {"upload_parts": upload_parts}
    bucket = on(tmp_path, prepare, **settings)
    for turn in range(ROUNDS):
        upload = on(tmp_path, lambda backend, turn=turn: start_upload(backend, bucket, f"key-{turn}"), **settings)
        tag = f"{seed} {turn}"
        works = [lambda b, tag=tag, n=n: senders(b, bucket, upload, f"{tag} {n}") for n in range(2)]  # noqa: B023
        works += [lambda b, tag=tag, n=n: ender(b, bucket, upload, f"{tag} e{n}", aborts=aborts) for n in range(2)]  # noqa: B023
        children = [fork(lambda work=work: on(tmp_path, work, **settings)) for work in works]
        assert [status_of(child) for child in children] == [0] * len(children), f"seed {tag}"
        on(tmp_path, lambda backend, turn=turn: check(backend, bucket, f"key-{turn}", aborts=aborts))


async def check(backend: LocalBackend, bucket: Bucket, key: str, *, aborts: bool) -> None:
    found = [each for each in await versions(backend, bucket, key) if each.key == key]
    assert len(found) <= 1
    assert found or aborts
    for each in found:
        data, record = await get_with_record(backend, bucket, key, each.record.version_id)
        assert record.parts, f"{key} was changed behind its completion, and has lost its record"
        assert is_true(data, record), f"{key}: {len(data)} bytes are not those of {record}"
    assert await backend.list_uploads(bucket, "") == []


@pytest.mark.parametrize("metadata", ["xattr", "sidecar"])
def test_a_process_that_is_killed_while_it_writes_or_completes_leaves_what_can_be_completed(
    tmp_path: Path, metadata: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part that was acknowledged is there, and the object is theirs."""
    monkeypatch.setattr(assembly, "_PATIENCE", 0.01)
    chance = random.Random(SEED or 11)
    settings = {"metadata": metadata}

    async def prepare(backend: LocalBackend) -> Bucket:
        return await backend.create_bucket("bucket", ALICE, REGION)

    bucket = on(tmp_path, prepare, **settings)
    for turn in range(ROUNDS):
        upload = on(tmp_path, lambda backend, turn=turn: start_upload(backend, bucket, f"key-{turn}"), **settings)
        works = [
            lambda b, n=n, tag=turn: senders(b, bucket, upload, f"{tag} {n}")  # noqa: B023
            for n in range(2)
        ]
        works.append(lambda b, tag=turn: ender(b, bucket, upload, f"{tag} e", aborts=False))  # noqa: B023
        children = [fork(lambda work=work: on(tmp_path, work, **settings)) for work in works]
        time.sleep(0.05 + chance.random() * 0.2)
        for child in children:
            os.kill(child, signal.SIGKILL)
        assert {status_of(child) for child in children} <= {0, -signal.SIGKILL}
        in_child(lambda turn=turn: on(tmp_path, lambda b: finish(b, bucket, f"key-{turn}"), **settings))


async def finish(backend: LocalBackend, bucket: Bucket, key: str) -> None:
    for upload in await backend.list_uploads(bucket, key):
        parts = await backend.list_parts(bucket, upload)
        if not parts:
            await backend.abort_upload(bucket, upload)
        elif await error_code(backend.stat_object(bucket, key)) == "none":
            # It was killed between the commit and its being noted, and may be asked with another list of parts.
            if await error_code(complete(backend, bucket, upload, parts)) != "none":
                await backend.abort_upload(bucket, upload)
        else:
            await complete(backend, bucket, upload, parts)
    await check(backend, bucket, key, aborts=True)
