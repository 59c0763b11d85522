"""A handful of operations that do what a test of the pipeline wants to see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from s3gate.core.checksums import Buffer
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord
from s3gate.operations.binding import Document, Header, Query, UserMetadata
from s3gate.operations.call import Call
from s3gate.operations.registry import Level, operation
from s3gate.operations.result import Content, Result


@dataclass(frozen=True, slots=True)
class Words:
    """A document: words between spaces."""

    words: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes) -> Words:
        return cls(tuple(data.decode().split()))


@dataclass(frozen=True, slots=True)
class BucketArgs:
    bucket: str


@dataclass(frozen=True, slots=True)
class NoArgs:
    pass


@dataclass(frozen=True, slots=True)
class ObjectArgs:
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class PutArgs:
    bucket: str
    key: str
    metadata: Annotated[Mapping[str, str], UserMetadata()]
    content_type: Annotated[str | None, Header("content-type")] = None
    storage_class: Annotated[str, Header("x-amz-storage-class")] = "STANDARD"


@dataclass(frozen=True, slots=True)
class GetArgs:
    bucket: str
    key: str
    part: Annotated[int | None, Query("partNumber")] = None


@dataclass(frozen=True, slots=True)
class WordsArgs:
    bucket: str
    words: Annotated[Words, Document(limit=64)]


@dataclass
class Reader:
    """An object of `size` bytes that counts what is asked of it."""

    size: int
    fails_at: int | None = None
    record: ObjectRecord = field(default_factory=lambda: ObjectRecord("e", 0, 0))
    chunks_given: int = 0
    closed: int = 0
    chunk: int = 64 << 10

    async def read(self, start: int, length: int) -> Buffer:
        if self.fails_at is not None:
            raise S3Error("InternalError")
        return b"x" * length

    async def chunks(self, start: int, length: int) -> AsyncIterator[Buffer]:
        at = 0
        while at < length:
            if self.fails_at is not None and at >= self.fails_at:
                raise S3Error("InternalError", "the object got shorter")
            size = min(self.chunk, length - at)
            self.chunks_given += 1
            at += size
            yield b"x" * size

    @property
    def file(self) -> None:
        return None

    def require_unchanged(self) -> None:
        pass

    async def close(self) -> None:
        self.closed += 1


READERS: dict[str, Reader] = {}


@operation("GET", level=Level.SERVICE, action="s3:ListAllMyBuckets")
async def list_buckets(call: Call, args: NoArgs) -> Result:
    return Result(document=b"<Buckets/>")


@operation("PUT", level=Level.BUCKET)
async def create_bucket(call: Call, args: BucketArgs) -> Result:
    await call.storage.create_bucket(args.bucket, call.caller.owner, call.rules.region)
    return Result(headers={"location": f"/{args.bucket}"})


@operation("HEAD", level=Level.BUCKET, action="s3:ListBucket")
async def head_bucket(call: Call, args: BucketArgs) -> Result:
    return Result(headers={"x-amz-bucket-region": call.here.region})


@operation("DELETE", level=Level.BUCKET)
async def delete_bucket(call: Call, args: BucketArgs) -> Result:
    await call.storage.delete_bucket(call.here)
    return Result(204)


@operation("POST ?delete", level=Level.BUCKET, action="s3:DeleteObject")
async def delete_objects(call: Call, args: WordsArgs) -> Result:
    return Result(document="".join(f"<{word}/>" for word in args.words.words).encode())


@operation("PUT", level=Level.OBJECT)
async def put_object(call: Call, args: PutArgs) -> Result:
    size = 0
    while batch := await call.body.batch():
        size += sum(map(len, batch))
    headers = {f"x-amz-meta-{name}": value for name, value in args.metadata.items()}
    return Result(headers={"x-test-size": str(size), "x-test-class": args.storage_class, **headers})


@operation("PUT", level=Level.OBJECT, needs=("x-amz-copy-source",), action="s3:PutObject")
async def copy_object(call: Call, args: ObjectArgs) -> Result:
    call.require("s3:GetObject", call.here, "source")
    return Result(document=b"<Copied/>")


@operation("GET", level=Level.OBJECT)
async def get_object(call: Call, args: GetArgs) -> Result:
    if args.key == "bug":
        raise ZeroDivisionError("secret detail")
    if args.key == "same":
        raise S3Error("NotModified", headers={"etag": '"e"'})
    reader = READERS.get(args.key)
    if reader is None:
        raise S3Error("NoSuchKey", Key=args.key)
    return Result(headers={"etag": '"e"'}, content=Content(reader, 0, reader.size))


@operation("HEAD", level=Level.OBJECT, action="s3:GetObject")
async def head_object(call: Call, args: ObjectArgs) -> Result:
    if args.key not in READERS:
        raise S3Error("NoSuchKey", Key=args.key)
    return Result(headers={"content-length": str(READERS[args.key].size)})
