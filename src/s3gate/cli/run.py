"""`s3gate run`: a gateway for the life of one command, with directories as its inputs and its output."""

from __future__ import annotations

import argparse
import os
import sys

from s3gate.cli.errors import CommandError
from s3gate.cli.flags import add_setting_flags
from s3gate.cli.log import configure_logging
from s3gate.config import ConfigError
from s3gate.core.names import bucket_name_fault
from s3gate.server.sockets import ListenError
from s3gate.sidecar.command import FAILED, GatewayLostError
from s3gate.sidecar.output import OUT, OutputError
from s3gate.sidecar.session import Session, run
from s3gate.storage.backend import StartError

__all__ = ["add_parser"]

_SETTINGS = ("region", "workers", "symlinks")
_LEVELS = ("error", "warning", "info", "debug", "trace")
_READ_ONLY = ":ro"


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "run",
        help="run a command with a gateway of its own",
        usage="s3gate run [--input NAME=DIR[:ro]]... [--out DIR] [--env-file FILE] [options] -- COMMAND...",
        description="Runs a command beside a gateway that is there for as long as the command runs, on a free port of "
        "the loopback and for its user alone. The command finds it by S3_ENDPOINT and by the variables of the AWS "
        f"tools, and needs no credentials. Exit status: that of the command, 128 + N if signal N ended it; {FAILED} "
        "if the gateway failed, 126 or 127 if the command cannot be run.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=DIR[:ro]",
        help="a directory that the command can read as the bucket NAME (may be repeated). It stays where it is, and "
        "nothing is written to it",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help=f"a directory for what the command writes to the bucket {OUT!r}, which is empty at first. It "
        "appears whole when the command has succeeded, and not at all else",
    )
    parser.add_argument(
        "--env-file", metavar="FILE", help="a file to write the variables to as well, NAME=VALUE a line"
    )
    add_setting_flags(parser, _SETTINGS)
    parser.add_argument(
        "--log-level", choices=_LEVELS, default="warning", help="the least severe messages of the gateway on stderr "
        "(default: warning)"
    )  # fmt: skip
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    configure_logging(arguments.log_level)
    try:
        return run(_session(arguments))
    except (CommandError, ConfigError, GatewayLostError, ListenError, OSError, OutputError, StartError) as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return FAILED


def _session(arguments: argparse.Namespace) -> Session:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise CommandError("There is no command to run: s3gate run [--input NAME=DIR]... [--out DIR] -- COMMAND...")
    inputs: dict[str, str] = {}
    for text in arguments.input:
        name, directory = _input(text)
        if name in inputs:
            raise CommandError(f"--input {text}: there is an input {name} already. Give it another name.")
        inputs[name] = directory
    if arguments.out is not None:
        _check_apart(arguments.out, inputs)
    settings = {name: getattr(arguments, name) for name in (*_SETTINGS, "log_level") if hasattr(arguments, name)}
    return Session(command, inputs, arguments.out, arguments.env_file, settings)


def _input(text: str) -> tuple[str, str]:
    """The bucket's name and the directory of NAME=DIR[:ro]."""
    name, equals, directory = text.partition("=")
    directory = directory.removesuffix(_READ_ONLY)
    if not equals or not directory:
        raise CommandError(f"--input {text}: it is NAME=DIR, or NAME=DIR:ro, which is the same.")
    fault = bucket_name_fault(name, relaxed=True)
    if fault is not None:
        raise CommandError(f"--input {text}: {name!r} cannot be a bucket: {fault}.")
    directory = os.path.realpath(directory)
    try:
        os.listdir(directory)
    except OSError as error:
        raise CommandError(f"--input {text}: {directory} cannot be read: {error.strerror}.") from error
    return name, directory


def _check_apart(out: str, inputs: dict[str, str]) -> None:
    """An input is never written to, so that the output cannot be inside of one, or around it."""
    place = os.path.realpath(out)
    for name, directory in inputs.items():
        if name == OUT:
            raise CommandError(f"The bucket {OUT} is that of --out: give the input another name.")
        if _is_within(place, directory) or _is_within(directory, place):
            raise CommandError(f"--out {out} and the input {name} ({directory}) overlap: name another directory.")


def _is_within(path: str, top: str) -> bool:
    return os.path.commonpath([path, top]) == top
