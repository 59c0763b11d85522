"""Changes to the credentials file: one writer at a time, the whole file rewritten, what is not understood kept."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from s3gate.core.clock import now_ns
from s3gate.durable import write_file
from s3gate.identity.credential_records import Entry, RecordError, format_record, parse_record
from s3gate.identity.file_store import Snapshot, read_snapshot
from s3gate.identity.keys import new_access_key, new_secret_key
from s3gate.identity.model import Credential

__all__ = ["CredentialsFile", "CredentialsFileError", "generate"]


class CredentialsFileError(Exception):
    """A change that cannot be made; the message says why and what to do."""


def generate(template: Credential) -> Credential:
    """A credential like `template` with random keys, made now."""
    return replace(template, access_key=new_access_key(), secret_key=new_secret_key(), created_ns=now_ns())


class CredentialsFile:
    """The credentials file at `path`. Every change is made under a lock, and is durable when the call returns.

    All methods raise CredentialsFileError. The file and its directory are made with the first credential, readable by
    their owner alone.
    """

    def __init__(self, path: str) -> None:
        # A link (as in a mounted secret) is followed, so that a change does not put a file in its place.
        self.path = os.path.realpath(path)

    def read(self) -> Snapshot | None:
        """The file as it is, or None when there is none."""
        try:
            return read_snapshot(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error

    def add(self, credential: Credential) -> None:
        """Append a credential; its access key must be new."""
        try:
            parse_record(format_record(credential))
        except RecordError as error:
            raise CredentialsFileError(f"{error}.") from None
        with self._locked():
            entries = self._entries()
            if _position(entries, credential.access_key) is not None:
                shown = credential.shown_key
                raise CredentialsFileError(
                    f"There is an access key {shown} in {self.path} already: "
                    f"remove it first (s3gate credential remove {shown}), or choose another."
                )
            self._write([*(entry.line for entry in entries), _line(format_record(credential))])

    def add_first(self, template: Credential) -> Credential | None:
        """Generate a credential if the file is missing or blank; None when it holds anything at all.

        Of several processes that start at once, one makes the credential.
        """
        snapshot = self.read()
        if snapshot is not None and snapshot.entries:
            return None
        with self._locked():
            if self._entries():
                return None
            made = generate(template)
            self._write([_line(format_record(made))])
            return made

    def set_enabled(self, access_key: str, enabled: bool) -> str:
        """Switch an access key on or off; its other fields stay. Gives the key as it may be shown."""
        with self._locked():
            entries = self._entries()
            position = self._find(entries, access_key)
            lines = [entry.line for entry in entries]
            lines[position] = _line({**entries[position].fields, "enabled": enabled})
            self._write(lines)
            return _shown(entries[position])

    def remove(self, access_key: str) -> str:
        """Take out every line of an access key. Gives the key as it may be shown."""
        with self._locked():
            entries = self._entries()
            position = self._find(entries, access_key)
            self._write([entry.line for entry in entries if not _has_key(entry, access_key)])
            return _shown(entries[position])

    def _entries(self) -> Sequence[Entry]:
        snapshot = self.read()
        return () if snapshot is None else snapshot.entries

    def _find(self, entries: Sequence[Entry], access_key: str) -> int:
        position = _position(entries, access_key)
        if position is None:
            # It is not said again: it may be a token, of another file.
            raise CredentialsFileError(
                f"There is no such access key in {self.path}: s3gate credential list shows those there are."
            )
        return position

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the file: a sibling, because the file itself is replaced by every change."""
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed("change", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, lines: Sequence[str]) -> None:
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        try:
            owner = _owner_of(self.path)
            write_file(self.path, data, mode=0o600)
            if owner is not None and os.geteuid() == 0:
                os.chown(self.path, *owner)  # the gateway's user can still read what root has changed
        except OSError as error:
            raise self._failed("change", error) from error

    def _failed(self, verb: str, error: OSError) -> CredentialsFileError:
        return CredentialsFileError(
            f"Cannot {verb} the credentials file {self.path}: {error.strerror or error}. "
            "Mend that, or name another file by --credentials-path or S3GATE_CREDENTIALS_PATH."
        )


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields)


def _owner_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid


def _shown(entry: Entry) -> str:
    """The access key of a line, see Credential.shown_key."""
    fields = entry.fields
    return Credential(str(fields.get("access_key", "")), str(fields.get("secret_key", ""))).shown_key


def _has_key(entry: Entry, access_key: str) -> bool:
    return entry.fields.get("access_key") == access_key


def _position(entries: Sequence[Entry], access_key: str) -> int | None:
    """Where the line of an access key is that counts: the last one that is whole, else a broken one."""
    found = [index for index, entry in enumerate(entries) if _has_key(entry, access_key)]
    whole = [index for index in found if entries[index].credential is not None]
    last = whole or found
    return last[-1] if last else None
