"""One process of the torture: operations by chance, each noted before and after, and all that they must have led to."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from s3gate.core.conditions import NO_CONDITION, WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket, ObjectRecord
from s3gate.storage.backend import ListQuery, VersionQuery
from support.journal import UNKNOWN, Journal, Model, Version
from support.mutations import LocalBackend
from support.stores import (
    ALICE,
    REGION,
    complete,
    error_code,
    get_with_record,
    put,
    put_part,
    set_versioning,
    start_upload,
)

__all__ = ["Worker"]

KEYS = ["a", "a/b", "a/b/c", "dir/one", "dir/two", "k" * 250, "odd//key/"]
SHARED = ["s/a", "s/a/b", "s/a/b/c", "s/x"]
MOST_VERSIONS = 6
# A bucket that another process is just about to delete is out of sight until it has come back.
PATIENCE = 20.0
_LARGE = {"pad": "p" * 3500}


class Worker:
    """Works on a store until `deadline` (by time.monotonic), after it has checked what the one before it left."""

    def __init__(self, number: int, journal: Journal, chance: random.Random, deadline: float) -> None:
        self._journal = journal
        self._chance = chance
        self._deadline = deadline
        self._number = number
        self._buckets = ["plain", "kept", f"mixed-{number}"]
        self._prefix = f"w{number}/"
        self._model = Model()
        self._counts: Counter[str] = Counter()
        self._backend: LocalBackend

    async def run(self, backend: LocalBackend) -> None:
        """Check, work, check again."""
        self._backend = backend
        await self._take_over()
        await self._check_all()
        self._tell_counts()
        steps = [
            (30, self._put), (8, self._copy), (10, self._multipart), (14, self._delete), (14, self._delete_version),
            (8, self._tag), (3, self._switch), (20, self._read), (8, self._list), (12, self._increment),
            (6, self._create), (6, self._hold), (12, self._share), (8, self._box), (1, self._sweep),
            (2, self._check_all),
        ]  # fmt: skip
        weights, works = [weight for weight, _ in steps], [work for _, work in steps]
        while time.monotonic() < self._deadline:
            await self._chance.choices(works, weights)[0]()
            self._tell_counts()
        await self._check_all()
        self._tell_counts()

    def _tell_counts(self) -> None:
        if self._counts:
            self._journal.note("count", counts=dict(self._counts))
            self._counts.clear()

    # --- the journal
    async def _do(self, work: Callable[[], Awaitable[str]], *accepted: str, **what: Any) -> bool:
        """Do one operation; `work` gives the version id. False where it failed with one of the accepted codes."""
        self._journal.note("do", **what)
        try:
            version_id = await work()
        except S3Error as error:
            if error.code not in accepted:
                raise
            self._journal.note("failed", code=error.code)
            return False
        self._journal.note("done", version=version_id)
        self._model.apply(what, version_id)
        return True

    async def _take_over(self) -> None:
        """Find out whether the operation in which the one before was killed was done: all of it, or nothing."""
        self._model, what = self._journal.replay()
        if what is not None:
            await self._settle(what)
        for name in self._buckets:
            bucket = await self._bucket(name)
            for upload in await self._backend.list_uploads(bucket, self._prefix):
                await self._end(bucket, upload.id, upload.key)
        for n in range(3):
            await self._let_go(f"mutex/{n}")

    async def _settle(self, what: dict[str, Any]) -> None:
        self._counts["settled operations"] += 1
        if what["op"] == "state":
            bucket = await self._bucket(what["bucket"])
            if bucket.versioning == what["state"]:
                self._landed(what, "")
        elif "key" in what:
            found = await self._versions(what["bucket"], what["key"])
            before, after = self._model.of(what["bucket"], what["key"]), self._model.after(what, UNKNOWN)
            if found == before:
                self._journal.note("failed", code="killed")
                return
            version_id = found[0].id if found and what["op"] in ("put", "delete") else ""
            after = self._model.after(what, version_id)
            assert found == after, f"after a kill in {what}:\nthere is {found}\nand was {before}"
            self._landed(what, version_id)

    def _landed(self, what: dict[str, Any], version_id: str) -> None:
        self._journal.note("do", **{name: value for name, value in what.items() if name != "kind"})
        self._journal.note("done", version=version_id)
        self._model.apply(what, version_id)

    async def _end(self, bucket: Bucket, upload_id: str, key: str) -> None:
        """An upload whose process was killed: where its object is there, to complete it again gives that very one."""
        upload = await self._backend.find_upload(bucket, key, upload_id)
        page = await self._backend.list_versions(bucket, VersionQuery(key))
        became = [each.record for each in page.versions if each.key == key and each.record.upload_id == upload_id]
        parts = await self._backend.list_parts(bucket, upload)
        if became and len(parts) == len(became[0].parts):
            assert await complete(self._backend, bucket, upload, parts) == became[0]
            self._counts["uploads completed again"] += 1
        else:
            await self._backend.abort_upload(bucket, upload)

    # --- looking
    async def _bucket(self, name: str) -> Bucket:
        return await self._backend.find_bucket(name)

    async def _patiently(self, work: Callable[[], Awaitable[Any]]) -> Any:
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                return await work()
            except S3Error as error:
                if error.code != "NoSuchBucket" or time.monotonic() > limit:
                    raise
                await asyncio.sleep(0.01)

    async def _whole(self, bucket: Bucket, key: str, version_id: str | None = None) -> tuple[bytes, ObjectRecord]:
        """A version, with its bytes compared to all that its record says of them."""
        data, record = await get_with_record(self._backend, bucket, key, version_id)
        digest = hashlib.md5(data).hexdigest()
        assert record.user_metadata["md5"] == digest, f"{key}: a record of other bytes"
        assert record.size == len(data)
        assert record.etag == digest or record.parts, f"{key}: an ETag of other bytes"
        self._counts["whole reads"] += 1
        return data, record

    async def _versions(self, name: str, key: str) -> list[Version]:
        """The versions of a key as the store has them, each read whole."""
        bucket = await self._patiently(lambda: self._bucket(name))
        page = await self._backend.list_versions(bucket, VersionQuery(key, limit=1000))
        found = []
        for each in page.versions:
            if each.key == key:
                digest = None
                if not each.record.delete_marker:
                    _, record = await self._whole(bucket, key, each.record.version_id)
                    assert record == each.record
                    digest = record.user_metadata["md5"]
                found.append(Version(each.record.version_id, digest, each.record.tags.get("n", "")))
        return found

    async def _check_all(self) -> None:
        """All keys of this process are exactly as they have to be, and listed so."""
        for name in self._buckets:
            await self._check_listing(name)
            for key in KEYS:
                found = await self._versions(name, self._prefix + key)
                wanted = self._model.of(name, self._prefix + key)
                assert found == wanted, f"{name}/{self._prefix}{key}:\nthere is {found}\nand not {wanted}"
                self._counts["checked states of keys"] += 1
        await self._check_box()

    async def _check_listing(self, name: str) -> None:
        bucket = await self._bucket(name)
        found: list[str] = []
        limit = self._chance.choice([1, 2, 1000])
        while True:
            query = ListQuery(self._prefix, after=found[-1] if found else "", limit=limit)
            page = await self._backend.list_objects(bucket, query)
            found += [each.key for each in page.objects]
            if not page.truncated:
                break
        wanted = [
            key
            for (where, key), versions in self._model.keys.items()
            if where == name and versions and versions[0].digest is not None
        ]
        assert found == sorted(wanted, key=str.encode), f"{name}: listed are {found}, there are {wanted}"
        self._counts["checked listings"] += 1

    # --- keys of this process alone
    def _any(self) -> tuple[str, str]:
        return self._chance.choice(self._buckets), self._prefix + self._chance.choice(KEYS)

    def _body(self) -> bytes:
        head = b"%d %x " % (self._number, self._chance.getrandbits(64))
        return head + self._chance.randbytes(self._chance.choice([0, 100, 5_000, 100_000]))

    def _fields(self, digest: str) -> dict[str, Any]:
        return {"user_metadata": {"md5": digest, **(_LARGE if self._chance.random() < 0.1 else {})}}

    async def _put(self) -> None:
        name, key = self._any()
        body = self._body()
        digest = hashlib.md5(body).hexdigest()
        bucket, fields = await self._bucket(name), self._fields(digest)

        async def work() -> str:
            return (await put(self._backend, bucket, key, body, **fields)).version_id

        await self._do(work, op="put", bucket=name, key=key, digest=digest)

    def _living(self, name: str) -> list[str]:
        """Keys of a bucket that have a current version."""
        return [key for (where, key), found in self._model.keys.items() if where == name and found and found[0].digest]

    async def _copy(self) -> None:
        name, key = self._any()
        sources = self._living(name)
        if not sources:
            return
        source = self._chance.choice(sources)
        bucket = await self._bucket(name)
        digest = self._model.of(name, source)[0].digest or ""
        reader = await self._backend.open_object(bucket, source)
        try:
            record = replace(reader.record, tags={}, upload_id="", parts=(), etag=digest)

            async def work() -> str:
                async with self._backend.stage(bucket) as stage:
                    await stage.copy(reader, 0, record.size)
                    return (await self._backend.commit_object(bucket, stage, key, record, NO_CONDITION)).version_id

            await self._do(work, op="put", bucket=name, key=key, digest=digest)
        finally:
            await reader.close()

    async def _multipart(self) -> None:
        name, key = self._any()
        pieces = [self._body() for _ in range(self._chance.randint(1, 4))]
        digest = hashlib.md5(b"".join(pieces)).hexdigest()
        bucket, fields = await self._bucket(name), self._fields(digest)
        is_aborted = self._chance.random() < 0.2

        async def work() -> str:
            template = replace(ObjectRecord("", 0, 0), **fields)
            upload = await start_upload(self._backend, bucket, key, template=template)
            for number, piece in enumerate(pieces, 1):
                if self._chance.random() < 0.2:
                    await put_part(self._backend, bucket, upload, number, b"to be replaced")
                await put_part(self._backend, bucket, upload, number, piece)
            parts = await self._backend.list_parts(bucket, upload)
            if is_aborted:
                await self._backend.abort_upload(bucket, upload)
                return ""
            return (await complete(self._backend, bucket, upload, parts)).version_id

        if is_aborted:
            await self._do(work, op="abort")
        else:
            await self._do(work, op="put", bucket=name, key=key, digest=digest)

    async def _delete(self) -> None:
        name, key = self._any()
        bucket = await self._bucket(name)

        async def work() -> str:
            return (await self._backend.delete_object(bucket, key, NO_CONDITION)).version_id

        await self._do(work, op="delete", bucket=name, key=key)

    async def _delete_version(self) -> None:
        name, key = self._any()
        versions = self._model.of(name, key)
        for _ in range(max(1, len(versions) - MOST_VERSIONS)):
            if not versions:
                return
            version_id = self._chance.choice(versions).id
            bucket = await self._bucket(name)

            async def work(bucket: Bucket = bucket, version_id: str = version_id) -> str:
                await self._backend.delete_object(bucket, key, NO_CONDITION, version_id)
                return ""

            await self._do(work, op="delete version", bucket=name, key=key, version=version_id)
            versions = self._model.of(name, key)

    async def _tag(self) -> None:
        name, _ = self._any()
        keys = self._living(name)
        if not keys:
            return
        key, tag = self._chance.choice(keys), f"{self._chance.getrandbits(64):x}"
        bucket = await self._bucket(name)

        async def work() -> str:
            await self._backend.update_object(bucket, key, lambda record: replace(record, tags={"n": tag}))
            return ""

        await self._do(work, op="tag", bucket=name, key=key, tag=tag)

    async def _switch(self) -> None:
        name, state = self._buckets[2], self._chance.choice(["Enabled", "Suspended"])
        bucket = await self._bucket(name)

        async def work() -> str:
            await set_versioning(self._backend, bucket, state)
            return ""

        await self._do(work, op="state", bucket=name, state=state)

    async def _read(self) -> None:
        name, key = self._any()
        found = await self._versions(name, key)
        assert found == self._model.of(name, key)
        self._counts["checked states of keys"] += 1

    async def _list(self) -> None:
        await self._check_listing(self._chance.choice(self._buckets))

    # --- shared keys
    async def _has(self, bucket: Bucket, key: str) -> bool:
        return await error_code(self._backend.stat_object(bucket, key)) != "NoSuchKey"

    async def _increment(self) -> None:
        bucket = await self._bucket("shared")
        condition, value = WriteCondition(if_none_match="*"), 1
        if await self._has(bucket, "counter"):
            data, record = await self._whole(bucket, "counter")
            condition, value = WriteCondition(if_match=record.etag), int(data) + 1

        async def work() -> str:
            body = b"%d" % value
            digest = hashlib.md5(body).hexdigest()
            await put(self._backend, bucket, "counter", body, condition=condition, **self._fields(digest))
            return ""

        await self._do(work, "PreconditionFailed", op="increment", value=value)

    async def _create(self) -> None:
        """One more key that all try to be the first to create."""
        bucket = await self._bucket("shared")
        name = f"first/{self._chance.randrange(8)}/{int(time.time() * 2) % 100_000}"
        body = self._body()
        digest = hashlib.md5(body).hexdigest()

        async def work() -> str:
            condition = WriteCondition(if_none_match="*")
            await put(self._backend, bucket, name, body, condition=condition, **self._fields(digest))
            return ""

        await self._do(work, "PreconditionFailed", op="create", name=name, digest=digest)

    async def _hold(self) -> None:
        """A key as a lock: who creates it has it, and only who has it deletes it."""
        bucket = await self._bucket("shared")
        key = f"mutex/{self._chance.randrange(3)}"
        token = b"%d holds this %x" % (self._number, self._chance.getrandbits(64))
        digest = hashlib.md5(token).hexdigest()

        async def take() -> str:
            condition = WriteCondition(if_none_match="*")
            await put(self._backend, bucket, key, token, condition=condition, user_metadata={"md5": digest})
            return ""

        if await self._do(take, "PreconditionFailed", op="take"):
            for _ in range(3):
                assert (await self._whole(bucket, key))[0] == token, "another has taken what is held here"
                await asyncio.sleep(0)
            await self._do(lambda: self._release(bucket, key, digest), op="let go")

    async def _release(self, bucket: Bucket, key: str, etag: str) -> str:
        await self._backend.delete_object(bucket, key, WriteCondition(if_match=etag))
        return ""

    async def _let_go(self, key: str) -> None:
        """Let go of what the killed one before held."""
        bucket = await self._bucket("shared")
        try:
            data, record = await self._whole(bucket, key)
        except S3Error as error:
            if error.code != "NoSuchKey":
                raise
            return
        if data.startswith(b"%d holds" % self._number):
            await self._release(bucket, key, record.etag)

    async def _share(self) -> None:
        """Keys that all write, read and delete, each the directory of the next."""
        bucket = await self._bucket("shared")
        key = self._chance.choice(SHARED)
        body = self._body()
        digest = hashlib.md5(body).hexdigest()
        doing = self._chance.random()

        async def work() -> str:
            if doing < 0.4:
                await put(self._backend, bucket, key, body, **self._fields(digest))
            elif doing < 0.55:
                await self._backend.delete_object(bucket, key, NO_CONDITION)
            elif doing < 0.9:
                await self._whole(bucket, key)
            else:
                page = await self._backend.list_objects(bucket, ListQuery("s/"))
                listed = [each.key for each in page.objects]
                assert listed == sorted(set(listed)), f"listed out of order or twice: {listed}"
            return ""

        await self._do(work, "NoSuchKey", op="share")

    async def _box(self) -> None:
        """A bucket that is made and deleted all the time: what was put into it and acknowledged does not go with it."""
        key = self._prefix + "thing"
        doing = self._chance.random()
        gone = ("NoSuchBucket", "BucketNotEmpty", "BucketAlreadyOwnedByYou")

        async def work() -> str:
            if doing < 0.5:
                await self._backend.create_bucket("box", ALICE, REGION)
            else:
                await self._backend.delete_bucket(await self._bucket("box"))
            return ""

        if doing < 0.3 or 0.5 <= doing < 0.7:
            await self._do(work, *gone, op="box")
            return
        if self._model.of("box", key):
            await self._check_box()
            bucket = await self._patiently(lambda: self._bucket("box"))

            async def delete() -> str:
                await self._patiently(lambda: self._backend.delete_object(bucket, key, NO_CONDITION))
                return ""

            await self._do(delete, op="delete", bucket="box", key=key)
        else:
            body = self._body()
            digest = hashlib.md5(body).hexdigest()

            async def store() -> str:
                bucket = await self._bucket("box")
                return (await put(self._backend, bucket, key, body, user_metadata={"md5": digest})).version_id

            await self._do(store, *gone, op="put", bucket="box", key=key, digest=digest)

    async def _check_box(self) -> None:
        """What was acknowledged in the bucket that others delete is there."""
        key = self._prefix + "thing"
        wanted = self._model.of("box", key)
        if wanted:
            bucket = await self._patiently(lambda: self._bucket("box"))
            found = await self._patiently(lambda: self._whole(bucket, key))
            assert found[1].etag == wanted[0].digest, "another thing than was put into the box"
            self._counts["checked states of keys"] += 1

    async def _sweep(self) -> None:
        await self._backend.sweep()
        self._counts["sweeps"] += 1
