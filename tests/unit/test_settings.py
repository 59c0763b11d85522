# ruff: noqa: S104  # addresses are compared here, not bound
from __future__ import annotations

import pytest
from pydantic import ValidationError

from s3gate.core.addresses import Address
from s3gate.server.cycle import HIGH_WATER
from s3gate.settings import Settings


def test_the_defaults_are_those_that_are_documented_and_hold_together():
    settings = Settings()
    assert settings.addresses == (Address("0.0.0.0", 9900),)
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


def test_the_file_of_credentials_of_all_gateways_is_below_the_gateways_own_directory():
    def file_of(**more):
        return Settings(data_dir="/srv/s3", enable_distributed_auth=True, **more).credentials_file

    assert file_of() == "/srv/s3/.s3gate/credentials.jsonl"
    assert file_of(credentials_path="/system/auth/c.jsonl") == "/srv/s3/.s3gate/system/auth/c.jsonl"
    assert Settings(credentials_path="/system/auth/c.jsonl").credentials_file == "/system/auth/c.jsonl"
    with pytest.raises(ValidationError, match="leave "):
        file_of(credentials_path="../bucket/c.jsonl")


@pytest.mark.parametrize(
    ("threshold", "most", "batch", "ahead"),
    [
        (1 << 20, 16 << 20, 1 << 20, 2),
        (1 << 20, 4 << 20, 1 << 20, 0),
        (16 << 20, 16 << 20, 14 << 20, 0),
        (64 << 10, 4 << 20, 64 << 10, 1),
        (8 << 20, 64 << 20, 8 << 20, 2),
    ],
)
def test_an_upload_holds_no_more_memory_than_is_set(threshold, most, batch, ahead):
    settings = Settings(put_memory_buffer_threshold=threshold, put_max_memory_buffer=most)
    assert (settings.batch_bytes, settings.batches_ahead) == (batch, ahead)
    assert (ahead + 1) * (batch + HIGH_WATER) + HIGH_WATER <= most


def test_parts_cannot_be_received_elsewhere_and_in_their_places():
    with pytest.raises(ValidationError, match="in their places"):
        Settings(upload_parts="in-place", put_temp_dir="/scratch")


@pytest.mark.parametrize("pattern", ["", "a b", "a/b", "[ab]", "ü", "x" * 256, "*\n"])
def test_a_pattern_of_read_only_buckets_has_only_characters_of_names_and_two_more(pattern):
    assert Settings(read_only_buckets=("master.*", "out?put_1", "*")).read_only_buckets[0] == "master.*"
    with pytest.raises(ValidationError, match="name or pattern"):
        Settings(read_only_buckets=("good", pattern))


def test_a_pair_of_keys_may_be_given_in_two_places_and_the_first_counts():
    settings = Settings(
        root_access_key="admin", root_secret_key="admin-secret", credentials=("admin:admin-secret", "other:secret-two")
    )
    assert [(each.access_key, each.policy) for each in settings.fixed_credentials] == [
        ("admin", "admin"),
        ("other", "readwrite"),
    ]


def test_an_access_key_has_one_secret_key():
    with pytest.raises(ValidationError, match="access key 0123\\*\\*\\* is given with two secret keys"):
        Settings(credentials=("0123456789abcdef:0123456789abcdef", "0123456789abcdef:another-secret"))
    with pytest.raises(ValidationError, match="access key admin is given with two secret keys"):
        Settings(root_access_key="admin", root_secret_key="admin-secret", credentials=("admin:another-secret",))
