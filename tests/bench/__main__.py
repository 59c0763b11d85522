"""`python -m bench`: measures s3gate beside the peers that are installed, and reports."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import crowd, etag, joining
from bench.disk import Disk, disk_at
from bench.loads.load import Target
from bench.machine import describe_machine
from bench.measure import Quiet
from bench.options import PEERS_VARIABLE, Options, parse_options
from bench.output import put_out
from bench.programs import PEERS, Program, find_peer, gateway
from bench.replay import MissingProgram, Replay
from bench.report import Report
from bench.rounds import measure_load
from bench.servers import Server

_OTHERS = {"complete": joining.main, "crowd": crowd.main, "etag": etag.main}


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments of the command line; the exit status."""
    if arguments and arguments[0] in _OTHERS:
        return _OTHERS[arguments[0]](arguments[1:])
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers and disk go, too
    try:
        programs = _programs(options)
        with _scratch(options, programs) as (client, disk, home):
            report = _measure(options, programs, client, disk, home)
    except MissingProgram as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 1
    put_out(report.markdown(), options.markdown)
    if options.json:
        put_out(report.json(), options.json)
    return 0


def _programs(options: Options) -> list[Program]:
    """s3gate in each durability, of which the last takes the loads that only read, and the peers."""
    found = [gateway(name, reads=name == options.durabilities[-1]) for name in options.durabilities]
    for name in PEERS if options.peers is None else options.peers:
        peer = find_peer(name, options.peer_paths.get(name))
        if peer is not None:
            found.append(peer)
        elif options.peers is not None or name in options.peer_paths:
            raise MissingProgram(f"{name} is not installed: put it on PATH, or its path into {PEERS_VARIABLE}")
        else:
            print(f"bench: {name} is not installed, and left out", file=sys.stderr)
    return found


@contextmanager
def _scratch(options: Options, programs: Sequence[Program]) -> Iterator[tuple[Replay, Disk, Path]]:
    """The client, a disk for data, and a directory for what else the servers write."""
    listers = sum(program.plain and program.s3 and program.reads for program in programs)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3gate-bench-home-")))
        client = Replay.build(home, options.patience)
        yield client, stack.enter_context(disk_at(options.directory, options.listed * listers)), home


def _measure(options: Options, programs: Sequence[Program], client: Replay, disk: Disk, home: Path) -> Report:
    with ExitStack() as stack:
        servers = []
        for program in programs:
            servers.append(Server.start(program, disk.root, workers=options.workers, home=home))
            stack.callback(servers[-1].stop)
        targets = [Target(server, client, options.seconds) for server in servers]
        quiet = Quiet(options.wait)
        loads = [measure_load(load, targets, options.rounds, disk, quiet) for load in options.loads]
    setting = {
        **describe_machine(),
        "data": disk.description,
        "client": "replay.c, one thread, on the same machine; requests signed before (SigV4 header, UNSIGNED-PAYLOAD)",
        "rounds": f"{options.rounds} of {options.seconds:g} s each, in turn; medians of the quiet ones",
        "processes": f"{options.workers} of s3gate and nginx",
        "s3gate": "with metrics and an access log as JSON in a file; the peers without",
    }
    return Report(setting, servers, loads)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
