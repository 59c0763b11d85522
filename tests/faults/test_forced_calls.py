"""What a request forces to the medium, and in which order, by the system calls of a running gateway.

Everything is pinned to the call: one fsync too few loses what was acknowledged, one too many costs every client.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway
from support.processes import workers
from support.system_calls import Call, Trace, TracingRefused, traced
from support.wire_client import Answer, ask

LEVELS = ["full", "data", "none"]
SYNCS = {"fsync", "fdatasync", "sync_file_range", "sync", "syncfs"}
_VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_NAMES = [
    (r"\w+/\.s3gate/tmp/[^/]+/[^/]+", "STAGE"),
    (r"\w+/\.s3gate/tmp/[^/]+", "STAGES"),
    (r"(bucket/\.s3gate/mpu/)[^/]+", r"\1ID"),
    (r"[0-9a-f]{16}\.(?:[0-9a-f]{8}|null)", "VERSION"),
    (r"(ID/.*?)\d{5}-[0-9a-f]{16}-[^/]*", r"\1PART"),
]


class Traced:
    """A gateway with one worker, and what that does for a request."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        (self.worker,) = workers(gateway.pid)

    def ask(self, *request: Any) -> Answer:
        """A request that is not looked at."""
        answer = ask(self.gateway, *request)
        assert answer.status < 300, answer
        return answer

    def calls(self, *request: Any) -> list[str]:
        """What is done for a request: fsyncs that may come in any order are sorted.

        Empty directories are removed a while after their last object, whatever is asked then.
        """
        with traced(self.worker) as trace:
            self.ask(*request)
        calls = [call for call in trace.calls if call.name != "rmdir"]
        self._check_order(calls)
        told = [self._told(call) for call in calls if not call.error]
        return [
            line
            for synced, lines in groupby(told, lambda line: line.startswith("fsync"))
            for line in (sorted(lines) if synced else lines)
        ]

    @staticmethod
    def _check_order(calls: list[Call]) -> None:
        """Only fsyncs run beside one another: each other call begins when all before it have returned."""
        for number, call in enumerate(calls):
            for earlier in calls[:number]:
                assert earlier.end < call.start or (earlier.name in SYNCS and call.name in SYNCS), (earlier, call)

    def _told(self, call: Call) -> str:
        return " ".join([call.name, *map(self.name, call.paths)])

    def name(self, path: str) -> str:
        """A path below the data directory, without what chance decides."""
        name = path.removeprefix(f"{self.gateway.root.resolve()}/")
        for pattern, word in _NAMES:
            name = re.sub(pattern, word, name)
        return name


