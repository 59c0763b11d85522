"""A bucket of 1,000,000 objects, in one directory or in a thousand: what a page of its listing costs."""

from __future__ import annotations

import itertools
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest

from s3gate.core.checksums import Checksum
from s3gate.core.values import ObjectRecord
from s3gate.storage.filesystem import records
from s3gate.storage.filesystem.metadata import ATTRIBUTE
from s3gate.storage.filesystem.records import Binding
from support.files import MIB
from support.gateway import Gateway
from support.memory import MemoryWatch
from support.processes import workers
from support.wire_client import ask, connect

pytestmark = pytest.mark.timeout(3600)

OBJECTS = int(os.environ.get("S3GATE_LARGE_OBJECTS", "1000000"))
DIRECTORIES = 1000
PAGE = 1000
PAGES_BESIDE_WRITER = 200
PUTS_A_SECOND = 100
MAX_RESIDENT = 300 * MIB
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def flat_keys() -> list[str]:
    return [f"{number * 7919 % 1_000_003:07}-object-of-million" for number in range(OBJECTS)]


def nested_keys() -> list[str]:
    return [f"{number % DIRECTORIES:06}/{number // DIRECTORIES:06}" for number in range(OBJECTS)]


def make_objects(bucket: Path, keys: list[str]) -> None:
    """Empty objects as the gateway writes them: files with a record."""
    record = ObjectRecord(
        "d41d8cd98f00b204e9800998ecf8427e",
        0,
        1_790_000_000 * 10**9,
        headers={"content-type": "application/octet-stream"},
        checksum=Checksum("CRC64NVME", "AAAAAAAAAAA="),
    )
    for parent, below in itertools.groupby(sorted(keys), key=lambda key: key.rpartition("/")[0]):
        (bucket / parent).mkdir(exist_ok=True)
        directory = os.open(bucket / parent, os.O_RDONLY)
        for key in below:
            fd = os.open(key[len(parent) + bool(parent) :], _CREATE, 0o644, dir_fd=directory)
            os.setxattr(fd, ATTRIBUTE, records.encode(record, Binding.of(os.fstat(fd))))
            os.close(fd)
        os.close(directory)


@dataclass
class Pages:
    """The pages of a listing: what was in them, and what each took."""

    names: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        return (
            f"{len(ordered):,} pages in {sum(ordered):.1f} s; a page {statistics.median(ordered) * 1000:.1f} ms "
            f"(median), {ordered[len(ordered) * 99 // 100] * 1000:.0f} ms (99 %), {ordered[-1] * 1000:.0f} ms (most), "
            f"{self.cpu / len(ordered) * 1000:.1f} ms of server CPU (mean)"
        )


def server_cpu(gateway: Gateway) -> float:
    """CPU seconds that the workers have used so far."""
    spent = 0
    for pid in workers(gateway.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent * _TICK


_NAMES = re.compile(rb"<(?:Key|Prefix)>([^<]+)</(?:Key|Prefix)>")
_NEXT = {
    "v1": (re.compile(rb"<NextMarker>([^<]+)<"), "marker"),
    "v2": (re.compile(rb"<NextContinuationToken>([^<]+)<"), "continuation-token"),
    "versions": (re.compile(rb"<NextKeyMarker>([^<]+)<"), "key-marker"),
}
_QUERY = {"v1": "", "v2": "list-type=2&", "versions": "versions&"}


def walk(
    connection: HTTPConnection, gateway: Gateway, form: str, more: str = "", most: int = 10**9, size: int = PAGE
) -> Pages:
    """List to the end, or `most` pages, in one of the three forms."""
    pages = Pages()
    before = server_cpu(gateway)
    marker = ""
    while len(pages.seconds) < most:
        start = time.perf_counter()
        answer = ask(connection, "GET", f"/bucket?{_QUERY[form]}max-keys={size}{more}{marker}")
        pages.seconds.append(time.perf_counter() - start)
        assert answer.status == 200
        head, _, body = answer.body.partition(b"<IsTruncated>")
        names = [name.decode() for name in _NAMES.findall(body)]
        pages.names += names
        if not body.startswith(b"true"):
            break
        assert len(names) == size
        pattern, parameter = _NEXT[form]
        found = pattern.search(head + body)
        behind = quote(found[1].decode() if found else names[-1], safe="")
        marker = f"&{parameter}={behind}"
        if form == "versions":
            version = re.search(rb"<NextVersionIdMarker>([^<]+)<", body)
            assert version is not None
            marker += f"&version-id-marker={version[1].decode()}"
    pages.cpu = server_cpu(gateway) - before
    return pages


class Writer:
    """Puts new objects beside those of the bucket, PUTS_A_SECOND of them, for as long as the block lasts."""

    def __init__(self, gateway: Gateway, directories: list[str]) -> None:
        self.acknowledged: list[str] = []
        self._gateway = gateway
        self._directories = itertools.cycle(directories)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        connection = connect(self._gateway)
        begun = time.monotonic()
        for number in itertools.count():
            if self._end.wait(max(0.0, begun + number / PUTS_A_SECOND - time.monotonic())):
                break
            key = f"{next(self._directories)}~{number:08}"
            assert ask(connection, "PUT", f"/bucket/{key}", b"x").status == 200
            self.acknowledged.append(key)
        connection.close()


@pytest.fixture
def gateway(room: Path) -> Iterator[Gateway]:
    with Gateway(room, "--no-auth", "--create-bucket", "bucket", "--durability", "none") as running:
        yield running


def longest_wait(gateway: Gateway, connection: HTTPConnection, path: str) -> tuple[float, float]:
    """How long one page takes, and the longest that another request to the same worker waited meanwhile."""
    waits: list[float] = []
    end = threading.Event()

    def look() -> None:
        others = [connect(gateway) for _ in range(8)]  # some of them at the same worker
        while not end.is_set():
            for other in others:
                start = time.perf_counter()
                assert ask(other, "HEAD", "/bucket").status == 200
                waits.append(time.perf_counter() - start)
        for other in others:
            other.close()

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.2)
    waits.clear()
    start = time.perf_counter()
    assert ask(connection, "GET", path).status == 200
    took = time.perf_counter() - start
    end.set()
    thread.join()
    return took, max(waits)


