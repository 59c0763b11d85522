from __future__ import annotations

from pathlib import Path

import pytest

from s3gate.config import ROOT_VARIABLES, ConfigError, load_settings
from s3gate.settings import Settings

# A value for each setting that is not its default, as the environment writes it and as it is when loaded.
VALUES = {
    "data_dir": ("/srv/s3", "/srv/s3"),
    "listen": ("127.0.0.1:1", "127.0.0.1:1"),
    "region": ("eu-west-1", "eu-west-1"),
    "check_region": ("false", False),
    "workers": ("3", 3),
    "domains": ("a.example, b.example,", ("a.example", "b.example")),
    "path_prefix": ("/s3", "/s3"),
    "tls_cert": ("/c.pem", "/c.pem"),
    "tls_key": ("/k.pem", "/k.pem"),
    "root_access_key": ("admin", "admin"),
    "root_secret_key": ("admin-secret", "admin-secret"),
    "credentials": ("key1:secret-one,key2:secret-two", ("key1:secret-one", "key2:secret-two")),
    "enable_distributed_auth": ("true", True),
    "credentials_path": ("/creds", "/creds"),
    "cache_refresh_interval_secs": ("5", 5),
    "rate_limit": ("100", 100),
    "rate_limit_per_key": ("10", 10),
    "trusted_proxies": ("10.0.0.0/8,unix", ("10.0.0.0/8", "unix")),
    "no_auth": ("true", True),
    "read_only": ("1", True),
    "read_only_buckets": ("one,*.two", ("one", "*.two")),
    "durability": ("data", "data"),
    "create_buckets": ("one,two", ("one", "two")),
    "bucket_names": ("relaxed", "relaxed"),
    "metadata": ("sidecar", "sidecar"),
    "locks": ("posix", "posix"),
    "symlinks": ("inside", "inside"),
    "foreign_etags": ("md5", "md5"),
    "checksum_type": ("xxhash", "xxhash"),
    "join_answers": ("false", False),
    "zero_copy": ("false", False),
    "cold_disks": ("true", True),
    "overlap_uploads": ("false", False),
    "put_memory_buffer_threshold": ("2097152", 2 << 20),
    "put_max_memory_buffer": ("8388608", 8 << 20),
    "put_temp_dir": ("/scratch/put", "/scratch/put"),
    "multipart_temp": ("/scratch/parts", "/scratch/parts"),
    "get_chunk_size_mb": ("0.5", 0.5),
    "upload_parts": ("separate", "separate"),
    "janitor_interval_secs": ("60", 60),
    "abort_uploads_after_days": ("7", 7),
    "grace_secs": ("7", 7),
    "keep_alive_secs": ("8", 8),
    "log_level": ("debug,s3gate.auth=trace", "debug,s3gate.auth=trace"),
    "metrics": ("on", "on"),
    "metrics_scan_interval_secs": ("60", 60),
    "metrics_buckets": ("7", 7),
    "access_log": ("/var/log/access.log", "/var/log/access.log"),
    "access_log_format": ("aws", "aws"),
    "audit_log": ("/var/log/audit.log", "/var/log/audit.log"),
    "traces": ("http://collector:4318", "http://collector:4318"),
    "run_dir": ("/run/s3gate", "/run/s3gate"),
    "log_file": ("/var/log/s3gate.log", "/var/log/s3gate.log"),
}


