"""A process that goes on when the command that started it has ended."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

from s3gate.cli.errors import CommandError

__all__ = ["detach", "write_to"]

_READY = b"ready"


def write_to(log: str, *descriptors: int) -> None:
    """Have what is written to these descriptors (1 is stdout, 2 stderr) appended to a file. Raises OSError."""
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
    finally:
        os.close(opened)


def detach(work: Callable[[Callable[[], None]], int], log: str) -> tuple[int, int]:
    """Run `work` in a session of its own, with its output in the file `log`; comes back when it says that it is ready.

    Args:
        work: given what to call when it is ready; gives the exit status of its process.
        log: the file to which its stdout and stderr are appended.

    Returns:
        The process id and -1 once it is ready, or else its exit status, which is not 0: what it wrote to `log` by then
        has been copied to stderr.

    Raises:
        CommandError: the file cannot be written to.
    """
    try:
        os.makedirs(os.path.dirname(log) or ".", mode=0o700, exist_ok=True)
        write_to(log)
        begin = os.path.getsize(log)
    except OSError as error:
        raise CommandError(
            f"Cannot write to the log file {log}: {error.strerror or error}. Name another one by --log-file."
        ) from error
    reader, writer = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _be_detached(work, log, writer)
    os.close(writer)
    if _is_ready(reader, pid):
        return pid, -1
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with open(log, "rb") as file:
        file.seek(begin)
        sys.stderr.write(file.read().decode(errors="replace"))
    return pid, status or 1


def _be_detached(work: Callable[[Callable[[], None]], int], log: str, writer: int) -> None:
    """Be the process; never returns."""
    status = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        write_to(log, 1, 2)

        def ready() -> None:
            os.write(writer, _READY)
            os.close(writer)

        status = work(ready)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _is_ready(reader: int, pid: int) -> bool:
    """Wait for the word; whoever does not want to wait any longer takes the process along."""
    try:
        with open(reader, "rb") as file:
            return file.read(len(_READY)) == _READY
    except BaseException:
        os.kill(pid, signal.SIGTERM)
        raise
