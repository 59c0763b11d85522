"""The credential store of the gateway's processes: a JSONL file, kept in memory and read again when it changes."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

import aiofiles
import aiofiles.os

from s3gate.identity.credential_records import Entry, read_entries
from s3gate.identity.model import Credential

__all__ = ["FileCredentialStore", "Snapshot", "read_snapshot"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A credentials file as it was when it was read. `mode` are its permissions, `modified_ns` its time of change."""

    inode: int
    modified_ns: int
    size: int
    mode: int
    entries: tuple[Entry, ...]

    @property
    def signature(self) -> tuple[int, int, int]:
        """What tells that the file has changed."""
        return (self.inode, self.modified_ns, self.size)


def _open_at_once(path: str, flags: int) -> int:
    """An opener that does not wait for the other end of a FIFO, so that it is seen to be one."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _check_plain(status: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a plain file")
    return status


def _snapshot(status: os.stat_result, data: bytes) -> Snapshot:
    mode = stat.S_IMODE(status.st_mode)
    return Snapshot(status.st_ino, status.st_mtime_ns, status.st_size, mode, tuple(read_entries(data)))


def read_snapshot(path: str) -> Snapshot:
    """Read a credentials file. OSError when it is not there, cannot be read or is no plain file."""
    with open(path, "rb", opener=_open_at_once) as file:
        return _snapshot(_check_plain(os.fstat(file.fileno())), file.read())


async def _read_snapshot(path: str) -> Snapshot:
    """The same without holding up the event loop: the file may lie on a disk that sleeps."""
    async with aiofiles.open(path, "rb", opener=_open_at_once) as file:
        return _snapshot(_check_plain(os.fstat(file.fileno())), await file.read())


class FileCredentialStore:
    """A CredentialStore over the file at `path` and the fixed credentials `extra`, which win over the file's.

    A look-up is a look-up in memory. A line that is broken is reported by its number, never by its content, and
    skipped. A file that vanishes or cannot be read leaves the last credentials in force. No file at all is no fault: it
    may be made later.
    """

    def __init__(self, path: str, extra: Sequence[Credential] = ()) -> None:
        self._path = path
        self._extra = {credential.access_key: credential for credential in extra}
        self._credentials = dict(self._extra)
        self._signature: tuple[int, int, int] | None = None
        self._trouble = ""
        self.reload()

    def __len__(self) -> int:
        return len(self._credentials)

    def find(self, access_key: str) -> Credential | None:
        """The credential of this access key, enabled or not, or None."""
        return self._credentials.get(access_key)

    async def refresh(self) -> bool:
        """Read the file again if its inode, time of change or size is another; tells whether it was read."""
        try:
            status = await aiofiles.os.stat(self._path)
            if (status.st_ino, status.st_mtime_ns, status.st_size) == self._signature:
                self._trouble = ""
                return False
            snapshot = await _read_snapshot(self._path)
        except OSError as error:
            self._report(error)
            return False
        self._take(snapshot)
        return True

    def reload(self, extra: Sequence[Credential] | None = None) -> bool:
        """Read the file again at once, under these fixed credentials if they are given; tells whether it could be read.

        When it cannot be read the fixed credentials change all the same.
        """
        if extra is not None:
            gone = self._extra
            self._extra = {credential.access_key: credential for credential in extra}
            kept = {name: each for name, each in self._credentials.items() if gone.get(name) is not each}
            self._credentials = kept | self._extra
        try:
            snapshot = read_snapshot(self._path)
        except OSError as error:
            self._report(error)
            return False
        self._take(snapshot)
        return True

    def _take(self, snapshot: Snapshot) -> None:
        """Put a file's credentials in force, with what tells whether it has changed since."""
        self._trouble = ""
        self._signature = snapshot.signature
        self._credentials = self._merge(snapshot)
        _log.info("%s is read: access keys in force: %d", self._path, len(self._credentials))

    def _merge(self, snapshot: Snapshot) -> dict[str, Credential]:
        """The credentials of the file under the fixed ones; the last line of an access key counts."""
        if snapshot.mode & 0o077:
            _log.warning("%s can be read or written by others (mode %04o): chmod 600 it", self._path, snapshot.mode)
        lines: dict[str, int] = {}
        found: dict[str, Credential] = {}
        for entry in snapshot.entries:
            if entry.credential is None:
                _log.error("%s line %d is skipped: %s", self._path, entry.number, entry.fault)
                continue
            key = entry.credential.access_key
            if key in lines:
                message = "%s: line %d replaces line %d, which has the same access key %s"
                _log.warning(message, self._path, entry.number, lines[key], entry.credential.shown_key)
            if key in self._extra:
                message = "%s line %d is not used: access key %s is also set by the configuration, which counts"
                _log.warning(message, self._path, entry.number, entry.credential.shown_key)
            lines[key] = entry.number
            found[key] = entry.credential
        return found | self._extra

    def _report(self, error: OSError) -> None:
        """Say once, not at every refresh, that the file cannot be read."""
        if isinstance(error, FileNotFoundError) and self._signature is None:
            return
        trouble = error.strerror or str(error)
        if trouble != self._trouble:
            self._trouble = trouble
            _log.error("%s: %s; the credentials read before stay in force", self._path, trouble)