def plain(value):
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def as_toml(value):
    if isinstance(value, tuple):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def conf(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "s3gate.toml"
    path.write_text(text)
    return path


def fault(argv=None, environ=None, path=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(argv or {}, environ or {}, path)
    return str(caught.value)


def test_the_table_of_values_has_every_setting():
    assert list(VALUES) == list(Settings.model_fields)
    assert all(expected != plain(Settings.model_fields[name].default) for name, (_, expected) in VALUES.items())


def test_every_setting_is_reached_from_the_environment():
    settings = load_settings({}, {f"S3GATE_{name.upper()}": text for name, (text, _) in VALUES.items()}, None)
    assert {name: plain(getattr(settings, name)) for name in VALUES} == {
        name: want for name, (_, want) in VALUES.items()
    }


@pytest.mark.parametrize("head", ["", "[s3gate]\n"])
def test_every_setting_is_reached_from_the_file(tmp_path, head):
    text = head + "".join(f"{name} = {as_toml(value)}\n" for name, (_, value) in VALUES.items())
    settings = load_settings({}, {}, conf(tmp_path, text))
    assert {name: plain(getattr(settings, name)) for name in VALUES} == {
        name: want for name, (_, want) in VALUES.items()
    }


def test_every_setting_is_reached_from_the_command_line():
    settings = load_settings({name: value for name, (_, value) in VALUES.items()}, {}, None)
    assert {name: plain(getattr(settings, name)) for name in VALUES} == {
        name: want for name, (_, want) in VALUES.items()
    }


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path):
    path = conf(tmp_path, 'region = "file"\ngrace_secs = 1\nworkers = 1\n')
    settings = load_settings({"region": "line"}, {"S3GATE_REGION": "env", "S3GATE_GRACE_SECS": "2"}, path)
    assert (settings.region, settings.grace_secs, settings.workers, settings.keep_alive_secs) == ("line", 2, 1, 75)


def test_the_environment_can_name_the_file_and_the_command_line_another_one(tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('region = "first"')
    second.write_text('region = "second"')
    assert load_settings({}, {"S3GATE_CONF": str(first)}, None).region == "first"
    assert load_settings({}, {"S3GATE_CONF": str(first)}, second).region == "second"


def test_an_empty_variable_counts_as_not_set(tmp_path):
    environ = {"S3GATE_REGION": "", "S3GATE_WORKERS": "", "S3GATE_CONF": "", "MINIO_ROOT_USER": ""}
    assert load_settings({}, environ, None) == Settings()


@pytest.mark.parametrize(("one", "other"), ROOT_VARIABLES)
def test_each_pair_of_root_variables_makes_the_administrator(one, other):
    settings = load_settings({}, {one: "admin", other: "admin-secret"}, None)
    assert [(item.access_key, item.policy) for item in settings.fixed_credentials] == [("admin", "admin")]


@pytest.mark.parametrize(("one", "other"), [*ROOT_VARIABLES, *(pair[::-1] for pair in ROOT_VARIABLES)])
def test_half_a_pair_of_root_variables_is_an_error_that_names_the_other_half(one, other):
    message = fault(environ={one: "some-value"})
    assert one in message
    assert other in message


def test_the_first_pair_of_root_variables_counts():
    environ = {name: f"from-{name}" for pair in ROOT_VARIABLES for name in pair}
    for one, other in ROOT_VARIABLES:
        settings = load_settings({}, environ, None)
        assert (settings.root_access_key, plain(settings.root_secret_key)) == (f"from-{one}", f"from-{other}")
        del environ[one], environ[other]


def test_halves_of_the_administrators_keys_from_two_sources_are_not_joined(tmp_path):
    path = conf(tmp_path, 'root_access_key = "admin"')
    assert "root_secret_key" in fault(
        environ={"S3GATE_ROOT_SECRET_KEY": "x" * 8, "S3GATE_ROOT_ACCESS_KEY": "abc"}, path=path
    )
    assert "root_secret_key" in fault(
        argv={"root_access_key": "admin"}, environ={"AWS_ACCESS_KEY_ID": "abc", "AWS_SECRET_ACCESS_KEY": "x" * 8}
    )


def test_an_unknown_variable_names_the_nearest_one():
    assert "S3GATE_LISTEN" in fault(environ={"S3GATE_LISTENS": ":1"})
    assert load_settings({}, {"S3GATES": "x", "OTHER_REGION": "x"}, None) == Settings()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('regoin = "x"', ["regoin", "region"]),
        ('[s3gate]\nregoin = "x"', ["s3gate.regoin", "region"]),
        ("[s3-gateway]\nx = 1", ["s3-gateway", "s3_gateway"]),
        ("[s3_gateway]\nlistn = 1", ["s3_gateway.listn", "listen"]),
        ("[s3_gateway]\nget_chunk_size_mb = 3", ["s3_gateway.get_chunk_size_mb", "0.5, 1, 2"]),
        ("[s3_gateway]\nput_max_memory_buffer = 4096", ["s3_gateway.put_max_memory_buffer", "4194304"]),
        ("[other]\nx = 1", ["other"]),
        ("[gateway]\naccess = 1", ["gateway.access", "access_key"]),
        ('region = "a"\n[s3gate]\nregion = "b"', ["s3gate.region", "twice"]),
        ('[s3gate]\nlisten = ":1"\n[gateway]\naddress = ":2"', ["gateway.address", "twice", "s3gate.listen"]),
        ("s3gate = 1", ["s3gate", "section"]),
        ("region", ["not TOML"]),
        ("workers = 'many'", ["workers", "many"]),
        ("domains = 'one'", ["domains", "one"]),
        ("[gateway]\naccess_key = 'abc'", ["gateway.access_key", "root_secret_key"]),
    ],
)
def test_a_fault_in_the_file_is_told_with_its_place_and_a_remedy(tmp_path, text, parts):
    path = conf(tmp_path, text)
    message = fault(path=path)
    for part in [*parts, *([str(path)] if "twice" not in parts else [])]:
        assert part in message


def test_a_file_that_is_missing_or_not_utf8_is_told(tmp_path):
    assert str(tmp_path / "none.toml") in fault(path=tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'region = "\xe4"')
    assert "not TOML" in fault(path=tmp_path / "latin.toml")