@pytest.fixture(scope="module", params=LEVELS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """Everything that is made once is there."""
    root: Path = tmp_path_factory.mktemp(f"forced-{request.param}")
    settings = ["--no-auth", "--create-bucket", "bucket", "--create-bucket", "kept", "--metadata", "xattr"]
    settings += ["--durability", request.param, "--janitor-interval-secs", "0"]
    with Gateway(root, *settings, workers=1) as gateway:
        server = Traced(gateway)
        for name in ("bucket", "kept"):
            server.ask("PUT", f"/{name}/first", b"x")
        yield server


@pytest.fixture
def level(server: Traced) -> str:
    return server.gateway.arguments[server.gateway.arguments.index("--durability") + 1]


def at(level: str, *lines: str) -> list[str]:
    """The lines of `full` as they are at this level: `data` forces files alone, `none` nothing."""
    if level == "full":
        return list(lines)
    return [line for line in lines if not line.startswith("fsync") or (level == "data" and line == "fsync STAGE")]


def test_a_new_object_is_forced_before_its_name_and_its_name_before_the_answer(server, level):
    assert server.calls("PUT", "/bucket/key", b"x") == at(
        level, "fsync STAGE", "rename STAGE bucket/key", "fsync bucket"
    )
    assert server.calls("PUT", "/bucket/large", b"x" * 3_000_000) == at(
        level, "fsync STAGE", "rename STAGE bucket/large", "fsync bucket"
    )


def test_an_overwrite_costs_no_more(server, level):
    server.ask("PUT", "/bucket/old", b"old")
    calls = server.calls("PUT", "/bucket/old", b"new")
    # Where two names can be exchanged the old file goes under the staged one's name.
    assert [line for line in calls if line != "unlink STAGE"] == at(
        level, "fsync STAGE", "rename STAGE bucket/old", "fsync bucket"
    )


def test_of_new_directories_each_one_and_the_one_that_holds_the_first_are_forced(server, level):
    made = ["mkdir bucket/a", "mkdir bucket/a/b", "mkdir bucket/a/b/c"]
    forced = ["fsync bucket", "fsync bucket/a", "fsync bucket/a/b", "fsync bucket/a/b/c"]
    assert server.calls("PUT", "/bucket/a/b/c/key", b"x") == at(
        level, "fsync STAGE", *made, "rename STAGE bucket/a/b/c/key", *forced
    )
    assert server.calls("PUT", "/bucket/a/b/c/other", b"x") == at(
        level, "fsync STAGE", "rename STAGE bucket/a/b/c/other", "fsync bucket/a/b/c"
    )


def test_a_delete_forces_the_directory_alone(server, level):
    server.ask("PUT", "/bucket/gone", b"x")
    assert server.calls("DELETE", "/bucket/gone") == at(level, "unlink bucket/gone", "fsync bucket")
    assert server.calls("DELETE", "/bucket/gone") == []


def test_tags_force_the_file_alone(server, level):
    server.ask("PUT", "/bucket/tagged", b"x")
    document = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    assert server.calls("PUT", "/bucket/tagged?tagging", document) == (
        ["fsync bucket/tagged"] if level != "none" else []
    )


@pytest.mark.parametrize("directories", [["many"], ["one", "two", "one/three"]], ids=len)
def test_a_hundred_deletes_force_each_directory_once(directories, server, level):
    keys = [f"{directories[n % len(directories)]}/{n:03}" for n in range(100)]
    for key in [*keys, *(f"{name}/stays" for name in directories)]:  # so that none is removed as empty meanwhile
        server.ask("PUT", f"/bucket/{key}", b"x")
    calls = server.calls("POST", "/bucket?delete", *deletion(keys))
    forced = sorted(f"fsync bucket/{name}" for name in directories) if level == "full" else []
    assert sorted(calls[:100]) == sorted(f"unlink bucket/{key}" for key in keys)
    assert calls[100:] == forced


def deletion(keys: list[str]) -> tuple[bytes, dict[str, str]]:
    """The document of DeleteObjects, and its header."""
    body = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    data = f"<Delete>{body}</Delete>".encode()
    return data, {"Content-MD5": base64.b64encode(hashlib.md5(data).digest()).decode()}


def test_an_upload_is_forced_whole_before_it_gets_its_name(server, level):
    """How parts are kept is not pinned here, but that what they become is forced, once, and in order."""
    begun = server.ask("POST", "/bucket/joined?uploads")
    (upload_id,) = re.findall(rb"<UploadId>(.*)</UploadId>", begun.body)
    where = f"/bucket/joined?uploadId={upload_id.decode()}"
    part = server.calls("PUT", f"{where}&partNumber=1", b"x" * 100_000)
    tag = hashlib.md5(b"x" * 100_000).hexdigest()
    document = f"<Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
    calls = server.calls("POST", where, document.encode())

    (named,) = (line for line in calls if line.startswith("rename") and line.endswith(" bucket/joined"))
    file = named.split()[1]
    forced = [line for line in calls if line.startswith("fsync")]
    before = calls[: calls.index(named)]
    if level == "none":
        assert not [line for line in (*part, *calls) if line.startswith("fsync")]
        return
    assert before.count(f"fsync {file}") == 1
    assert any(line.startswith("fsync") and not line.endswith("/ID") for line in part)
    assert forced.count("fsync bucket") == (level == "full")
    assert "fsync bucket" not in before
    assert (part[-1] == "fsync bucket/.s3gate/mpu/ID") == (level == "full")


def test_versions_are_linked_and_both_directories_forced(server, level):
    kept = server.gateway.root / "kept"
    server.ask("PUT", "/kept?versioning", _VERSIONED)
    assert server.calls("PUT", "/kept/v/key", b"1") == at(
        level, "fsync STAGE", "mkdir kept/v", "rename STAGE kept/v/key", "fsync kept", "fsync kept/v"
    )
    history = "kept/.s3gate/v/v/.s3gate!key"
    calls = server.calls("PUT", "/kept/v/key", b"2")
    made = [line for line in calls if line.startswith("mkdir")]
    assert made[-2:] == ["mkdir kept/.s3gate/v/v", f"mkdir {history}"]
    holders = {line.removeprefix("mkdir ").rpartition("/")[0] for line in made}
    forced = [line for line in calls if line.startswith("fsync kept")]
    assert forced == sorted(f"fsync {name}" for name in {*holders, history, "kept/v"} if level == "full")
    archived = f"link kept/v/key {history}/VERSION"
    calls = server.calls("PUT", "/kept/v/key", b"3")
    assert [line for line in calls if line != "unlink STAGE"] == at(
        level, "fsync STAGE", archived, "rename STAGE kept/v/key", f"fsync {history}", "fsync kept/v"
    )
    assert server.calls("DELETE", "/kept/v/key") == at(
        level,
        "fsync STAGE",
        archived,
        f"link STAGE {history}/VERSION.d",
        "unlink kept/v/key",
        "unlink STAGE",
        f"fsync {history}",
        "fsync kept/v",
    )
    (marker,) = (path.name for path in (kept / ".s3gate/v/v/.s3gate!key").glob("*.d"))
    inverse, tail, _ = marker.split(".")
    calls = server.calls("DELETE", f"/kept/v/key?versionId={inverse}{tail}")
    assert calls == at(
        level,
        f"rename {history}/VERSION kept/v/key",
        f"unlink {history}/VERSION.d",
        f"fsync {history}",
        "fsync kept/v",
    )


def test_concurrent_writes_share_the_fsyncs_of_their_directory(server, level):
    """While one is under way all others are committed; a single further one covers them, whatever their number."""
    number = 24
    directory = str(server.gateway.root.resolve() / "bucket/busy")
    server.ask("PUT", "/bucket/busy/first", b"x")
    trace = Trace()

    def is_early(call: Call) -> bool:
        named = sum(each.name == "rename" and each.end > 0 for each in trace.calls)
        return call.name == "fsync" and call.paths == [directory] and named < number

    def put(n: int) -> None:
        server.ask("PUT", f"/bucket/busy/{n}", b"x")

    with ThreadPoolExecutor(number) as clients, traced(server.worker, is_early, trace):
        list(clients.map(put, range(number)))
    forced = [call.paths[0] for call in trace.done("fsync")]
    assert len([path for path in forced if path != directory]) == (number if level != "none" else 0)
    assert forced.count(directory) == (2 if level == "full" else 0)
    assert {call.name for call in trace.calls} & SYNCS <= {"fsync"}


def test_a_process_that_cannot_be_traced_is_told_and_not_passed_over(server):
    refused = pytest.raises(TracingRefused, match=r"refuses ptrace.*SYS_PTRACE")
    with traced(server.worker), refused, traced(server.worker):  # nobody may twice
        pass
    server.ask("GET", "/bucket/first")
