"""`python -m bench complete`: what CompleteMultipartUpload costs beside the plain concatenation of the same parts.

And what an overwrite costs that keeps a large object as a version. On filesystems made for the run, so that every byte
that reaches the device can be counted; which takes root.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.disk import FILESYSTEMS, Disk, NoDisk, loop_disk
from bench.loads.load import Target, object_path
from bench.loads.multipart import complete, send_parts
from bench.machine import describe_machine
from bench.measure import QUIET_CORES, Quiet, measured
from bench.output import put_out
from bench.programs import DURABILITIES, gateway
from bench.replay import Outcome, Replay
from bench.servers import BUCKET, Server
from bench.signing import Request
from bench.sizes import parse_size, size_name

__all__ = ["main"]

_DISK_FACTOR = 12  # the size of a filesystem in objects: parts, joined objects, and what waits to be freed
_SMALLEST_DISK = 2 << 30
_PIECE = 1 << 20
_SMALL = 1024
_VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


@dataclass(frozen=True, slots=True)
class Options:
    """What is joined, where, and how often."""

    size: int
    parts: int
    rounds: int
    filesystems: Sequence[str]
    durability: str
    workers: int
    wait: float
    markdown: Path | None

    @property
    def part_size(self) -> int:
        """Of all parts but the last."""
        return -(-self.size // self.parts)


@dataclass(slots=True)
class Row:
    """A way to do something, and what each round of it took: seconds, CPU seconds, bytes written, cores disturbed."""

    name: str
    rounds: list[tuple[float, float, int, float]] = field(default_factory=list)

    def median(self, column: int) -> float:
        """Of the quiet rounds, or of all where none was."""
        quiet = [each for each in self.rounds if each[3] <= QUIET_CORES]
        return median(each[column] for each in quiet or self.rounds)

    @property
    def disturbed(self) -> bool:
        """Whether other processes kept the machine busy in every round."""
        return all(each[3] > QUIET_CORES for each in self.rounds)


class _Gateway:
    """CompleteMultipartUpload of s3gate."""

    def __init__(self, target: Target, options: Options) -> None:
        self.row = Row(f"s3gate, parts {target.server.program.name.rpartition(' ')[2]}")
        self.session = target.server.session
        self._target = target
        self._options = options
        self._path = object_path("joined")

    def prepare(self) -> Callable[[], object]:
        """Send the parts; gives the rest of the work."""
        _, completion = send_parts(self._target, self._path, self._options.size, self._options.part_size)
        return lambda: complete(self._target, completion)

    def clean(self) -> None:
        """See that the object is right, and remove it."""
        self._target.expect_object(self._path, self._options.size)
        self._target.delete(self._path)


class _Concatenation:
    """A program that reads files and writes what it has read."""

    def __init__(self, directory: Path, content: Callable[[int], bytes], options: Options) -> None:
        self.row = Row("read and write")
        self.session = os.getsid(0)
        self._directory = directory
        self._content = content
        self._options = options
        directory.mkdir()

    def prepare(self) -> Callable[[], object]:
        """Write the parts."""
        size, part_size = self._options.size, self._options.part_size
        for number, start in enumerate(range(0, size, part_size)):
            (self._directory / f"{number}").write_bytes(self._content(min(part_size, size - start)))
        return self._join

    def _join(self) -> None:
        with (self._directory / "joined").open("wb", buffering=0) as target:
            for number in range(-(-self._options.size // self._options.part_size)):
                with (self._directory / f"{number}").open("rb", buffering=0) as source:
                    while piece := source.read(_PIECE):
                        target.write(piece)
            if self._options.durability != "none":
                os.fsync(target.fileno())

    def clean(self) -> None:
        """Remove parts and object."""
        for path in self._directory.iterdir():
            path.unlink()


class _Overwrite:
    """A PUT of 1 KiB over a large object, which stays as a version."""

    def __init__(self, target: Target, options: Options) -> None:
        self.row = Row(f"PUT {size_name(_SMALL)} over it, versioned")
        self.session = target.server.session
        self._target = target
        self._options = options
        self._path = object_path("kept")
        target.expect(Request("PUT", f"/{BUCKET}", "versioning=", body=_VERSIONING))

    def prepare(self) -> Callable[[], object]:
        """Put the large object."""
        self._target.fill([self._target.put(self._path, self._options.size)])
        return lambda: self._target.expect(self._target.put(self._path, _SMALL))

    def clean(self) -> None:
        """See that both versions are there, and remove them."""
        listed = self._target.expect(Request("GET", f"/{BUCKET}", "prefix=kept&versions=")).body.decode()
        sizes = [int(size) for size in re.findall(r"<Size>(\d+)</Size>", listed)]
        if sorted(sizes) != [_SMALL, self._options.size]:
            raise RuntimeError(f"the versions have {sizes} bytes")
        for version in re.findall(r"<VersionId>([^<]+)</VersionId>", listed):
            self._target.expect(Request("DELETE", self._path, f"versionId={version}"), 204)


_Work = _Gateway | _Concatenation | _Overwrite


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments of the command line; the exit status."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers and disks go, too
    try:
        with tempfile.TemporaryDirectory(prefix="s3gate-bench-home-") as home:
            client = Replay.build(Path(home), patience=300)
            quiet = Quiet(options.wait)
            found = [_on(name, options, client, Path(home), quiet) for name in options.filesystems]
    except NoDisk as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    text = _markdown(options, found)
    put_out(text, options.markdown)
    return 0


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="bench complete",
        description="Measures CompleteMultipartUpload beside reading and writing the same parts. Needs root.",
    )
    add = parser.add_argument
    add("--size", type=parse_size, default=1 << 30, help="of the object (default: 1GiB)")
    add("--parts", type=int, default=128, help="how many there are (default: %(default)s)")
    add("--rounds", type=int, default=3, help="of each (default: %(default)s)")
    add("--filesystems", default=",".join(FILESYSTEMS), metavar="A,B", help="default: %(default)s")
    add("--durability", default="full", choices=DURABILITIES, help="default: %(default)s")
    add("--workers", type=int, default=os.cpu_count(), help="of s3gate (default: %(default)s)")
    add("--wait", type=float, default=0.0, help="seconds in all to wait for a quiet machine (default: %(default)s)")
    add("--markdown", type=Path, help="write the table to this file (default: to the standard output)")
    given = parser.parse_args(arguments)
    names = [name for name in given.filesystems.split(",") if name]
    if not names or not set(names) <= set(FILESYSTEMS):
        parser.error(f"--filesystems is out of {', '.join(FILESYSTEMS)}")
    if min(given.parts, given.rounds) < 1 or given.parts > 10_000:
        parser.error("there are 1 to 10,000 parts, and at least one round")
    return Options(
        given.size, given.parts, given.rounds, names, given.durability, given.workers, given.wait, given.markdown
    )


def _on(filesystem: str, options: Options, client: Replay, home: Path, quiet: Quiet) -> tuple[str, list[Row]]:
    """All rows of one filesystem, with its description."""
    with loop_disk(filesystem, max(_SMALLEST_DISK, _DISK_FACTOR * options.size)) as disk, ExitStack() as stack:
        targets = {}
        for placement in ("in-place", "separate"):
            program = gateway(options.durability, reads=False, upload_parts=placement)
            place = home / filesystem
            place.mkdir(exist_ok=True)
            server = Server.start(program, disk.root, workers=options.workers, home=place)
            stack.callback(server.stop)
            targets[placement] = Target(server, client, 0)
        some = targets["separate"]
        works: list[_Work] = [_Gateway(target, options) for target in targets.values()]
        works.append(_Concatenation(disk.root / "concatenated", some.content, options))
        _rounds(works, options, disk, quiet)
        overwrite = _Overwrite(some, options)
        _rounds([overwrite], options, disk, quiet)
        return disk.description, [each.row for each in [*works, overwrite]]


def _rounds(works: Sequence[_Work], options: Options, disk: Disk, quiet: Quiet) -> None:
    for _ in range(options.rounds):
        for work in works:
            rest = work.prepare()
            disk.settle()
            quiet.wait()
            with _written(disk) as written:
                sample = measured(lambda rest=rest: _timed(rest), work.session)  # type: ignore[misc]
            # The concatenation runs in this process.
            cpu = sample.server_cpu if isinstance(work, _Gateway | _Overwrite) else sample.client_cpu
            work.row.rounds.append((sample.outcome.seconds, cpu, written[0], sample.foreign))
            work.clean()


def _timed(work: Callable[[], object]) -> Outcome:
    begin = time.monotonic()
    work()
    return Outcome(requests=1, seconds=time.monotonic() - begin, received=0, sent=0, p50=0, p99=0)


@contextmanager
def _written(disk: Disk) -> Iterator[list[int]]:
    """The bytes that reach the device from the begin of the block until all is written that it left to be written."""
    found: list[int] = []
    before = disk.bytes_written()
    yield found
    disk.settle()
    found.append(disk.bytes_written() - before)


def _markdown(options: Options, found: Sequence[tuple[str, list[Row]]]) -> str:
    lines = [f"- {name}: {value}" for name, value in describe_machine().items()]
    lines += [
        f"- object: {size_name(options.size)} in {options.parts} parts",
        f"- durability: {options.durability}; {options.workers} processes of s3gate",
        f"- rounds: {options.rounds}, in turn; medians of the quiet ones",
        "",
        "| filesystem | | seconds | times as fast | CPU seconds | MiB written |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for description, rows in found:
        plain = next(row for row in rows if row.name == "read and write")
        for row in rows:
            ratio = plain.median(0) / row.median(0)
            mark = "*" if row.disturbed else ""
            lines.append(
                f"| {description.partition(',')[0]} | {row.name} | {row.median(0):.3f}{mark} | {ratio:.1f} "
                f"| {row.median(1):.2f} | {row.median(2) / (1 << 20):.2f} |"
            )
    return "\n".join(lines) + "\n"
