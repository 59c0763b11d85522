"""The command line of the measurements."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.loads.catalogue import DEFAULT_LOADS, LOAD_NAMES, Counts, load_named
from bench.loads.load import Load
from bench.programs import DURABILITIES, PEERS

__all__ = ["PEERS_VARIABLE", "Options", "parse_options", "peer_paths"]

PEERS_VARIABLE = "BENCH_PEERS"


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured and how long; without `peers` all that are found, without `directory` on a disk of the run's."""

    loads: tuple[Load, ...]
    peers: tuple[str, ...] | None
    peer_paths: Mapping[str, str]
    durabilities: tuple[str, ...]
    rounds: int
    seconds: float
    wait: float
    patience: int
    workers: int
    listed: int
    directory: Path | None
    markdown: Path | None
    json: Path | None


def peer_paths(text: str) -> dict[str, str]:
    """Paths by peer out of `versitygw=/path/versitygw minio=/path/minio`; ValueError for names that are no peers."""
    paths = {}
    for item in text.split():
        name, _, path = item.partition("=")
        if name not in PEERS or not path:
            raise ValueError(
                f"{PEERS_VARIABLE} has {item!r}; it is NAME=PATH ..., with names out of {', '.join(PEERS)}"
            )
        paths[name] = path
    return paths


def parse_options(arguments: Sequence[str]) -> Options:
    """The options; ends the program with a message where they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    counts = Counts(given.list_keys, given.list_puts, given.delete_keys)
    try:
        loads = tuple(load_named(name, counts) for name in given.loads)
        paths = peer_paths(os.environ.get(PEERS_VARIABLE, ""))
    except ValueError as error:
        parser.error(str(error))
    return Options(
        loads, _tuple(given.peers), paths, tuple(given.durability), given.rounds, given.seconds, given.wait,
        given.patience, given.workers, given.list_keys, given.dir, given.markdown, given.json,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measures s3gate beside other servers: the same requests, in alternating rounds.",
        epilog=f"Peers are found on PATH, or where {PEERS_VARIABLE}='NAME=PATH ...' says. "
        "`bench complete` measures CompleteMultipartUpload beside plain concatenation, `bench crowd` what idle and "
        "stalled clients cost, `bench etag` one upload beside MD5 alone and the plain write; each has its own --help.",
    )
    add = parser.add_argument
    add(
        "--loads",
        type=_list,
        default=DEFAULT_LOADS,
        metavar="A,B",
        help=f"default: all usual ones. Loads: {LOAD_NAMES}",
    )
    add("--peers", type=_peers, metavar="A,B", help=f"out of {', '.join(PEERS)}, or '' for none (default: those found)")
    add(
        "--durability",
        type=_durabilities,
        default=",".join(DURABILITIES),
        metavar="A,B",
        help="of s3gate (default: %(default)s)",
    )
    add("--rounds", type=_positive, default=3, help="rounds of each load (default: %(default)s)")
    add("--seconds", type=float, default=1.0, help="of a round, where time bounds it (default: %(default)s)")
    add("--wait", type=float, default=0.0, help="seconds in all to wait for a quiet machine (default: %(default)s)")
    add("--patience", type=_positive, default=10, help="seconds that an answer may take (default: %(default)s)")
    add(
        "--workers",
        type=_positive,
        default=os.cpu_count(),
        help="processes of servers that take a number (%(default)s)",
    )
    add(
        "--list-keys",
        type=_positive,
        default=1_000_000,
        help="keys of the bucket that is listed (default: %(default)s)",
    )
    add("--list-puts", type=_positive, default=20_000, help="the same where each is a PUT (default: %(default)s)")
    add("--delete-keys", type=_positive, default=2000, help="objects that a round deletes (default: %(default)s)")
    add("--dir", type=Path, help="where data are kept (default: an ext4 made for the run, as root, else temporary)")
    add("--markdown", type=Path, help="write the tables to this file (default: to the standard output)")
    add("--json", type=Path, help="write every sample to this file")
    return parser


def _tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _list(text: str) -> list[str]:
    return [item for item in text.split(",") if item]


def _peers(text: str) -> list[str]:
    return _among(text, tuple(PEERS))


def _durabilities(text: str) -> list[str]:
    return _among(text, DURABILITIES)


def _among(text: str, known: Sequence[str]) -> list[str]:
    names = _list(text)
    wrong = [name for name in names if name not in known]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]} is none of {', '.join(known)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
