"""That one process works on a data directory, where no lock tells: a file that names it, made by link(2).

The file is left behind by a process that was killed. On the same kernel and in the same namespace of processes it is
seen that the process is gone, and the file is taken over; from elsewhere nobody can tell, and a person has to.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import uuid
from typing import Any

from s3gate.core.names import RESERVED
from s3gate.durable import write_all
from s3gate.storage.backend import StartError

__all__ = ["SoleProcess"]

_FILE = f"{RESERVED}/locks/process"
_ATTEMPTS = 10


class SoleProcess:
    """The claim of this process on a data directory, until `close`. Raises StartError when another has it.

    Several claims of one process stand beside each other: within it the table of process_locks decides.
    """

    _claims: dict[tuple[int, int, int], int] = {}  # by process id and directory: how many there are

    def __init__(self, root_fd: int, root: str) -> None:
        stat = os.fstat(root_fd)
        self._key = os.getpid(), stat.st_dev, stat.st_ino
        self._root_fd = root_fd
        if not self._claims.get(self._key):
            _claim(root_fd, root)
        self._claims[self._key] = self._claims.get(self._key, 0) + 1

    def close(self) -> None:
        """Let another process have it."""
        self._claims[self._key] -= 1
        if not self._claims[self._key] and self._key[0] == os.getpid():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_FILE, dir_fd=self._root_fd)


def _claim(root_fd: int, root: str) -> None:
    own = f"{_FILE}-{uuid.uuid4().hex}"
    fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
    try:
        try:
            write_all(fd, json.dumps(_identity(os.getpid())).encode())
        finally:
            os.close(fd)
        for _ in range(_ATTEMPTS):
            try:
                os.link(own, _FILE, src_dir_fd=root_fd, dst_dir_fd=root_fd)
            except FileExistsError:
                _take_over(root_fd, root)
            else:
                return
        raise StartError(f"{root} is claimed by other gateways as often as it is free: start one alone")
    finally:
        os.unlink(own, dir_fd=root_fd)


def _take_over(root_fd: int, root: str) -> None:
    """Remove the claim of a process that is gone for sure; StartError where it is not."""
    there = _read(root_fd, _FILE)
    if there is None:
        return
    if not _is_gone(there):
        raise StartError(
            f"No lock keeps other processes out of {root}, and process {there.get('pid')} on host {there.get('host')} "
            f"works on it already: stop that one first. If it is gone for sure, remove {os.path.join(root, _FILE)}."
        )
    aside = f"{_FILE}-{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(_FILE, aside, src_dir_fd=root_fd, dst_dir_fd=root_fd)
        if _read(root_fd, aside) != there:  # another one was faster: it has the claim
            with contextlib.suppress(FileExistsError):
                os.link(aside, _FILE, src_dir_fd=root_fd, dst_dir_fd=root_fd)
        os.unlink(aside, dir_fd=root_fd)


def _read(root_fd: int, path: str) -> dict[str, Any] | None:
    """What a claim says; {} for one that says nothing, None where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        try:
            fields = json.load(file)
        except ValueError:
            return {}
    return fields if isinstance(fields, dict) else {}


def _identity(pid: int) -> dict[str, Any]:
    """What tells a process from any other, on this kernel and on others."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    with open(f"/proc/{pid}/stat", "rb") as stat:
        started = int(stat.read().rpartition(b")")[2].split()[19])
    return {
        "pid": pid,
        "started": started,
        "namespace": os.readlink("/proc/self/ns/pid"),
        "boot": boot,
        "host": socket.gethostname(),
    }


def _is_gone(claim: dict[str, Any]) -> bool:
    here = _identity(os.getpid())
    if claim.get("boot") != here["boot"] or claim.get("namespace") != here["namespace"]:
        return False
    try:
        return bool(_identity(int(claim["pid"]))["started"] != claim["started"])
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (KeyError, TypeError, ValueError):
        return False
