"""`python -m bench etag`: one upload with each kind of ETag, beside what bounds it: MD5 alone, and the plain write.

On a filesystem made for the run, which takes root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.disk import Disk, NoDisk, loop_disk
from bench.loads.load import Target, object_path
from bench.machine import describe_machine
from bench.measure import Quiet, Sample, measured
from bench.output import put_out
from bench.programs import DURABILITIES, gateway
from bench.replay import FILLER_SIZE, MissingProgram, Outcome, Replay, Unfit
from bench.servers import Server
from bench.signing import Request
from bench.sizes import parse_size, size_name
from bench.summary import Summary, summary

__all__ = ["Bound", "Group", "bounds", "main"]

_FILESYSTEM = "ext4"
_DISK_FACTOR = 4  # the size of the filesystem in objects, of which there is one at a time
_SMALLEST_DISK = 2 << 30
_PATIENCE = 60
_NOBODY = -1  # a session without processes: the work is done by this one
_UPLOADS = {"md5": "s3gate, MD5", "xxhash": "s3gate, XXH3"}  # by checksum_type
_DIGEST, _WRITE = "MD5 alone", "plain write"


@dataclass(frozen=True, slots=True)
class Options:
    """What is uploaded, where, and how often."""

    sizes: Sequence[int]
    durabilities: Sequence[str]
    rounds: int
    workers: int
    wait: float
    markdown: Path | None


@dataclass(frozen=True, slots=True)
class Group:
    """What is compared with one another: the samples of each work, by its name, for one size and durability."""

    size: int
    durability: str
    samples: Mapping[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class Bound:
    """What an upload cannot be faster than, and the upload's rate as a part of its rate."""

    name: str
    part: float


class _Work(ABC):
    """Something that takes as many bytes as an object has; `session` is that of the processes which do it."""

    name: str
    session = _NOBODY

    @abstractmethod
    def begin(self, size: int) -> Callable[[], Outcome]:
        """Make one round ready, which is done when the result is called: only that is measured."""

    @abstractmethod
    def clean(self, size: int, digest: str) -> None:
        """See that the round did what it was to do with content of this MD5, and remove what it wrote."""


class _Upload(_Work):
    """PutObject of a new object over one connection."""

    def __init__(self, target: Target, checksum_type: str) -> None:
        self.name = _UPLOADS[checksum_type]
        self.session = target.server.session
        self._target = target
        self._path = object_path("uploaded")

    def begin(self, size: int) -> Callable[[], Outcome]:
        return self._target.replay([self._target.put(self._path, size)], connections=1)

    def clean(self, size: int, digest: str) -> None:
        self._target.expect_object(self._path, size)
        etag = self._target.expect(Request("HEAD", self._path)).headers["ETag"].strip('"')
        if (etag == digest) != (self.name == _UPLOADS["md5"]):
            raise Unfit(f"{self.name} answers with the ETag {etag}")
        self._target.delete(self._path)


class _Digest(_Work):
    """The MD5 of bytes in memory."""

    name = _DIGEST

    def __init__(self, filler: bytes) -> None:
        self._filler = filler
        self._found = ""

    def begin(self, size: int) -> Callable[[], Outcome]:
        def work() -> None:
            self._found = _md5(self._filler, size)

        return lambda: _timed(work, size)

    def clean(self, size: int, digest: str) -> None:
        if self._found != digest:
            raise RuntimeError(f"the MD5 was {self._found} in place of {digest}")


class _Write(_Work):
    """A program that writes bytes from memory into a new file, and syncs it as the gateway does."""

    name = _WRITE

    def __init__(self, directory: Path, filler: bytes, durability: str) -> None:
        self._directory = directory
        self._filler = filler
        self._durability = durability
        directory.mkdir()

    def begin(self, size: int) -> Callable[[], Outcome]:
        return lambda: _timed(lambda: self._write(size), size)

    def _write(self, size: int) -> None:
        with self._path.open("xb", buffering=0) as file:
            for piece in _pieces(self._filler, size):
                file.write(piece)
            if self._durability != "none":
                os.fsync(file.fileno())
        if self._durability == "full":
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def clean(self, size: int, digest: str) -> None:
        written = self._path.stat().st_size
        if written != size:
            raise RuntimeError(f"the file has {written} bytes in place of {size}")
        self._path.unlink()

    @property
    def _path(self) -> Path:
        return self._directory / "written"


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments behind `etag`; the exit status."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers and disk go, too
    space = max(_SMALLEST_DISK, _DISK_FACTOR * max(options.sizes))
    try:
        with tempfile.TemporaryDirectory(prefix="s3gate-bench-home-") as home:
            client = Replay.build(Path(home), _PATIENCE)
            quiet = Quiet(options.wait)
            groups: list[Group] = []
            with loop_disk(_FILESYSTEM, space) as disk:
                for durability in options.durabilities:
                    groups += _with_durability(durability, options, client, disk, quiet)
                description = disk.description
    except (MissingProgram, NoDisk, Unfit) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    text = _markdown(options, description, groups)
    put_out(text, options.markdown)
    return 0


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="bench etag",
        description="Measures one upload with the MD5 as ETag and with XXH3, beside MD5 alone and the plain write of "
        "the same bytes. Needs root.",
    )
    add = parser.add_argument
    add("--sizes", default="256MiB,1GiB", metavar="A,B", help="of the object (default: %(default)s)")
    add("--durability", default="none,full", metavar="A,B", help="of s3gate and the write (default: %(default)s)")
    add("--rounds", type=int, default=3, help="of each (default: %(default)s)")
    add("--workers", type=int, default=os.cpu_count(), help="of s3gate (default: %(default)s)")
    add("--wait", type=float, default=0.0, help="seconds in all to wait for a quiet machine (default: %(default)s)")
    add("--markdown", type=Path, help="write the table to this file (default: to the standard output)")
    given = parser.parse_args(arguments)
    try:
        sizes = [parse_size(item) for item in given.sizes.split(",") if item]
    except ValueError as error:
        parser.error(str(error))
    durabilities = list(dict.fromkeys(name for name in given.durability.split(",") if name))
    if not durabilities or not set(durabilities) <= set(DURABILITIES):
        parser.error(f"--durability is out of {', '.join(DURABILITIES)}")
    if min(sizes, default=0) < FILLER_SIZE or min(given.rounds, given.workers) < 1:
        parser.error(f"objects have at least {size_name(FILLER_SIZE)}; there is at least one round and one worker")
    return Options(sizes, durabilities, given.rounds, given.workers, given.wait, given.markdown)


