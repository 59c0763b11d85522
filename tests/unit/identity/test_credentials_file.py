from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from s3gate.identity.credentials_file import CredentialsFile, CredentialsFileError
from s3gate.identity.model import Credential

KEY1 = Credential("key1", "secret-of-key1", created_ns=10**18, description="one")
KEY2 = Credential("key2", "secret-of-key2", created_ns=10**18, policy="readonly")


@pytest.fixture
def file(tmp_path) -> CredentialsFile:
    return CredentialsFile(str(tmp_path / "new" / "credentials.jsonl"))


def credentials(file: CredentialsFile) -> list[Credential | None]:
    snapshot = file.read()
    return [] if snapshot is None else [entry.credential for entry in snapshot.entries]


def test_the_first_credential_makes_directory_and_file_for_the_owner_alone(file):
    file.add(KEY1)
    path = Path(file.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert credentials(file) == [KEY1]


def test_added_credentials_come_in_order_and_a_key_only_once(file):
    file.add(KEY1)
    file.add(KEY2)
    with pytest.raises(CredentialsFileError, match="credential remove key1"):
        file.add(replace(KEY1, secret_key="another-secret"))
    assert credentials(file) == [KEY1, KEY2]


@pytest.mark.parametrize("change", [{"access_key": "a/b"}, {"secret_key": "short"}, {"description": "x" * 300}])
def test_a_credential_that_could_not_be_read_again_is_not_written(file, change):
    with pytest.raises(CredentialsFileError):
        file.add(replace(KEY1, **change))
    assert file.read() is None


def test_switching_and_removing_touch_one_key_and_keep_what_is_not_understood(file):
    file.add(KEY1)
    path = Path(file.path)
    foreign = {"access_key": "key2", "secret_key": "secret-of-key2", "future": {"a": [1, "ä\ud800"]}}
    path.write_text(path.read_text() + json.dumps(foreign) + "\n")
    broken = b"# not JSON \xff\n"
    path.write_bytes(path.read_bytes() + broken)

    file.set_enabled("key2", False)
    lines = path.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[1]) == {**foreign, "enabled": False}
    assert lines[2] == broken
    file.set_enabled("key2", True)
    assert json.loads(path.read_bytes().splitlines()[1]) == {**foreign, "enabled": True}
    file.remove("key1")
    assert [json.loads(path.read_bytes().splitlines()[0])["access_key"], len(path.read_bytes().splitlines())] == [
        "key2",
        2,
    ]


def test_removing_takes_every_line_of_a_key_so_that_no_older_one_comes_back(file):
    file.add(KEY1)
    path = Path(file.path)
    path.write_text(path.read_text() * 2)
    file.remove("key1")
    assert path.read_text() == ""


def test_switching_a_key_with_two_lines_switches_the_one_in_force(file):
    file.add(KEY1)
    path = Path(file.path)
    path.write_text(path.read_text() * 2)
    file.set_enabled("key1", False)
    assert [credential.enabled for credential in credentials(file)] == [True, False]


@pytest.mark.parametrize("change", [lambda file: file.remove("none"), lambda file: file.set_enabled("none", True)])
def test_a_key_that_is_not_there_is_told(file, change):
    file.add(KEY1)
    with pytest.raises(CredentialsFileError, match="no such access key"):
        change(file)
    assert credentials(file) == [KEY1]


def test_a_link_to_the_file_stays_a_link(tmp_path, file):
    file.add(KEY1)
    link = tmp_path / "link.jsonl"
    link.symlink_to(file.path)
    CredentialsFile(str(link)).add(KEY2)
    assert link.is_symlink()
    assert credentials(file) == [KEY1, KEY2]


def test_the_first_start_makes_a_credential_only_where_there_is_nothing(file):
    template = Credential("", "", policy="admin")
    made = file.add_first(template)
    assert made is not None
    assert made.policy == "admin"
    assert replace(made, created_ns=0) == replace(credentials(file)[0], created_ns=0)
    assert file.add_first(template) is None
    Path(file.path).write_text(" \n\n")
    assert file.add_first(template) is not None
    Path(file.path).write_text("broken\n")
    assert file.add_first(template) is None
    assert Path(file.path).read_text() == "broken\n"


def test_a_place_that_cannot_be_written_is_told_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsFileError, match="--credentials-path"):
        CredentialsFile(str(tmp_path / "file" / "credentials.jsonl")).add(KEY1)
    (tmp_path / "directory").mkdir()
    with pytest.raises(CredentialsFileError, match="--credentials-path"):
        CredentialsFile(str(tmp_path / "directory")).read()


ADD_TEN = """
import sys
from s3gate.identity.credentials_file import CredentialsFile, generate
from s3gate.identity.model import Credential
for _ in range(10):
    CredentialsFile(sys.argv[1]).add(generate(Credential("", "")))
"""


def test_changes_by_several_processes_at_once_are_all_kept(file):
    processes = [subprocess.Popen([sys.executable, "-c", ADD_TEN, file.path]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(credentials(file)) == 30
    assert None not in credentials(file)
