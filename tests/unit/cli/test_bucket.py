"""`s3gate bucket`: what it prints and leaves behind, and its exit status."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from s3gate.cli import run_as
from s3gate.cli.main import main
from s3gate.identity.model import ROOT
from s3gate.storage.filesystem.backend import FilesystemBackend
from support.snapshot import snapshot
from support.stores import put

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory, as the environment names it."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("S3GATE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `s3gate bucket ...`; gives the exit status, stdout and stderr."""

    def bucket(*argv: str) -> tuple[int, str, str]:
        status = main(["bucket", *argv])
        return status, *capsys.readouterr()

    return bucket


def shown(run: Run, name: str = "bck") -> dict[str, str]:
    status, out, _ = run("show", name, "--json")
    assert status == 0
    fields: dict[str, str] = json.loads(out)
    return fields


def fill(data: Path, name: str, **objects: bytes) -> None:
    async def work() -> None:
        backend = FilesystemBackend(str(data), durability="none")
        await backend.start()
        bucket = await backend.find_bucket(name)
        for key, content in objects.items():
            await put(backend, bucket, key, content)
        await backend.stop()

    asyncio.run(work())


def test_a_bucket_is_made_with_properties_and_shown(run: Run, data: Path):
    assert run("create", "bck", "--props", "checksum.type=md5,versioning=enabled") == (0, '"bck" bucket created\n', "")
    fields = shown(run)
    assert fields.pop("created").startswith("20")
    assert fields == {
        "bucket": "bck",
        "owner": ROOT.display_name,
        "region": "us-east-1",
        "checksum.type": "md5",
        "versioning": "enabled",
        "quota.bytes": "none",
        "quota.objects": "none",
    }
    lines = run("show", "bck")[1].splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(["created", *fields])
    assert "checksum.type    md5" in lines
    assert (data / "bck").is_dir()


def test_a_bucket_is_named_as_clients_and_aistore_name_it(run: Run):
    assert run("create", "ais://bck", "--bucket-props=checksum.type=xxhash")[0] == 0
    assert shown(run, "s3://bck/")["checksum.type"] == "xxhash"
    assert run("rm", "s3://bck")[:2] == (0, '"bck" bucket removed\n')


def test_properties_change_one_at_a_time_and_tell_what_they_were(run: Run):
    run("create", "bck")
    assert run("props", "bck", "checksum.type=xxhash")[0] == 0
    status, out, _ = run("props", "bck", "checksum.type=md5", "quota.bytes=10GiB", "quota.objects=5")
    assert (status, out.splitlines()) == (
        0,
        [
            "Bucket props successfully updated",
            '"checksum.type" set to:"md5" (was:"xxhash")',
            '"quota.bytes" set to:"10737418240" (was:"none")',
            '"quota.objects" set to:"5" (was:"none")',
        ],
    )
    run("props", "bck", "quota.bytes=none")
    fields = shown(run)
    assert (fields["checksum.type"], fields["quota.bytes"], fields["quota.objects"]) == ("md5", "none", "5")


def test_what_is_taken_back_leaves_no_document(run: Run, data: Path):
    run("create", "bck", "--props", "checksum.type=md5", "--props", "quota.objects=1")
    run("props", "bck", "checksum.type=default", "quota.objects=none")
    assert os.listdir(data / "bck/.s3gate/conf") == []
    assert shown(run)["checksum.type"] == "default"


@pytest.mark.parametrize(
    "assignment",
    ["checksum.type=sha1", "versioning=off", "versioning=", "quota.bytes=much", "quota.objects=1.5", "acl=private"],
)
def test_a_value_that_is_wrong_changes_nothing(run: Run, data: Path, assignment: str):
    run("create", "bck", "--props", "checksum.type=md5")
    other = "quota.objects=1" if assignment.startswith("versioning") else "versioning=enabled"
    before = snapshot(data)
    status, out, error = run("props", "bck", other, assignment)
    assert (status, out) == (1, "")
    assert assignment.split("=")[0] in error
    assert snapshot(data) == before
    assert run("create", "other", "--props", assignment)[0] == 1
    assert not (data / "other").exists()


def test_buckets_are_listed_with_their_time(run: Run, data: Path):
    run("create", "bck")
    (data / "adopted").mkdir()
    lines = run("ls")[1].splitlines()
    assert lines[0].split() == ["CREATED", "BUCKET"]
    assert [line.split()[1] for line in lines[1:]] == ["adopted", "bck"]
    assert [json.loads(line)["bucket"] for line in run("ls", "--json")[1].splitlines()] == ["adopted", "bck"]