def _with_durability(durability: str, options: Options, client: Replay, disk: Disk, quiet: Quiet) -> Iterator[Group]:
    """All sizes in one durability."""
    with ExitStack() as stack:
        works: list[_Work] = []
        for checksum_type in _UPLOADS:
            program = gateway(durability, reads=False, checksum_type=checksum_type)
            server = Server.start(program, disk.root, workers=options.workers, home=client.place)
            stack.callback(server.stop)
            works.append(_Upload(Target(server, client, 0), checksum_type))
        works.append(_Digest(client.filler))
        works.append(_Write(disk.root / f"written-{durability}", client.filler, durability))
        for size in options.sizes:
            yield Group(size, durability, _rounds(works, size, _md5(client.filler, size), options.rounds, disk, quiet))


def _rounds(
    works: Sequence[_Work], size: int, digest: str, rounds: int, disk: Disk, quiet: Quiet
) -> dict[str, list[Sample]]:
    """The works take turns, and each round begins with another one."""
    samples: dict[str, list[Sample]] = {work.name: [] for work in works}
    for number in range(rounds):
        shift = number % len(works)
        for work in [*works[shift:], *works[:shift]]:
            do = work.begin(size)
            disk.settle()
            quiet.wait()
            sample = measured(do, work.session)
            if work.session == _NOBODY:
                sample = replace(sample, server_cpu=sample.client_cpu)
            samples[work.name].append(sample)
            work.clean(size, digest)
    return samples


def _md5(filler: bytes, size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in _pieces(filler, size):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(filler: bytes, size: int) -> Iterator[memoryview]:
    """What an object of this size holds, in pieces of 1 MiB."""
    view = memoryview(filler)
    for start in range(0, size, FILLER_SIZE):
        yield view[: size - start]


def _timed(work: Callable[[], object], size: int) -> Outcome:
    begin = time.monotonic()
    work()
    return Outcome(requests=1, seconds=time.monotonic() - begin, received=0, sent=size, p50=0, p99=0)


def bounds(rates: Mapping[str, float]) -> dict[str, Bound]:
    """What bounds each upload, by its name: the slower of MD5 and the write, or the write where no MD5 is made.

    `rates` has those of all works.
    """
    limits = {_UPLOADS["md5"]: min(_DIGEST, _WRITE, key=rates.__getitem__), _UPLOADS["xxhash"]: _WRITE}
    return {name: Bound(limit, rates[name] / rates[limit]) for name, limit in limits.items()}


def _markdown(options: Options, description: str, groups: Sequence[Group]) -> str:
    lines = [f"- {name}: {value}" for name, value in describe_machine().items()]
    lines += [
        f"- data: {description}",
        f"- {options.workers} processes of s3gate; one connection, UNSIGNED-PAYLOAD; the others in pieces of 1 MiB",
        f"- rounds: {options.rounds}, in turn; medians of the quiet ones, with the slowest and the fastest",
        "",
        "GB are 10^9 bytes; CPU is that of the server, or of the program. `*`: in every round other processes kept the "
        "machine busy.",
        "",
        "| object | durability | | GB/s | slowest to fastest | CPU seconds/GB | part | of |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for group in groups:
        found = {name: summary(samples, "sent") for name, samples in group.samples.items()}
        limits = bounds({name: each.rate for name, each in found.items()})
        for name, each in found.items():
            part = _part(limits[name], each, found) if name in limits else "- | -"
            lines.append(f"| {size_name(group.size)} | {group.durability} | {name} | {_figures(each)} | {part} |")
    return "\n".join(lines) + "\n"


def _figures(found: Summary) -> str:
    span = f"{found.slowest / 1e9:.2f} to {found.fastest / 1e9:.2f}"
    return f"{found.rate / 1e9:.2f}{_mark(found)} | {span} | {found.server_cpu * 1e9:.2f}"


def _part(limit: Bound, upload: Summary, found: Mapping[str, Summary]) -> str:
    return f"{limit.part:.2f}{_mark(upload, found[limit.name])} | {limit.name}"


def _mark(*summaries: Summary) -> str:
    return "" if all(each.quiet for each in summaries) else "*"
