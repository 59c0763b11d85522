"""`s3gate status`: whether the gateway at an address serves, and what it is."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

from s3gate.cli.errors import CommandError
from s3gate.cli.flags import add_conf_flag, add_setting_flags, address_of, given_settings
from s3gate.cli.pid_file import PidFile, Record, find, others, started_at
from s3gate.cli.probing import probe_fault

__all__ = ["add_parser"]


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "status",
        help="tell whether the gateway that start has started serves",
        description="Asks the gateway at an address whether it serves, and tells what it is. Exit status: 0 it serves, "
        "1 it does not. The options are those of start, of which --listen counts; without one, the only gateway that "
        "runs is meant.",
        allow_abbrev=False,
    )
    add_conf_flag(parser)
    add_setting_flags(parser)
    parser.add_argument("--json", action="store_true", help="print it as a JSON object")
    parser.set_defaults(run=_status)


def _status(arguments: argparse.Namespace) -> int:
    settings = given_settings(arguments)
    pid_file = find(**address_of(arguments, settings))
    record = pid_file.read()
    fault = _fault(pid_file, record)
    if arguments.json:
        listen = settings.listen if record is None else record.listen
        runs = record is not None and pid_file.is_held and started_at(record.pid) == record.started
        facts = _facts(record) if record is not None and runs else {}
        print(json.dumps({"serves": fault is None, "fault": fault, "listen": listen} | facts))
        return 0 if fault is None else 1
    if fault is not None or record is None:
        print(f"s3gate: {settings.listen if record is None else record.listen}: {fault}", file=sys.stderr)
        for each in others(settings.run_dir):
            if record is None or each.pid != record.pid:
                print(f"s3gate: a gateway runs at {each.listen}: process {each.pid}", file=sys.stderr)
        return 1
    facts = _facts(record)
    print(f"s3gate {record.version} serves")
    for name, value in (
        ("Endpoint", "  ".join(record.urls)),
        ("Data", record.data_dir),
        ("Workers", f"{facts['workers']} of {record.workers}"),
        ("Uptime", str(timedelta(seconds=int(facts["uptime_seconds"])))),
        ("Process", record.pid),
        ("Log", record.log),
    ):
        print(f"  {name + ':':<12}{value}")
    return 0


def _fault(pid_file: PidFile, record: Record | None) -> str | None:
    """Why the gateway does not serve, or None when it does."""
    if not pid_file.is_held:
        if record is None:
            return "no gateway that `s3gate start` has started runs here"
        return f"process {record.pid} has ended without a word; its log is {record.log}"
    if record is None:
        return "the gateway just starts or ends"
    if started_at(record.pid) != record.started:
        return f"process {record.pid} was killed, and its workers just end; its log is {record.log}"
    fault = probe_fault(record.probe)
    return None if fault is None else f"process {record.pid} does not serve: {fault}; its log is {record.log}"


def _facts(record: Record) -> dict[str, Any]:
    """What there is to be told of a gateway that runs."""
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return {
        "listen": record.listen,
        "urls": record.urls,
        "data_dir": record.data_dir,
        "version": record.version,
        "pid": record.pid,
        "workers": _children(record.pid),
        "uptime_seconds": round(since_boot - record.started / os.sysconf("SC_CLK_TCK"), 1),
        "log": record.log,
    }


def _children(pid: int) -> int:
    """How many workers a gateway has."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return len(file.read().split())
    except OSError as error:
        raise CommandError(f"Cannot look at process {pid}: {error.strerror or error}.") from error