@pytest.mark.parametrize("make_keys", [flat_keys, nested_keys], ids=["flat", "in 1,000 directories"])
def test_a_bucket_of_a_million_objects_is_listed_to_the_end_beside_a_writer_too(gateway, make_keys, timed, say):
    keys = make_keys()
    with timed(f"making {OBJECTS:,} objects"):
        make_objects(gateway.root / "bucket", keys)
    keys.sort()
    top = sorted({key[: key.find("/") + 1] or key for key in keys})
    connection = connect(gateway)
    with MemoryWatch(gateway.pid) as memory:
        middle = f"/bucket?list-type=2&max-keys={PAGE}&start-after={quote(keys[OBJECTS // 2], safe='')}"
        took, wait = longest_wait(gateway, connection, middle)
        say(f"the first page of all, behind a key: {took:.2f} s; others waited {wait * 1000:.0f} ms at most meanwhile")
        for number in range(3):
            say(f"the same page again: {longest_wait(gateway, connection, middle)[0] * 1000:.1f} ms ({number + 1})")
        for form, expected in (("v2", keys), ("v2", keys), ("v1", keys), ("versions", keys)):
            pages = walk(connection, gateway, form)
            assert pages.names == expected
            say(f"{form}: {pages}")
        pages = walk(connection, gateway, "v2", "&delimiter=%2F")
        assert pages.names == top
        say(f"v2 by delimiter: {pages}")
        first = [walk(connection, gateway, "v2", "&delimiter=%2F", most=1) for _ in range(20)]
        say(f"the same again: {statistics.median(each.seconds[0] for each in first) * 1000:.1f} ms (median)")
        small = walk(connection, gateway, "v2", most=100, size=5)
        say(f"pages of 5: {small}")
        check_beside_writer(gateway, connection, keys, say)
    say(str(memory))
    assert memory.most < MAX_RESIDENT
    connection.close()


def check_beside_writer(gateway, connection, keys, say):
    """Whatever was acknowledged before a page was asked for is in it, if it belongs there."""
    directories = sorted({key[: key.rfind("/") + 1] for key in keys})
    pages = Pages()
    before = server_cpu(gateway)
    with Writer(gateway, [f"{each}{start}" for start in ("0", "5", "9") for each in directories]) as writer:
        last = ""
        while len(pages.seconds) < PAGES_BESIDE_WRITER:
            known = writer.acknowledged.copy()
            start = time.perf_counter()
            query = f"list-type=2&max-keys={PAGE}&start-after={quote(last, safe='')}"
            answer = ask(connection, "GET", f"/bucket?{query}")
            pages.seconds.append(time.perf_counter() - start)
            names = [name.decode() for name in re.findall(rb"<Key>([^<]+)</Key>", answer.body)]
            truncated = b"<IsTruncated>true" in answer.body
            for key in known:
                if key > last and (not truncated or key <= names[-1]):
                    assert key in names, f"{key} was acknowledged, and is not listed"
            last = names[-1] if truncated else ""
    pages.cpu = server_cpu(gateway) - before
    say(f"beside {len(writer.acknowledged)} PUTs in the same directories: {pages} (PUTs included)")
