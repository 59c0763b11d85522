"""`s3gate fsck`: what it prints, and its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from s3gate.cli import fsck
from s3gate.cli.main import main
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem import inspection
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.snapshot import snapshot
from support.stores import REGION, put


@pytest.fixture(autouse=True)
def _no_second_look(monkeypatch):
    monkeypatch.setattr(inspection, "_SECOND_LOOK", 0.0)


@pytest.fixture
def data(tmp_path):
    """A data directory of two buckets with an object each, that no gateway serves any more."""

    async def work() -> None:
        backend = FilesystemBackend(str(tmp_path / "data"), durability="none")
        await backend.start()
        for name in ("one", "two"):
            await put(backend, await backend.create_bucket(name, ROOT, REGION), "dir/key", b"data")
        await backend.stop()

    asyncio.run(work())
    return tmp_path / "data"


def run(capsys, *argv):
    status = main(["fsck", *map(str, argv)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_clean_directory_is_0_with_a_summary(data, capsys):
    before = snapshot(data)
    status, out, err = run(capsys, data, "--verify-data")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "2 buckets, 2 objects (0 of other programs), 0 older versions, 8 bytes read",
        "0 faults, 0 repaired, 0 notes",
    ]
    assert snapshot(data) == before


def test_a_finding_is_1_and_repaired_is_clean_the_next_time(data, capsys):
    (data / "one/.s3gate/tmp/gone").mkdir()
    status, out, _ = run(capsys, data)
    assert status == 1
    assert out.splitlines()[0] == "fault     stage: one/.s3gate/tmp/gone: what a process staged that is gone"
    assert (data / "one/.s3gate/tmp/gone").exists()
    status, out, _ = run(capsys, data, "--repair")
    assert status == 1
    assert out.startswith("repaired  stage: one/.s3gate/tmp/gone")
    assert run(capsys, data)[0] == 0


def test_damaged_contents_are_a_fault_that_repair_leaves_alone(data, capsys):
    path = data / "two/dir/key"
    stat = path.stat()
    path.write_bytes(b"dat4")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run(capsys, data)[0] == 0
    for flags in (["--verify-data"], ["--verify-data", "--repair"]):
        status, out, _ = run(capsys, data, *flags)
        assert status == 1
        assert "fault     damaged contents: two/dir/key: the MD5 of the contents is not the ETag" in out
    assert path.read_bytes() == b"dat4"


def test_a_note_alone_is_0(data, capsys):
    (data / "one/dir/key").write_bytes(b"by another program")
    status, out, _ = run(capsys, data)
    assert status == 0
    assert out.startswith("note      changed outside: one/dir/key: ")


def test_json_has_an_object_a_line_and_a_summary_at_its_end(data, capsys):
    with open(os.fsencode(data) + b"/one/\xff", "wb"):
        pass
    (data / "one/dir/key").write_bytes(b"by another program")
    status, out, _ = run(capsys, data, "--json")
    note, fault, end = sorted(map(json.loads, out.splitlines()), key=lambda each: "note fault end".index(each["state"]))
    assert status == 1
    assert (note["kind"], note["path"]) == ("changed outside", "one/dir/key")
    assert os.fsencode(fault["path"]) == b"one/\xff"
    assert end == {
        "state": "end", "buckets": 2, "objects": 1 + 1, "versions": 0, "foreign": 0, "bytes_read": 0,
        "fault": 1, "repaired": 0, "note": 1,
    }  # fmt: skip


def test_one_bucket_alone_is_looked_at(data, capsys):
    (data / "one/.s3gate/tmp/gone").mkdir()
    assert run(capsys, data, "--bucket", "two")[0] == 0
    assert run(capsys, data, "--bucket", "two", "--bucket", "one")[0] == 1


def test_a_bucket_whose_record_cannot_be_read_is_a_fault_and_the_others_are_looked_at(data, capsys):
    (data / "one/.s3gate/bucket.json").write_bytes(b"{")
    status, out, _ = run(capsys, data)
    assert status == 1
    assert out.startswith("fault     unreadable bucket: one: ")
    assert "1 buckets" in out


def test_a_bucket_that_was_half_deleted_comes_back(data, capsys):
    waste = data / ".s3gate/trash/waste"
    waste.mkdir()
    (data / "one").rename(waste / "one")
    os.utime(waste, (1, 1))
    status, out, _ = run(capsys, data)
    assert status == 1
    assert "cut-off bucket: .s3gate/trash/waste/one" in out
    status, out, _ = run(capsys, data, "--repair")
    assert (data / "one/dir/key").read_bytes() == b"data"
    assert "2 buckets" in out
    assert run(capsys, data)[0] == 0


def test_a_directory_that_no_gateway_has_served_is_clean_and_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket/file").write_bytes(b"data")
    status, out, _ = run(capsys, tmp_path)
    assert status == 0
    assert out.startswith("1 buckets, 1 objects (1 of other programs)")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bucket", "file"]


@pytest.mark.parametrize("flags", [[], ["--repair"]])
def test_what_cannot_be_looked_at_is_2(flags, data, tmp_path, capsys):
    assert run(capsys, tmp_path / "missing", *flags)[::2] == (2, f"s3gate: {tmp_path}/missing is not a directory\n")
    assert not (tmp_path / "missing").exists()
    assert run(capsys, data, "--bucket", "three", *flags)[::2] == (2, "s3gate: there is no bucket three\n")


MARKERS = {
    '{"format": "s3gate-posix", "version": 9, "min_reader": 9, "min_writer": 9}': "newer s3gate (needs format 9)",
    '{"format": "other", "version": 1, "min_reader": 1, "min_writer": 1}': "of another format: other",
    '{"format": "s3gate-posix"': "is damaged",
    "[]": "is damaged",
    '{"format": "s3gate-posix", "min_reader": "x", "min_writer": 1}': "is damaged",
    "": "is damaged",
}


@pytest.mark.parametrize("marker", MARKERS)
def test_a_directory_of_a_newer_or_unknown_format_is_refused_by_every_command(marker, data, capsys):
    (data / ".s3gate/format.json").write_text(marker)
    before = snapshot(data)
    for argv, expected in (
        (["fsck", str(data)], 2),
        (["fsck", str(data), "--repair"], 2),
        (["serve", str(data), "--listen", "127.0.0.1:0", "--no-auth"], 1),
        (["serve", str(data), "--listen", "127.0.0.1:0", "--no-auth", "--read-only"], 1),
    ):
        assert main(argv) == expected
        err = capsys.readouterr().err
        assert MARKERS[marker] in err
        assert "format.json" in err
    assert snapshot(data) == before


def test_a_directory_that_a_newer_one_alone_may_write_to_can_be_read(data, capsys):
    marker = {"format": "s3gate-posix", "version": 2, "min_reader": 1, "min_writer": 2}
    (data / ".s3gate/format.json").write_text(json.dumps(marker))
    assert run(capsys, data)[0] == 0
    status, _, err = run(capsys, data, "--repair")
    assert status == 2
    assert "writing needs format 2" in err
    assert "--read-only" in err


def test_progress_is_told_on_stderr_when_it_takes_long(data, capsys, monkeypatch):
    monkeypatch.setattr(fsck, "_FIRST_PROGRESS", 0.0)
    monkeypatch.setattr(fsck, "_NEXT_PROGRESS", 0.0)
    status, out, err = run(capsys, data, "--verify-data")
    assert status == 0
    assert "... bucket 1: " in err
    assert "read" in err
    assert "..." not in out


def test_output_that_nobody_reads_is_no_error(data):
    command = [sys.executable, "-m", "s3gate", "fsck", str(data)]
    for name in range(2000):
        (data / f"one/{name}").symlink_to("nowhere")
    done = subprocess.run(["sh", "-c", '"$@" | head -1', "sh", *command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("fault     hidden: one/")
    assert done.stderr == ""