def test_looking_writes_nothing(run: Run, data: Path):
    (data / "adopted").mkdir()
    (data / "adopted/file").write_bytes(b"x")
    before = snapshot(data)
    for verb in (("ls",), ("show", "adopted"), ("du",), ("du", "adopted")):
        assert run(*verb)[0] == 0
    assert snapshot(data) == before


def test_only_an_empty_bucket_is_removed(run: Run, data: Path):
    run("create", "bck")
    (data / "bck/file").write_bytes(b"x")
    assert run("rm", "bck") == (1, "", "s3gate: bck: The bucket you tried to delete is not empty\n")
    assert (data / "bck/file").read_bytes() == b"x"
    (data / "bck/file").unlink()
    assert run("rm", "bck")[0] == 0
    assert not (data / "bck").exists()


def test_du_counts_objects_and_older_versions(run: Run, data: Path):
    run("create", "one", "--props", "versioning=enabled")
    run("create", "two")
    fill(data, "one", a=b"12345", b=b"1")
    fill(data, "one", a=b"123")
    (data / "two/foreign").write_bytes(b"1234567")
    head, one, two = run("du")[1].splitlines()
    assert " ".join(head.split()) == "BUCKET OBJECTS BYTES OLDER VERSIONS BYTES DELETE MARKERS UPLOADS BYTES"
    assert one.split() == ["one", "2", "4", "1", "5", "0", "0", "0"]
    assert two.split() == ["two", "1", "7", "0", "0", "0", "0", "0"]
    assert [json.loads(line)["objects"] for line in run("du", "two", "--json")[1].splitlines()] == [1]


@pytest.mark.parametrize(
    "verb", [("show", "none"), ("props", "none", "versioning=enabled"), ("rm", "none"), ("du", "none")]
)
def test_a_bucket_that_is_not_there_is_told(run: Run, verb: tuple[str, ...]):
    assert run(*verb) == (1, "", "s3gate: none: The specified bucket does not exist\n")


def test_a_bucket_is_made_once_and_by_the_rules_of_names(run: Run, monkeypatch: pytest.MonkeyPatch):
    run("create", "bck")
    assert run("create", "bck")[0] == 1
    assert "'Not_s3' cannot be a bucket" in run("create", "Not_s3")[2]
    monkeypatch.setenv("S3GATE_BUCKET_NAMES", "relaxed")
    assert run("create", "Not_s3")[0] == 0


def test_the_directory_must_be_there_and_is_named_by_flag_or_configuration(run: Run, data: Path, tmp_path: Path):
    assert "--data-dir" in run("ls", "--data-dir", str(tmp_path / "none"))[2]
    assert not (tmp_path / "none").exists()
    (tmp_path / "s3gate.toml").write_text(f'data_dir = "{tmp_path}/other"\n')
    (tmp_path / "other/there").mkdir(parents=True)
    del os.environ["S3GATE_DATA_DIR"]
    assert run("ls", "--conf", str(tmp_path / "s3gate.toml"))[1].split()[-1] == "there"


def test_read_only_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch):
    run("create", "bck")
    monkeypatch.setenv("S3GATE_READ_ONLY", "true")
    assert run("ls")[0] == 0
    for verb in (("create", "more"), ("props", "bck", "versioning=enabled"), ("rm", "bck")):
        assert "read_only" in run(*verb)[2]


def test_a_damaged_quota_is_told_and_can_be_replaced(run: Run, data: Path):
    run("create", "bck", "--props", "quota.objects=1")
    (data / "bck/.s3gate/conf/quota").write_bytes(b"{")
    assert shown(run)["quota.bytes"] == "damaged"
    assert run("props", "bck", "quota.objects=2")[0] == 0
    assert shown(run)["quota.objects"] == "2"


def test_root_works_as_the_user_whose_directory_it_is(data: Path, monkeypatch: pytest.MonkeyPatch):
    became: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 7)
    monkeypatch.setattr(os, "seteuid", lambda uid: became.append(("user", uid)))
    monkeypatch.setattr(os, "setegid", lambda gid: became.append(("group", gid)))
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_uid=65534, st_gid=65533))
    with run_as.as_owner_of(str(data)):
        assert became == [("group", 65533), ("user", 65534)]
    assert became[2:] == [("user", 0), ("group", 7)]


def test_who_is_not_root_stays_who_they_are(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "seteuid", lambda uid: pytest.fail("nobody but root can"))
    (data / ".s3gate").mkdir()
    with run_as.as_owner_of(str(data)):
        pass
