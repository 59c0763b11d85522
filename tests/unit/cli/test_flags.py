from __future__ import annotations

import argparse

import pytest

from s3gate.cli.flags import add_conf_flag, add_setting_flags, given_settings, type_of
from s3gate.setting_hints import flags_of
from s3gate.settings import Settings


@pytest.fixture
def settings_of(monkeypatch):
    """The settings that a command line gives, in an environment without any."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    parser = argparse.ArgumentParser()
    add_conf_flag(parser)
    add_setting_flags(parser)
    return lambda *argv: given_settings(parser.parse_args(argv))


def test_every_setting_has_a_flag_of_its_own(settings_of):
    flags = [flag for name in Settings.model_fields for flag in flags_of(name) if flag]
    switches = sum(kind.annotation is bool for kind in Settings.model_fields.values())
    assert len(flags) == len(set(flags)) == len(Settings.model_fields) + switches
    assert settings_of() == Settings()


def test_lists_are_given_by_repeating_their_flag_and_replace_the_default(settings_of):
    settings = settings_of("--domain", "a.example", "--domain", "b.example", "--create-bucket", "one")
    assert settings.domains == ("a.example", "b.example")
    assert settings.create_buckets == ("one",)


def test_a_switch_of_the_command_line_wins_in_both_directions(settings_of, monkeypatch):
    monkeypatch.setenv("S3GATE_READ_ONLY", "true")
    monkeypatch.setenv("S3GATE_NO_AUTH", "true")
    assert settings_of().read_only
    assert not settings_of("--no-read-only").read_only
    assert not settings_of("--auth").no_auth
    monkeypatch.setenv("S3GATE_READ_ONLY", "false")
    assert settings_of("--read-only").read_only


def test_the_directory_is_the_argument_without_a_flag(settings_of):
    assert settings_of("/srv/s3").data_dir == "/srv/s3"
    assert settings_of("--no-auth", "/srv/s3").data_dir == "/srv/s3"


def test_types_are_told_in_words():
    names = ("no_auth", "workers", "domains", "tls_cert", "durability")
    assert [type_of(name) for name in names] == ["flag", "number", "list", "text", "full|data|none"]
