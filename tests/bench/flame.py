"""`python -m bench.flame LOAD`: where s3gate spends its time under a load, by py-spy: a flame graph and a table."""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.disk import disk_at
from bench.loads.catalogue import LOAD_NAMES, Counts, load_named
from bench.loads.load import Load, Target
from bench.measure import process_cpu, session_processes
from bench.programs import DURABILITIES, gateway
from bench.replay import MissingProgram, Replay
from bench.servers import Server

__all__ = ["costs", "main"]

_RATE = 500
_ROWS = 40
_LOOP = "Runner.run (asyncio/runners.py)"
_IDLE = "_worker (concurrent/futures/thread.py)"


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments of the command line; the exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that server and disk go, too
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    try:
        if sampler is None:
            raise MissingProgram("py-spy is not installed: pip install py-spy, or run `make profile`")
        load = load_named(given.load, Counts(given.list_keys, 0, given.delete_keys))
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3gate-bench-home-")))
            client = Replay.build(home, patience=60)
            disk = stack.enter_context(disk_at(given.dir, given.list_keys))
            program = gateway(given.durability, reads=True)
            server = Server.start(program, disk.root, workers=given.workers, home=home)
            stack.callback(server.stop)
            target = Target(server, client, given.seconds)
            load.prepare(target)
            given.out.mkdir(parents=True, exist_ok=True)
            native = ["--native"] if given.native else []
            for kind, suffix in (("flamegraph", "svg"), ("raw", "stacks")):
                path = given.out / f"{given.load}.{suffix}"
                _record([sampler, "record", "--format", kind, "--output", str(path), *native], load, target)
            load.clean(target)
    except (MissingProgram, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    stacks = (given.out / f"{given.load}.stacks").read_text().splitlines()
    table = costs(stacks, _ROWS)
    (given.out / f"{given.load}.txt").write_text(table)
    print(f"{table}\nFlame graph: {given.out / f'{given.load}.svg'}")
    return 0


def costs(stacks: Sequence[str], rows: int) -> str:
    """Tables of functions by their share of samples, by themselves and with what they call.

    `stacks` are py-spy's raw lines, `outer;...;inner COUNT`, each frame `name (file:line)`. Threads that wait for work
    do not count.
    """
    alone: Counter[str] = Counter()
    together: Counter[str] = Counter()
    for line in stacks:
        stack, _, number = line.rpartition(" ")
        frames = _frames(stack)
        if frames[-1] != _IDLE:
            alone[frames[-1]] += int(number)
            together.update(dict.fromkeys(frames, int(number)))
    total = alone.total()
    parts = []
    for title, counter in (("by itself", alone), ("with what it calls", together)):
        lines = [f"{100 * count / total:6.1f} %  {frame}" for frame, count in counter.most_common(rows)]
        parts.append(f"{title}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _frames(stack: str) -> list[str]:
    """The functions of a stack from the event loop on, without line numbers; generated ones with who calls them."""
    frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
    frames = frames[frames.index(_LOOP) if _LOOP in frames else 0 :]
    pairs = zip(["", *frames], frames, strict=False)
    return [f"{frame} from {caller}" if "(<string>)" in frame else frame for caller, frame in pairs]


def _record(command: list[str], load: Load, target: Target) -> None:
    """Sample the busiest process of the server while rounds of the load follow one another, for the load's seconds."""
    work = load.begin(target)
    work()
    process = max(session_processes(target.server.session), key=process_cpu)
    duration = str(max(1, round(target.seconds)))
    arguments = [*command, "--pid", str(process), "--duration", duration, "--rate", str(_RATE)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as sampler:
        while sampler.poll() is None:
            load.begin(target)()
    if sampler.returncode:
        raise RuntimeError(f"py-spy ended with status {sampler.returncode}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.flame", description="Profiles s3gate under a load with py-spy.")
    add = parser.add_argument
    add("load", help=LOAD_NAMES)
    add("--out", type=Path, default=Path("build/profile"), help="directory of the results (default: %(default)s)")
    add("--seconds", type=float, default=8, help="how long (default: %(default)s)")
    add("--workers", type=int, default=1, help="of s3gate (default: %(default)s)")
    add("--durability", choices=DURABILITIES, default="none", help="of s3gate (default: %(default)s)")
    add("--native", action="store_true", help="show the functions of C extensions as well")
    add("--list-keys", type=int, default=100_000, help="keys of a bucket that is listed (default: %(default)s)")
    add("--delete-keys", type=int, default=2000, help="objects that a round deletes (default: %(default)s)")
    add("--dir", type=Path, help="where data are kept (default: an ext4 made for the run, as root, else temporary)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