CURVINE = """
format_master = false
cluster_id = "curvine"

[master]
meta_dir = "testing/meta"
log = { level = "info", log_dir = "stdout" }

[[worker.spdk_disk.targets]]
trtype = "rdma"

[s3_gateway]
listen = "0.0.0.0:9901"
region = "us-west-2"
put_temp_dir = "/scratch/curvine-temp"
put_memory_buffer_threshold = 2097152
put_max_memory_buffer = 8388608
get_chunk_size_mb = 0.5
enable_distributed_auth = true
credentials_path = "/system/auth/credentials.jsonl"
multipart_temp = "/shared/curvine-multipart"
cache_refresh_interval_secs = 60
"""


def test_a_file_of_curvines_cluster_is_taken_as_it_is(tmp_path):
    settings = load_settings({"data_dir": "/srv/s3"}, {}, conf(tmp_path, CURVINE))
    assert (settings.listen, settings.region, settings.cache_refresh_interval_secs) == ("0.0.0.0:9901", "us-west-2", 60)
    assert (settings.put_temp_dir, settings.multipart_temp) == ("/scratch/curvine-temp", "/shared/curvine-multipart")
    assert (settings.batch_bytes, settings.chunk_bytes) == (2 << 20, 512 << 10)
    assert settings.credentials_file == "/srv/s3/.s3gate/system/auth/credentials.jsonl"


def test_rust_log_sets_the_level_where_nothing_else_does(tmp_path):
    environ = {"RUST_LOG": "info,hyper=trace,curvine_s3_gateway::auth=debug"}
    assert load_settings({}, environ, None).log_level == "info,s3gate.auth=debug"
    assert load_settings({}, environ, conf(tmp_path, 'log_level = "error"')).log_level == "error"
    assert load_settings({}, {**environ, "S3GATE_LOG_LEVEL": "trace"}, None).log_level == "trace"
    assert load_settings({}, {"RUST_LOG": "hyper=debug"}, None) == Settings()


@pytest.mark.parametrize("text", ['listen = [":1", "unix:/s"]', 'listen = ":1,unix:/s"'])
def test_several_addresses_are_a_list_or_a_text(tmp_path, text):
    assert load_settings({}, {}, conf(tmp_path, text)).listen == "0.0.0.0:1,unix:/s"
    assert load_settings({"listen": [":1", "unix:/s"]}, {}, None).listen == "0.0.0.0:1,unix:/s"


def test_the_names_of_lambdas_gateway_are_taken(tmp_path):
    text = '[gateway]\naddress = "127.0.0.1:9002"\naccess_key = "accesskey"\nsecret_key = "secretkey"\n'
    settings = load_settings({}, {}, conf(tmp_path, text))
    assert settings.listen == "127.0.0.1:9002"
    assert [(item.access_key, item.secret_key) for item in settings.fixed_credentials] == [("accesskey", "secretkey")]


def test_the_other_tables_of_lambdas_file_are_left_to_its_own_program(tmp_path):
    text = (
        '[broker]\ndht_gateway_addr = "10.0.0.1:13000"\n[broker.extra]\nx = 1\n[[miner]]\ny = 2\n'
        '[gateway]\naddress = ":9002"\n[s3gate]\nregion = "r"\n'
    )
    settings = load_settings({}, {}, conf(tmp_path, text))
    assert (settings.listen, settings.region) == ("0.0.0.0:9002", "r")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('[broker]\nx = 1\n[s3gate]\nregion = "r"', "broker"),
        ('lisen = ":1"\n[gateway]\naddress = ":2"', "lisen is not a setting; the nearest one is listen"),
        ('names = ["x"]\n[gateway]\naddress = ":2"', "names"),
        ('[gateway]\naddress = ":2"\nsecret = "x"', "gateway.secret"),
    ],
)
def test_what_is_no_table_of_lambdas_file_is_refused(tmp_path, text, part):
    assert part in fault(path=conf(tmp_path, text))


@pytest.mark.parametrize(
    ("argv", "environ", "origin"),
    [
        ({"workers": "x"}, {}, "--workers"),
        ({}, {"S3GATE_WORKERS": "x"}, "S3GATE_WORKERS"),
        ({"domains": ["*"]}, {}, "--domain"),
    ],
)
def test_a_bad_value_is_told_with_where_it_was_given(argv, environ, origin):
    assert fault(argv, environ).startswith(f"{origin}: ")


def test_all_bad_values_are_told_at_once():
    assert len(fault({"workers": "x", "region": "/", "durability": "y"}).splitlines()) == 3


@pytest.mark.parametrize(
    "environ",
    [
        {"S3GATE_CREDENTIALS": "key/SECRETIVE:SECRETIVE"},
        {"S3GATE_CREDENTIALS": "SECRETIVE-alone"},
        {"MINIO_ROOT_USER": "admin", "MINIO_ROOT_PASSWORD": " SECRETIVE "},
        {"S3GATE_CREDENTIALS": "key:SECRETIVE,key:SECRETIVE-2"},
    ],
)
def test_no_message_shows_a_secret(environ):
    assert "SECRETIVE" not in fault(environ=environ)
