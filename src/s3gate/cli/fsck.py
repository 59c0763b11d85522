"""`s3gate fsck`: looks through a data directory for what is damaged, left behind or not served."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from s3gate.cli.log import configure_logging
from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import buckets, janitor, layout, leftovers
from s3gate.storage.filesystem.bucket_directory import BucketDirectory, Store
from s3gate.storage.filesystem.durability import Durability
from s3gate.storage.filesystem.inspection import Finding, Inspection, Tally
from s3gate.storage.filesystem.lock_kinds import LockKind
from s3gate.storage.filesystem.locks import KeyLocks
from s3gate.storage.filesystem.process_locks import NoLocks
from s3gate.storage.filesystem.sole_process import SoleProcess

__all__ = ["add_parser"]

_CLEAN, _FOUND, _NOT_RUN = 0, 1, 2
_FIRST_PROGRESS, _NEXT_PROGRESS = 2.0, 5.0


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "fsck",
        help="check a data directory",
        description="Looks through a data directory for what is damaged, left behind by killed processes, or not "
        "served. Gateways may run meanwhile. Exit status: 0 nothing found, 1 something found, 2 it could not be done.",
        allow_abbrev=False,
    )
    parser.add_argument("directory", metavar="DIR", help="the data directory")
    parser.add_argument(
        "--repair", action="store_true", help="clear away what was left behind, as the janitor does; no data is touched"
    )
    parser.add_argument(
        "--verify-data", action="store_true", help="read all contents and compare them with checksums and ETags"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument("--bucket", action="append", default=[], metavar="B", help="only this bucket (may be repeated)")
    parser.set_defaults(run=_fsck)


class _Report:
    """Prints findings as they come, and what has been looked at when it takes long."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._next = time.monotonic() + _FIRST_PROGRESS
        self.counts: Counter[str] = Counter()

    def finding(self, finding: Finding) -> None:
        """Print one."""
        state = "repaired" if finding.repaired else "fault" if finding.fault else "note"
        self.counts[state] += 1
        if self._as_json:
            fields = {"state": state, "kind": finding.kind, "path": os.fsdecode(finding.path), "detail": finding.detail}
            print(json.dumps(fields))
        else:
            path = finding.path.decode(errors="backslashreplace")
            print(f"{state:9} {finding.kind}: {path}: {finding.detail}")

    def progress(self, tally: Tally) -> None:
        """Say on stderr how far it is, now and then."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _NEXT_PROGRESS
        read = f", {tally.bytes_read / 2**20:,.0f} MiB read" if tally.bytes_read else ""
        print(
            f"... bucket {tally.buckets}: {tally.objects:,} objects, {tally.versions:,} older versions{read}",
            file=sys.stderr,
            flush=True,
        )

    def end(self, tally: Tally) -> None:
        """Print the summary."""
        if self._as_json:
            looked = {
                name: getattr(tally, name) for name in ("buckets", "objects", "versions", "foreign", "bytes_read")
            }
            found = {state: self.counts[state] for state in ("fault", "repaired", "note")}
            print(json.dumps({"state": "end", **looked, **found}))
            return
        print(
            f"{tally.buckets} buckets, {tally.objects:,} objects ({tally.foreign:,} of other programs), "
            f"{tally.versions:,} older versions, {tally.bytes_read:,} bytes read"
        )
        print(f"{self.counts['fault']} faults, {self.counts['repaired']} repaired, {self.counts['note']} notes")


def _fsck(arguments: argparse.Namespace) -> int:
    configure_logging("error")  # what the modules would log is reported in full
    report = _Report(as_json=arguments.json)
    try:
        if not os.path.isdir(arguments.directory):
            raise StartError(f"{arguments.directory} is not a directory")
        root_fd = layout.open_root(arguments.directory, read_only=not arguments.repair)
        try:
            with _locking(root_fd, arguments) as locking, ThreadPoolExecutor(2) as executor:
                tally = asyncio.run(_run(root_fd, locking, executor, arguments, report))
        finally:
            os.close(root_fd)
    except BrokenPipeError:
        raise
    except (StartError, OSError) as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return _NOT_RUN
    report.end(tally)
    return _FOUND if report.counts["fault"] or report.counts["repaired"] else _CLEAN


@contextlib.contextmanager
def _locking(root_fd: int, arguments: argparse.Namespace) -> Iterator[LockKind]:
    """The locks of the directory. Where they keep nobody out repairs are made alone, beside no gateway."""
    kind = layout.lock_kind(arguments.directory)
    if kind.excludes or not arguments.repair:
        yield kind
        return
    sole = SoleProcess(root_fd, arguments.directory)
    try:
        yield NoLocks(alone=True)
    finally:
        sole.close()


async def _run(
    root_fd: int, locking: LockKind, executor: ThreadPoolExecutor, arguments: argparse.Namespace, report: _Report
) -> Tally:
    store = Store(
        root_fd,
        f"fsck-{os.getpid()}-{uuid.uuid4().hex[:12]}",
        executor,
        durability=Durability("full", executor),
        metadata="auto",
        locking=locking,
    )
    names = _names(root_fd, arguments.bucket)
    run = Inspection(
        executor,
        repair=arguments.repair,
        verify_data=arguments.verify_data,
        report=report.finding,
        tick=report.progress,
        now_ns=janitor.filesystem_now(root_fd) if arguments.repair else time.time_ns(),
    )
    if not arguments.bucket:
        locks = _BucketLocks(store)
        await run.leftovers(b"", [leftovers.of_root(store, locks.open, run.now_ns)])
        locks.close()
        names = _names(root_fd, [])  # one may have come back
    for name in names:
        try:
            bucket = BucketDirectory(store, name)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            report.finding(Finding("unreadable bucket", name.encode(), f"it is not served: {error}"))
            continue
        await run.bucket(bucket)
    return run.tally


def _names(root_fd: int, wanted: Sequence[str]) -> list[str]:
    there = buckets.names(root_fd)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise StartError(f"there is no bucket {missing[0]}")
    return sorted(set(wanted)) if wanted else there


class _BucketLocks:
    """The locks of bucket names, opened by the first who needs them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: KeyLocks | None = None

    def open(self) -> KeyLocks:
        """The locks."""
        if self._locks is None:
            self._locks = KeyLocks(self._store.locking.names(self._store.root_fd, buckets.LOCKS))
        return self._locks

    def close(self) -> None:
        """Close them if they were opened."""
        if self._locks is not None:
            self._locks.close()
