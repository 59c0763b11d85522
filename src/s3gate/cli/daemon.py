"""`s3gate start`, `stop`, `status` and `restart`: a gateway in the background, found again by its address.

`start` keeps a file for each address in `run_dir`, see `pid_file`. That is a directory of the user's home and not
XDG_RUNTIME_DIR, which goes when the user logs out while the gateway stays.
"""

from __future__ import annotations

import argparse
import os
import select
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from s3gate import __version__
from s3gate.cli.background import detach
from s3gate.cli.errors import CommandError
from s3gate.cli.flags import add_conf_flag, add_setting_flags, address_of, arguments_for, given_settings, given_values
from s3gate.cli.pid_file import PidFile, Record, find, others, started_at
from s3gate.cli.serve import Log, Opened, reloader_for
from s3gate.config import Settings, load_settings
from s3gate.server.banner import endpoints
from s3gate.server.reloading import Reloader
from s3gate.server.sockets import check_certificate
from s3gate.setting_hints import is_path
from s3gate.telemetry.log_file import STDOUT

__all__ = ["add_parser"]

# Seconds beyond the grace time that a gateway has to end: its workers are killed before.
_SPARE_SECS = 15


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser of `s3gate`."""

    def noun(name: str, text: str, description: str, run: Callable[[argparse.Namespace], int]) -> None:
        parser = nouns.add_parser(name, help=text, description=description, allow_abbrev=False)
        add_conf_flag(parser)
        add_setting_flags(parser)
        parser.set_defaults(run=run)

    noun(
        "start",
        "serve a directory in the background",
        "Serves a directory as S3 in the background, with all options of serve. Comes back when it serves.",
        _start,
    )
    noun(
        "stop",
        "stop what start has started",
        "Stops the gateway at an address, and waits until the requests under way have ended. The options are those of "
        "start, of which --listen counts; without one, the only gateway that runs is meant.",
        _stop,
    )
    noun(
        "restart",
        "stop and start again",
        "Stops the gateway at an address and starts it with the options and the environment that it had, and with the "
        "options that are given now. Where none runs, this is start.",
        _restart,
    )


def _start(arguments: argparse.Namespace) -> int:
    settings = given_settings(arguments)
    pid_file = PidFile(settings.run_dir, settings.listen)
    if not pid_file.claim():
        raise CommandError(
            f"A gateway runs at {settings.listen} already: s3gate status{_options(settings, arguments)} tells of it, "
            f"s3gate restart{_options(settings, arguments)} starts it anew."
        )
    try:
        gateway = Opened.by(settings)
        log = os.path.abspath(settings.log_file or pid_file.log_path)
        reloader = reloader_for(arguments, Log(log, (1, 2)))
        record = _record(gateway, arguments, log)
        pid, status = detach(lambda ready: _run(gateway, pid_file, record, ready, reloader), log)
    except BaseException:
        pid_file.release()
        raise
    if status >= 0:
        pid_file.release()
        return status
    print(gateway.banner)
    print(f"  It runs in the background as process {pid} and writes to {log}.")
    print(f"  s3gate status{_options(settings, arguments)}")
    print(f"  s3gate stop{_options(settings, arguments)}")
    return 0


def _options(settings: Settings, arguments: argparse.Namespace) -> str:
    """What finds this gateway again, as it is written behind a command."""
    words = []
    if arguments.conf is not None:
        words += ["--conf", str(arguments.conf)]
    if "listen" in given_values(arguments):
        words += ["--listen", settings.listen]
    if "run_dir" in given_values(arguments):
        words += ["--run-dir", settings.run_dir]
    return "".join(f" {shlex.quote(word)}" for word in words)


def _record(gateway: Opened, arguments: argparse.Namespace, log: str) -> Record:
    settings = gateway.settings
    urls = endpoints(settings, gateway.ports, socket.gethostname())
    return Record(
        pid=0,
        started=0,
        listen=settings.listen,
        urls=tuple(urls),
        probe=urls[0] if urls[0].startswith("unix:") else urls[0].removesuffix(settings.path_prefix),
        data_dir=os.path.abspath(settings.data_dir),
        log=log,
        version=__version__,
        workers=settings.worker_count,
        grace_secs=settings.grace_secs,
        directory=os.getcwd(),
        conf=None if arguments.conf is None else os.path.abspath(arguments.conf),
        options=given_values(arguments),
    )


def _run(gateway: Opened, pid_file: PidFile, record: Record, ready: Callable[[], None], reloader: Reloader) -> int:
    """Be the gateway in the background."""
    pid = os.getpid()
    pid_file.write(replace(record, pid=pid, started=started_at(pid) or 0))
    try:
        return gateway.run(ready, reloader)
    finally:
        pid_file.release()


def _stop(arguments: argparse.Namespace) -> int:
    settings = given_settings(arguments)
    pid_file = find(**address_of(arguments, settings))
    if pid_file.is_held:
        _end(pid_file)
    else:
        record = pid_file.read()
        listen = settings.listen if record is None else record.listen
        print(f"No gateway runs at {listen}.{_stale(pid_file)}{_elsewhere(settings)}")
    return 0


def _stale(pid_file: PidFile) -> str:
    """Remove the file of a gateway that was killed, and say so."""
    record = pid_file.read()
    if not pid_file.remove_stale():
        return ""
    ended = "" if record is None else f": process {record.pid} has ended without a word"
    return f" Its file {pid_file.path} was stale{ended}; it is removed."


def _elsewhere(settings: Settings) -> str:
    return "".join(f"\nOne runs at {each.listen}: process {each.pid}." for each in others(settings.run_dir))


def _end(pid_file: PidFile) -> None:
    """End the gateway of a file that is held, gracefully, and say so. Raises CommandError when it does not end."""
    record = pid_file.read()
    if record is None:
        raise CommandError(f"The gateway of {pid_file.path} just starts or ends: try again in a moment.")
    try:
        process = os.pidfd_open(record.pid)
    except ProcessLookupError:
        process = -1
    if process < 0 or started_at(record.pid) != record.started:
        # Its workers hold the lock still, and end by themselves.
        raise CommandError(f"Process {record.pid} at {record.listen} was killed, and its workers just end: try again.")
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        ended, _, _ = select.select([process], [], [], record.grace_secs + _SPARE_SECS)
    except PermissionError as error:
        raise CommandError(f"Process {record.pid} at {record.listen} belongs to another user: {error}.") from error
    finally:
        os.close(process)
    if not ended:
        raise CommandError(
            f"Process {record.pid} at {record.listen} has not ended within {record.grace_secs + _SPARE_SECS} seconds. "
            f"Its log is {record.log}; kill -KILL {record.pid} ends it in any case."
        )
    print(f"Stopped the gateway at {record.listen} (process {record.pid}).")


def _restart(arguments: argparse.Namespace) -> int:
    settings = given_settings(arguments)
    pid_file = find(**address_of(arguments, settings))
    record = pid_file.read()
    if record is None and not pid_file.is_held:
        _check_address(settings)
        return _start(arguments)
    if record is None:
        raise CommandError(f"The gateway of {pid_file.path} just starts or ends: try again in a moment.")
    conf = record.conf if arguments.conf is None else os.path.abspath(arguments.conf)
    _check_user(pid_file)
    environ = _environ_of(record) if pid_file.is_held else dict(os.environ)
    given = given_values(arguments)
    values = {**record.options, **_absolute(given)}
    _go_to(record.directory)
    # What is wrong is told while it still serves.
    wanted = load_settings(values, environ, None if conf is None else Path(conf))
    check_certificate(wanted.tls_cert, wanted.tls_key)
    if wanted.enable_distributed_auth and "credentials_path" in given:
        values["credentials_path"] = given["credentials_path"]  # a path in the data directory
    if pid_file.is_held:
        _end(pid_file)
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "s3gate", "start", *arguments_for(values, conf)]
    os.execve(sys.executable, command, environ)  # noqa: S606  # the interpreter and the options that run it now
    raise AssertionError("execve comes back with an error alone")


def _absolute(values: dict[str, object]) -> dict[str, object]:
    """The values that this command was given: its paths are those of the directory it was given in."""
    return {name: _absolute_path(str(value)) if is_path(name) else value for name, value in values.items()}


def _absolute_path(path: str) -> str:
    return path if path == STDOUT else os.path.abspath(os.path.expanduser(path))


def _go_to(directory: str) -> None:
    """Work in the directory that a gateway was started in. Raises CommandError where it is gone."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise CommandError(
            f"The gateway was started in {directory}: {error.strerror or error}. Stop it, and start it elsewhere."
        ) from error


def _check_address(settings: Settings) -> None:
    """Raise CommandError where gateways run, but none at the default address, and nobody has said which is meant."""
    running = [each.listen for each in others(settings.run_dir)]
    if running and "listen" not in settings.model_fields_set:
        raise CommandError(f"Several gateways run, at {', '.join(running)}: name the one that is meant by --listen.")


def _check_user(pid_file: PidFile) -> None:
    """Raise CommandError for a gateway of another user: this one's would make files that the other cannot read."""
    try:
        owner = os.stat(pid_file.path).st_uid
    except FileNotFoundError:
        return  # it just ends, which is told when it is to be ended
    if owner != os.geteuid():
        raise CommandError(
            f"The gateway of {pid_file.path} is that of the user {owner}: restart it as that one, sudo -u '#{owner}'."
        )


def _environ_of(record: Record) -> dict[str, str]:
    """The environment that a gateway was started with: keys may be in it, and are written down nowhere else."""
    try:
        with open(f"/proc/{record.pid}/environ", "rb") as file:
            found = file.read()
    except OSError as error:
        raise CommandError(
            f"Cannot read the environment of process {record.pid}: {error.strerror or error}."
        ) from error
    pairs = (entry.partition(b"=") for entry in found.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
