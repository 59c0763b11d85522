from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

import pytest

from s3gate.identity.file_store import FileCredentialStore
from s3gate.identity.model import Credential


def line(access_key: str, **fields: object) -> str:
    return json.dumps({"access_key": access_key, "secret_key": f"secret-of-{access_key}", **fields}) + "\n"


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(lines))
    path.chmod(0o600)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "credentials.jsonl"


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.WARNING)
    return caplog


def test_a_look_up_finds_enabled_and_disabled_keys_and_nothing_else(path):
    write(path, line("key1"), line("key2", enabled=False))
    store = FileCredentialStore(str(path))
    assert store.find("key1").enabled
    assert not store.find("key2").enabled
    assert store.find("key3") is None
    assert len(store) == 2


def test_a_change_is_taken_over_by_refresh_and_only_then(path):
    write(path, line("key1"))
    store = FileCredentialStore(str(path))
    assert not asyncio.run(store.refresh())
    write(path, line("key1"), line("key2"))
    assert store.find("key2") is None
    assert asyncio.run(store.refresh())
    assert store.find("key2") is not None
    assert not asyncio.run(store.refresh())


def test_a_file_put_in_place_of_the_old_one_with_its_size_and_time_is_a_change(path):
    write(path, line("key1"))
    store = FileCredentialStore(str(path))
    other = path.with_name("other")
    write(other, line("key2"))
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(path)
    assert asyncio.run(store.refresh())
    assert store.find("key1") is None
    assert store.find("key2") is not None


def test_reload_reads_even_what_looks_unchanged(path):
    write(path, line("key1"))
    store = FileCredentialStore(str(path))
    times = path.stat()
    write(path, line("key2"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not asyncio.run(store.refresh())
    assert store.reload()
    assert store.find("key2") is not None


def test_a_broken_line_is_reported_by_number_and_the_rest_is_in_force(path, messages):
    write(path, line("key1"), "{broken SECRETIVE\n", line("key2"))
    store = FileCredentialStore(str(path))
    assert store.find("key1") is not None
    assert store.find("key2") is not None
    assert f"{path} line 2" in messages.text
    assert "SECRETIVE" not in messages.text


def test_of_two_lines_for_a_key_the_last_counts_and_it_is_reported(path, messages):
    write(path, line("key1", description="old"), line("key1", description="new"))
    assert FileCredentialStore(str(path)).find("key1").description == "new"
    assert "line 2 replaces line 1" in messages.text


def test_a_key_of_the_configuration_wins_over_the_file(path, messages):
    write(path, line("key1"), line("key2"))
    store = FileCredentialStore(str(path), [Credential("key1", "configured")])
    assert store.find("key1").secret_key == "configured"
    assert store.find("key2").secret_key == "secret-of-key2"
    assert "line 1 is not used" in messages.text


def test_a_file_that_vanishes_leaves_the_credentials_in_force_and_is_reported_once(path, messages):
    write(path, line("key1"))
    store = FileCredentialStore(str(path))
    path.unlink()
    assert not asyncio.run(store.refresh())
    assert not asyncio.run(store.refresh())
    assert not store.reload()
    assert store.find("key1") is not None
    assert messages.text.count("stay in force") == 1
    write(path, line("key2"))
    assert asyncio.run(store.refresh())
    assert store.find("key1") is None


def test_no_file_at_all_is_no_fault_and_one_made_later_is_read(path, messages):
    store = FileCredentialStore(str(path))
    assert store.find("key1") is None
    assert not messages.text
    write(path, line("key1"))
    assert asyncio.run(store.refresh())
    assert store.find("key1") is not None


def test_what_is_no_plain_file_neither_hangs_nor_counts(path, messages):
    os.mkfifo(path)
    assert len(FileCredentialStore(str(path))) == 0
    assert "not a plain file" in messages.text


def test_a_file_that_others_can_read_is_reported(path, messages):
    write(path, line("key1"))
    FileCredentialStore(str(path))
    assert not messages.text
    path.chmod(0o640)
    FileCredentialStore(str(path))
    assert "chmod 600" in messages.text
