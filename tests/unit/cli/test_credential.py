from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3gate.cli.main import main

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """The credentials file, as the environment names it."""
    path = tmp_path / "store" / "credentials.jsonl"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("S3GATE_CREDENTIALS_PATH", str(path))
    return path


@pytest.fixture
def run(capsys):
    """Run `s3gate credential ...`; gives the exit status, stdout and stderr."""

    def credential(*argv: str) -> tuple[int, str, str]:
        status = main(["credential", *argv])
        return status, *capsys.readouterr()

    return credential


def add(run, key: str = "AKIAEXAMPLEKEY123", *more: str) -> tuple[int, str, str]:
    return run("add", "--access-key", key, "--secret-key", SECRET, *more)


def test_add_writes_the_record_that_curvine_reads(path, run):
    assert add(run, "AKIAEXAMPLEKEY123", "--description", "Production access key")[0] == 0
    record = json.loads(path.read_text())
    created = record.pop("created_at")
    assert record == {
        "access_key": "AKIAEXAMPLEKEY123",
        "secret_key": SECRET,
        "enabled": True,
        "description": "Production access key",
    }
    assert isinstance(created, int)


def test_add_takes_a_user_and_a_policy(path, run):
    user = ("--user-id", "u1", "--display-name", "Una", "--email", "una@example.com", "--policy", "readonly")
    assert add(run, "key", *user)[0] == 0
    record = json.loads(path.read_text())
    assert [record[name] for name in ("user_id", "display_name", "email", "policy")] == [*user[1::2]]


@pytest.mark.parametrize("more", [("--display-name", "Una"), ("--description", "x" * 300)])
def test_what_cannot_be_a_record_is_told(path, run, more):
    status, _, error = add(run, "key", *more)
    assert status == 1
    assert error.startswith("s3gate: ")
    assert not path.exists()


@pytest.mark.parametrize(("key", "secret"), [("a/b", SECRET), ("key", "SHORTER")])
def test_keys_that_break_a_rule_are_told_without_the_secret(path, run, key, secret):
    status, out, error = run("add", "--access-key", key, "--secret-key", secret)
    assert status == 1
    assert secret not in out + error
    assert not path.exists()


def test_generate_shows_the_keys_it_stores(path, run):
    status, out, _ = run("generate", "--description", "Auto-generated test key")
    record = json.loads(path.read_text())
    assert status == 0
    assert f"Access key: {record['access_key']}\nSecret key: {record['secret_key']}\n" in out
    assert record["description"] == "Auto-generated test key"


def test_list_hides_secrets_unless_asked(path, run):
    add(run, "key-one", "--description", "the first")
    add(run, "key-two", "--policy", "admin")
    run("disable", "key-two")
    status, out, _ = run("list")
    assert status == 0
    assert SECRET not in out
    head, one, two = out.splitlines()
    assert head.startswith("ACCESS KEY")
    assert one.split()[0::2][:2] == ["key-one", "enabled"]
    assert one.endswith("the first")
    assert two.split()[0::2][:2] == ["key-two", "disabled"]
    assert "admin" in two
    assert run("list", "--show-secrets")[1].count(SECRET) == 2


def test_disable_enable_and_remove_change_the_store(path, run):
    add(run, "key")
    assert run("disable", "key")[0] == 0
    assert json.loads(path.read_text())["enabled"] is False
    assert run("enable", "key")[0] == 0
    assert json.loads(path.read_text())["enabled"] is True
    assert run("remove", "key")[0] == 0
    assert path.read_text() == ""


@pytest.mark.parametrize("verb", ["enable", "disable", "remove"])
def test_a_key_that_is_not_there_is_told_with_the_remedy(path, run, verb):
    status, _, error = run(verb, "none")
    assert status == 1
    assert "s3gate credential list" in error


def test_a_key_that_is_there_is_not_replaced(path, run):
    add(run, "key")
    before = path.read_text()
    status, _, error = add(run, "key")
    assert status == 1
    assert "s3gate credential remove key" in error
    assert path.read_text() == before


def test_stats_counts_what_is_there(path, run):
    assert "not there yet" in run("stats")[1]
    add(run, "key-one")
    add(run, "key-two", "--policy", "admin")
    run("disable", "key-two")
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\nbroken\n")
    status, out, error = run("stats")
    assert status == 0
    assert str(path) in out
    assert "2 (1 enabled, 1 disabled)" in out
    assert "admin 1, readwrite 1" in out
    assert "Replaced lines:   1" in out
    assert "Broken lines:     1" in out
    assert "line 4 is skipped" in error


def test_the_flag_names_the_store_before_the_variable(path, run, tmp_path):
    other = tmp_path / "other.jsonl"
    assert run("generate", "--credentials-path", str(other))[0] == 0
    assert other.exists()
    assert not path.exists()


def test_the_file_of_settings_names_the_store_too(run, tmp_path, monkeypatch):
    monkeypatch.delenv("S3GATE_CREDENTIALS_PATH", raising=False)
    (tmp_path / "s3gate.toml").write_text(f'credentials_path = "{tmp_path}/from-toml.jsonl"')
    assert run("generate", "--conf", str(tmp_path / "s3gate.toml"))[0] == 0
    assert (tmp_path / "from-toml.jsonl").exists()


def test_an_empty_store_says_how_to_fill_it(path, run):
    assert "s3gate credential generate" in run("list")[1]


def test_a_token_is_both_keys_and_shown_once(path, run):
    status, out, _ = run("generate", "--token", "--policy", "readonly", "--description", "a pipeline")
    assert status == 0
    token = out.splitlines()[0].removeprefix("Token: ")
    record = json.loads(path.read_text())
    assert (record["access_key"], record["secret_key"], record["policy"]) == (token, token, "readonly")

    listed = run("list")[1]
    assert f"{token[:4]}***" in listed
    assert token not in listed
    assert run("list", "--show-secrets")[1].count(token) == 2
    assert run("disable", token) == (0, f"Disabled {token[:4]}***.\n", "")
    assert run("enable", token) == (0, f"Enabled {token[:4]}***.\n", "")
    assert token not in "".join(map(str, run("add", "--token", token)))
    assert run("remove", token)[1].startswith(f"Removed {token[:4]}***")
    assert token not in "".join(map(str, run("remove", token)))


def test_a_token_of_ones_own_is_taken_and_not_repeated(path, run):
    token = "0123456789abcdef0123456789abcdef"
    status, out, _ = run("add", "--token", token)
    assert (status, token in out) == (0, False)
    record = json.loads(path.read_text())
    assert (record["access_key"], record["secret_key"]) == (token, token)


@pytest.mark.parametrize("given", [("--access-key", "key"), ("--token", "token-of-mine", "--secret-key", SECRET)])
def test_an_access_key_and_its_secret_are_given_together_or_a_token(path, run, given):
    status, _, error = run("add", *given)
    assert status == 1
    assert "--token" in error
    assert not path.exists()


def test_a_token_that_is_too_short_is_no_secret(path, run):
    status, _, error = run("add", "--token", "short")
    assert (status, "secret key" in error) == (1, True)
