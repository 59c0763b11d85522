"""Files that appear whole or not at all, and that a loss of power does not take back."""

from __future__ import annotations

import os
import secrets

__all__ = ["fsync_directory", "write_all", "write_file"]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable: those that were made, renamed or removed before this call."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of `data`, however little the kernel takes in one call."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(path: Path, data: bytes, *, mode: int, durable: bool = True) -> None:
    """Make `data` the content of the file at `path`, with exactly the permissions `mode`.

    Temporary file in the same directory, write, fsync, rename, fsync of the directory: a reader sees the old file or
    the new one, and with `durable` the new one outlives a loss of power once this returns. Without `durable` the two
    fsyncs are left out. A symbolic link at `path` is replaced, not followed. On any error (OSError) the old file
    stands and the temporary one is gone.
    """
    directory, name = os.path.split(os.fsencode(path))
    temporary = os.path.join(directory, b".%s.%s.tmp" % (name[:200], secrets.token_hex(8).encode()))
    try:
        _write_new(temporary, data, mode, durable=durable)
        os.rename(temporary, os.path.join(directory, name))
    except BaseException:
        _remove(temporary)
        raise
    if durable:
        fsync_directory(directory or b".")


def _write_new(path: bytes, data: bytes, mode: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o700)
    try:
        os.fchmod(descriptor, mode)  # the mode of open() is cut by the umask
        write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it was never made
