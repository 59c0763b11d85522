"""`s3gate doctor`: what the filesystem of a data directory can do, and what s3gate does about each."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from s3gate.storage.backend import StartError
from s3gate.storage.filesystem.capabilities import FATAL, LIMIT, Capability, examine
from s3gate.storage.filesystem.mounts import mount_at

__all__ = ["add_parser"]

_FINE, _LIMITED, _UNFIT = 0, 1, 2


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "doctor",
        help="try out the filesystem of a directory",
        description="Tries out what the filesystem of a directory can do, and what s3gate does about each. Nothing is "
        "left behind. Exit status: 0 all is well, 1 it can be served with limits, 2 it cannot be served.",
        allow_abbrev=False,
    )
    parser.add_argument("directory", metavar="DIR", help="a directory that is there; it need not be served yet")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    try:
        if not arguments.json:
            print(f"{arguments.directory}: {mount_at(arguments.directory) or 'unknown filesystem'}", end="\n\n")
        found = []
        for capability in examine(arguments.directory):
            found.append(capability)
            _print(capability, as_json=arguments.json)
    except BrokenPipeError:
        raise
    except StartError as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return _UNFIT
    except OSError as error:
        print(f"s3gate: {arguments.directory} cannot be tried out: {error.strerror or error}", file=sys.stderr)
        return _UNFIT
    levels = {capability.level for capability in found}
    status = _UNFIT if FATAL in levels else _LIMITED if LIMIT in levels else _FINE
    if not arguments.json:
        verdict = ("it can be served", "it can be served, with the limits above", "it cannot be served")
        print(f"\n{arguments.directory}: {verdict[status]}")
    return status


def _print(capability: Capability, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(capability)))
    else:
        print(f"{capability.level:6} {capability.name + ': ' + capability.found:48} {capability.effect}")
