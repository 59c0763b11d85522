"""Which gateway was started at an address: a file that is locked for as long as it runs, and says what it is.

The file of a gateway that was killed stays. Nobody holds its lock then, whatever process has the number that it names.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from s3gate.cli.errors import CommandError
from s3gate.durable import write_all
from s3gate.storage.filesystem.lock_kinds import LOCK_FILE, is_locked_byte, lock_byte

__all__ = ["PidFile", "Record", "find", "others", "started_at"]

_SUFFIX = ".pid"
_ODD = re.compile(r"[^A-Za-z0-9.-]")
_PLAIN = re.compile(r"[A-Za-z0-9.-]{1,200}:[0-9]+")
_LONGEST = 200
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Record:
    """A gateway that was started. `options` and `conf` are what its command line gave, `directory` where it was given.

    `started` is the time of its start as /proc/PID/stat has it, in ticks since the boot: with it the number of a
    process means no other. `probe` is the URL below which it answers probes.
    """

    pid: int
    started: int
    listen: str
    urls: tuple[str, ...]
    probe: str
    data_dir: str
    log: str
    version: str
    workers: int
    grace_secs: int
    directory: str
    conf: str | None
    options: Mapping[str, Any]


class PidFile:
    """The file of the gateway at `listen` (the text of the setting) in `directory`."""

    def __init__(self, directory: str, listen: str) -> None:
        self.path = os.path.join(directory, _name(listen) + _SUFFIX)
        self._fd = -1

    @classmethod
    def at(cls, path: str) -> PidFile:
        """The file at a path."""
        found = cls("", "")
        found.path = path
        return found

    @property
    def log_path(self) -> str:
        """Where the messages of this gateway go, unless a setting says otherwise."""
        return self.path.removesuffix(_SUFFIX) + ".log"

    def claim(self) -> bool:
        """Take the lock, for this process and those that it forks; False when a gateway has it.

        What a killed gateway has left in the file goes. Raises CommandError when the file cannot be made.
        """
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            for _ in range(_ATTEMPTS):
                fd = os.open(self.path, LOCK_FILE, 0o600)
                try:
                    if not lock_byte(fd, fcntl.F_OFD_SETLK, 0):
                        return False
                    if self._is(fd):
                        os.ftruncate(fd, 0)
                        self._fd, fd = fd, -1
                        return True
                finally:
                    if fd >= 0:
                        os.close(fd)
        except OSError as error:
            raise CommandError(
                f"Cannot keep note of the gateway in {self.path}: {error.strerror or error}. "
                "Mend that, or name another directory by --run-dir or S3GATE_RUN_DIR."
            ) from error
        return False

    def _is(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path, follow_symlinks=False))
        except FileNotFoundError:
            return False  # its gateway has ended since it was opened

    def write(self, record: Record) -> None:
        """Say what the gateway is; the lock must be held."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        write_all(self._fd, json.dumps(asdict(record)).encode() + b"\n")

    def release(self) -> None:
        """Remove the file, and let go of the lock. What another gateway has made there meanwhile stays.

        Of several processes that have the lock each lets go; as long as one has it the file is nobody else's.
        """
        with contextlib.suppress(FileNotFoundError):
            if self._is(self._fd):
                os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1

    @property
    def is_held(self) -> bool:
        """Whether a gateway has the lock: it runs, or just starts or ends."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            return is_locked_byte(fd, fcntl.F_OFD_GETLK, 0)
        finally:
            os.close(fd)

    def read(self) -> Record | None:
        """What the file says; None when it is not there, or its gateway has not come to write it."""
        try:
            with open(self.path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            fields = json.loads(text)
            return Record(**{**fields, "urls": tuple(fields["urls"])})
        except (ValueError, TypeError, KeyError):
            return None  # cut off, or of another version

    def remove_stale(self) -> bool:
        """Remove the file if no gateway has its lock; tells whether there was one to remove."""
        if not os.path.exists(self.path) or not self.claim():
            return False
        self.release()
        return True

    def _unreadable(self, error: OSError) -> CommandError:
        return CommandError(f"Cannot read {self.path}: {error.strerror or error}.")


def _name(listen: str) -> str:
    """A name for a file that no other address has; addresses that are not HOST:PORT need a few digits for that."""
    readable = _ODD.sub("_", listen)[:_LONGEST]
    if _PLAIN.fullmatch(listen):
        return readable
    return f"{readable}-{hashlib.blake2b(listen.encode(), digest_size=4).hexdigest()}"


def find(directory: str, listen: str, *, named: bool, conf: str | None = None) -> PidFile:
    """The file of the gateway at `listen`; where none runs there, of the only one that was started by the file `conf`.

    When nobody has `named` an address, of the only one that runs, or where none does of the only one that was killed.
    """
    wanted = PidFile(directory, listen)
    if wanted.is_held or (named and conf is None):
        return wanted
    files = list(_all_in(directory))
    running = [each for each in files if each.is_held]
    if named:
        found = [each for each in running if _is_by(each.read(), conf)]
    else:
        found = running or [each for each in files if each.read() is not None]
    return found[0] if len(found) == 1 else wanted


def _is_by(record: Record | None, conf: str | None) -> bool:
    """Whether a gateway has its address from a file of settings, which may name another one by now."""
    return record is not None and record.conf == conf and "listen" not in record.options


def _all_in(directory: str) -> Iterator[PidFile]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise CommandError(f"Cannot look into {directory}: {error.strerror or error}.") from error
    for name in names:
        if name.endswith(_SUFFIX):
            yield PidFile.at(os.path.join(directory, name))


def others(directory: str) -> Iterator[Record]:
    """The gateways that run, whatever their addresses are."""
    for each in _all_in(directory):
        record = each.read()
        if record is not None and each.is_held:
            yield record


def started_at(pid: int) -> int | None:
    """When a process was started, in ticks since the boot; None when there is none that still runs."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc_pid_stat(5): what follows the name begins with field 3, the state; the start time is field 22
    return None if fields[0] == b"Z" else int(fields[19])
