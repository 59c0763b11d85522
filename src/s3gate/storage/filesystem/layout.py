"""Names and places of what the gateway keeps beside the objects, and the marker that says which format it is."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from dataclasses import dataclass
from typing import Any

from s3gate.core import clock
from s3gate.core.names import RESERVED
from s3gate.core.values import Owner
from s3gate.durable import fsync_directory, write_all, write_file
from s3gate.identity.model import ROOT
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import lock_choice
from s3gate.storage.filesystem.lock_kinds import LockKind
from s3gate.storage.filesystem.metadata import ATTRIBUTE

__all__ = [
    "FORMAT_VERSION",
    "BucketRecord",
    "adopted",
    "lock_kind",
    "marker_path",
    "open_root",
    "probe_metadata",
    "read_bucket_record",
    "write_bucket_record",
]

FORMAT_VERSION = 1
_FORMAT_FILE = "format.json"
_ROOT_DIRECTORIES = ("locks", "new", "trash")
_BUCKET_FILE = "bucket.json"
_PROBE_BYTES = 3000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BucketRecord:
    """What bucket.json says. `metadata` is "xattr" or "sidecar": where this bucket keeps the records of its files."""

    owner: Owner
    region: str
    created_ns: int
    metadata: str


def open_root(root: str, *, read_only: bool, locks: str = lock_choice.AUTO) -> int:
    """Open the data directory, making what is missing, and check its format. Raises StartError with the remedy.

    `locks` is the kind of locks of a new directory. Where that is to be found out this forks: no thread may run yet.
    """
    try:
        if not read_only:
            os.makedirs(root, exist_ok=True)
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"cannot open the data directory {root}: {error.strerror}") from error
    try:
        _check_format(root, read_only=read_only)
        if not read_only:
            _make_control(root, locks)
    except OSError as error:
        os.close(fd)
        uid = os.geteuid()
        raise StartError(
            f"cannot write to the data directory {root}: {error.strerror}. The gateway runs as user {uid}: "
            f"run `chown {uid} {root}`, or serve it with --read-only"
        ) from error
    except StartError:
        os.close(fd)
        raise
    return fd


def marker_path(root: str) -> str:
    """Where the format marker of a data directory is."""
    return os.path.join(root, RESERVED, _FORMAT_FILE)


def _read_marker(root: str) -> dict[str, Any] | None:
    """The format marker, or None in a directory that was never served. Raises StartError where it is damaged."""
    path = marker_path(root)
    try:
        with open(path, "rb") as file:
            marker: dict[str, Any] = json.load(file)
        marker["format"], int(marker["min_reader"]), int(marker["min_writer"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise StartError(
            f"{path} is damaged ({error!r}): restore it from a backup, or remove it if it is empty"
        ) from error
    return marker


def _check_format(root: str, *, read_only: bool) -> None:
    marker = _read_marker(root)
    if marker is None:
        return
    path, reader, writer = marker_path(root), int(marker["min_reader"]), int(marker["min_writer"])
    if marker["format"] != "s3gate-posix":
        raise StartError(
            f"{path} says that the directory is of another format: {marker['format']}. Serve another directory"
        )
    if reader > FORMAT_VERSION:
        raise StartError(f"{path} was written by a newer s3gate (needs format {reader}): upgrade")
    if writer > FORMAT_VERSION and not read_only:
        raise StartError(
            f"{path} was written by a newer s3gate (writing needs format {writer}): upgrade, or serve --read-only"
        )


def lock_kind(root: str, setting: str = lock_choice.AUTO) -> LockKind:
    """The kind of locks by which all processes on a data directory keep one another out: as its marker says.

    "ofd" where it says nothing, for the first gateways had no other; "none" in a directory without a marker. Raises
    StartError where the marker says another one than the setting.
    """
    path, marker = marker_path(root), _read_marker(root)
    name = lock_choice.NONE if marker is None else marker.get("locks", lock_choice.FIRST)
    if name not in lock_choice.KINDS:
        raise StartError(f"{path} names locks of a kind that this s3gate does not know ({name}): upgrade")
    if setting not in (lock_choice.AUTO, name):
        raise StartError(
            f"The processes on {root} keep one another out by locks of the kind {name}, as {path} says, and these are "
            f"set to {setting}: all must use the same. Unset it (--locks auto), or stop every gateway on the directory "
            f'and write "locks": "{setting}" into that file.'
        )
    return lock_choice.KINDS[name]


def _make_control(root: str, locks: str) -> None:
    control = os.path.join(root, RESERVED)
    for name in ("", *_ROOT_DIRECTORIES):
        os.makedirs(os.path.join(control, name), mode=0o700, exist_ok=True)
    if not os.path.exists(marker_path(root)):
        chosen = lock_choice.choose(lock_choice.places(root)) if locks == lock_choice.AUTO else locks
        marker = {
            "format": "s3gate-posix",
            "version": FORMAT_VERSION,
            "min_reader": FORMAT_VERSION,
            "min_writer": FORMAT_VERSION,
            "deployment_id": str(uuid.uuid4()),
            "created": clock.iso_date(clock.now_ns()),
            "locks": chosen,
        }
        _write_marker(marker_path(root), json.dumps(marker, indent=1).encode())
    if not os.access(root, os.W_OK):
        raise PermissionError(13, "Permission denied", root)


def _write_marker(path: str, data: bytes) -> None:
    """Of several gateways that start at once the marker of one counts: the others find it there."""
    temporary = f"{path}.{uuid.uuid4().hex}"
    write_file(temporary, data, mode=0o600)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    fsync_directory(os.path.dirname(path))


def probe_metadata(control_fd: int, setting: str) -> str:
    """Where a new bucket keeps its records: as set, or by whether the filesystem takes an attribute of full size.

    Raises OSError when xattr is demanded and not to be had.
    """
    if setting == "sidecar":
        return "sidecar"
    name = f"tmp/probe-{uuid.uuid4().hex}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=control_fd)
    try:
        os.setxattr(fd, ATTRIBUTE, b"\0" * _PROBE_BYTES)
    except OSError:
        if setting == "xattr":
            raise
        _log.warning("the filesystem has no extended attributes of %d bytes: records go to sidecar files", _PROBE_BYTES)
        return "sidecar"
    finally:
        os.close(fd)
        os.unlink(name, dir_fd=control_fd)
    return "xattr"


def read_bucket_record(bucket_fd: int) -> BucketRecord | None:
    """bucket.json of an open bucket, or None for a directory that the gateway has not written to yet.

    Raises ValueError where it is damaged.
    """
    try:
        fd = os.open(f"{RESERVED}/{_BUCKET_FILE}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=bucket_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(fd, "rb") as file:
        fields: dict[str, Any] = json.load(file)
    try:
        return BucketRecord(
            owner=Owner(fields["owner"]["id"], fields["owner"]["display_name"]),
            region=fields["region"],
            created_ns=fields["created_ns"],
            metadata=fields["metadata"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{_BUCKET_FILE} lacks a field: {error}") from error


def write_bucket_record(control_fd: int, record: BucketRecord) -> None:
    """Write bucket.json into an open control directory unless it is there; of several writers the first one's stays."""
    fields = {
        "version": FORMAT_VERSION,
        "owner": {"id": record.owner.id, "display_name": record.owner.display_name},
        "region": record.region,
        "created_ns": record.created_ns,
        "metadata": record.metadata,
    }
    temporary = f"tmp/bucket-{uuid.uuid4().hex}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=control_fd)
    try:
        write_all(fd, json.dumps(fields, indent=1).encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    with contextlib.suppress(FileExistsError):
        os.link(temporary, _BUCKET_FILE, src_dir_fd=control_fd, dst_dir_fd=control_fd)
    os.unlink(temporary, dir_fd=control_fd)
    os.fsync(control_fd)


def adopted(created_ns: int) -> BucketRecord:
    """What holds for a directory that was there before: it belongs to the root account."""
    return BucketRecord(ROOT, "", created_ns, "")
