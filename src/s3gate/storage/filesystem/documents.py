"""The documents of a bucket (versioning, policy, …): one file each in `.s3gate/conf`, replaced as a whole."""

from __future__ import annotations

import contextlib
import os

from s3gate.storage.filesystem.bucket_directory import CONF, BucketDirectory

__all__ = ["delete", "put"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def put(bucket: BucketDirectory, kind: str, data: bytes) -> None:
    """See Backend.put_document."""
    stage = bucket.stage()
    try:
        await stage.write([data], lambda pieces: pieces)
        if bucket.durability.files:
            await stage.run(bucket.durability.sync_file, stage.fd)
        with contextlib.suppress(FileExistsError):
            os.mkdir(CONF, 0o700, dir_fd=bucket.fd)
        conf = os.open(CONF, _DIRECTORY, dir_fd=bucket.fd)
        try:
            os.rename(stage.name, kind.encode(), src_dir_fd=stage.directory, dst_dir_fd=conf)
            stage.committed = True
            await bucket.durability.sync_directories([conf])
        finally:
            os.close(conf)
    finally:
        stage.discard()
    bucket.check_current()


async def delete(bucket: BucketDirectory, kind: str) -> None:
    """See Backend.delete_document."""
    bucket.check_writable()
    with contextlib.suppress(FileNotFoundError):
        conf = os.open(CONF, _DIRECTORY, dir_fd=bucket.fd)
        try:
            os.unlink(kind.encode(), dir_fd=conf)
            await bucket.durability.sync_directories([conf])
        finally:
            os.close(conf)
