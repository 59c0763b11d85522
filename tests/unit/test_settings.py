# ruff: noqa: S104  # addresses are compared here, not bound
from __future__ import annotations

import pytest
from pydantic import ValidationError

from s3gate.settings import Address, Settings, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:9900", "0.0.0.0", 9900),
        (":80", "0.0.0.0", 80),
        ("[::1]:0", "::1", 0),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_an_address_is_taken_apart(text, host, port):
    assert parse_address(text) == Address(host, port)
    assert parse_address(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", "9900", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "[a:80", "host:²"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_the_defaults_are_those_that_are_documented_and_hold_together():
    settings = Settings()
    assert settings.address == Address("0.0.0.0", 9900)
    assert settings.domains == ("localhost",)
    assert settings.fixed_credentials == ()
    assert 1 <= settings.worker_count <= 8
    assert not settings.credentials_path.startswith("~")


def test_the_number_of_workers_is_the_one_that_is_given():
    assert Settings(workers=11).worker_count == 11


@pytest.mark.parametrize(
    "values",
    [
        {"region": "a/b"},
        {"region": ""},
        {"workers": -1},
        {"domains": ("*.example.com",)},
        {"domains": ("http://example.com",)},
        {"domains": ("a..b",)},
        {"path_prefix": "s3"},
        {"path_prefix": "/a//b"},
        {"path_prefix": "/.."},
        {"path_prefix": "/a?b"},
        {"data_dir": ""},
        {"data_dir": "a\0b"},
        {"tls_cert": "only.pem"},
        {"tls_key": "only.pem"},
        {"root_access_key": "admin"},
        {"root_secret_key": "long-enough"},
        {"root_access_key": "a/b", "root_secret_key": "long-enough"},
        {"root_access_key": "admin", "root_secret_key": "short"},
        {"credentials": ("no-colon",)},
        {"credentials": ("key:short",)},
        {"credentials": ("key:long-enough", "key:long-enough-too")},
        {"create_buckets": ("A_relaxed_name",)},
        {"create_buckets": (".s3gate",), "bucket_names": "relaxed"},
        {"durability": "some"},
        {"grace_secs": -1},
        {"janitor_interval_secs": -1},
        {"abort_uploads_after_days": -1},
        {"keep_alive_secs": 0},
        {"log_level": "loud"},
        {"unknown": 1},
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(values):
    with pytest.raises(ValidationError):
        Settings(**values)


def test_values_are_brought_to_one_form():
    settings = Settings(listen=":1", domains=("S3.Example.COM",), path_prefix="/s3/", create_buckets=("b-1",))
    assert (settings.listen, settings.domains, settings.path_prefix) == ("0.0.0.0:1", ("s3.example.com",), "/s3")
    assert Settings(path_prefix="/").path_prefix == ""
    assert Settings(create_buckets=("A_relaxed_name",), bucket_names="relaxed").create_buckets == ("A_relaxed_name",)


def test_a_home_directory_is_looked_up(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Settings().credentials_path == "/home/somebody/.s3gate/credentials.jsonl"
    assert Settings(data_dir="~/buckets").data_dir == "/home/somebody/buckets"


def test_the_administrator_comes_first_and_may_do_everything():
    settings = Settings(root_access_key="admin", root_secret_key="a:secret:key", credentials=("user:an:other:one",))
    found = [(item.access_key, item.secret_key, item.policy) for item in settings.fixed_credentials]
    assert found == [("admin", "a:secret:key", "admin"), ("user", "an:other:one", "readwrite")]


def test_no_printed_form_shows_a_secret():
    settings = Settings(root_access_key="admin", root_secret_key="SECRET-ONE", credentials=("user:SECRET-TWO",))
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "SECRET-" not in text


def test_settings_do_not_change():
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.region = "elsewhere"
