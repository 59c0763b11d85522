"""A directory that cannot be read in a listing: one without keys is left out, any other fails the page."""

from __future__ import annotations

import errno
import os

import pytest

from s3gate.core.errors import S3Error
from s3gate.storage.backend import ListQuery
from s3gate.storage.filesystem import tree_cursor
from support.stores import keys, put


@pytest.fixture
def failing(monkeypatch):
    """Make the directory `b` fail to open with the given error number."""
    opened = tree_cursor.open_beneath

    def fail_with(number: int) -> None:
        def open_or_fail(directory: int, path: bytes, flags: int) -> int:
            if path == b"b":
                raise OSError(number, os.strerror(number))
            return opened(directory, path, flags)

        monkeypatch.setattr(tree_cursor, "open_beneath", open_or_fail)

    return fail_with


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_listing_without_descriptors_is_refused_and_never_given_short(backend, bucket, failing, number):
    for key in ("a/key", "b/key", "c/key"):
        await put(backend, bucket, key)
    failing(number)

    with pytest.raises(S3Error) as caught:
        await backend.list_objects(bucket, ListQuery())

    assert caught.value.code == "SlowDown"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM])
async def test_a_listing_on_a_sick_disk_fails_and_is_never_given_short(backend, bucket, failing, number):
    for key in ("a/key", "b/key", "c/key"):
        await put(backend, bucket, key)
    failing(number)

    with pytest.raises(OSError, match=os.strerror(number)):
        await backend.list_objects(bucket, ListQuery())


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES])
async def test_a_directory_that_is_gone_or_closed_to_the_gateway_is_left_out(backend, bucket, failing, number):
    for key in ("a/key", "b/key", "c/key"):
        await put(backend, bucket, key)
    failing(number)

    assert await keys(backend, bucket) == ["a/key", "c/key"]
