"""The settings from where they are given: the command line, else the environment, else the TOML file, else a default.

Environment variables are S3GATE_ and the setting's name in capitals; lists are separated by commas; an empty variable
counts as not set. RUST_LOG sets the log level where nothing else does. The TOML file has the settings at its top or in
[s3gate]; [s3_gateway] takes Curvine's names, and [gateway] takes those of Lambda's storagecli; what else is in such a
file for those programs is left to them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli
from pydantic import ValidationError

from s3gate.core.log_levels import from_rust
from s3gate.setting_hints import flags_of
from s3gate.settings import Settings

__all__ = ["ENV_PREFIX", "ROOT_VARIABLES", "ConfigError", "Settings", "load_settings"]

ENV_PREFIX = "S3GATE_"

# Pairs of variables that name the administrator's keys; the first pair that is set counts. The others are those of
# the AWS tools, Curvine, MinIO and versitygw.
ROOT_VARIABLES = (
    ("S3GATE_ROOT_ACCESS_KEY", "S3GATE_ROOT_SECRET_KEY"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("S3_ACCESS_KEY", "S3_SECRET_KEY"),
    ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
    ("ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"),
)
_ROOT = ("root_access_key", "root_secret_key")
_LISTS = ("domains", "credentials", "create_buckets", "read_only_buckets", "trusted_proxies")
_SECRET = ("root_secret_key", "credentials")

# Sections of other gateways' files, and what their names are called here.
_SECTIONS: Mapping[str, Mapping[str, str]] = {
    "s3_gateway": {
        "listen": "listen",
        "region": "region",
        "credentials_path": "credentials_path",
        "cache_refresh_interval_secs": "cache_refresh_interval_secs",
        "put_temp_dir": "put_temp_dir",
        "put_memory_buffer_threshold": "put_memory_buffer_threshold",
        "put_max_memory_buffer": "put_max_memory_buffer",
        "get_chunk_size_mb": "get_chunk_size_mb",
        "enable_distributed_auth": "enable_distributed_auth",
        "multipart_temp": "multipart_temp",
    },
    "gateway": {"address": "listen", "access_key": "root_access_key", "secret_key": "root_secret_key"},
}


# By such a section a file is that of another program as well, Lambda's storagecli or a cluster of Curvine: its tables
# for other parts of it, and these names at the top of it, are left to that.
_CLUSTER = frozenset({"cluster_id", "format_master", "format_worker", "testing"})


class ConfigError(Exception):
    """The configuration cannot be used; the message says which setting is wrong, where it was set, and the remedy."""


@dataclass(slots=True)
class _Given:
    """Values by setting, and where each was given."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: Any, origin: str) -> None:
        """Take a value; a second one from the same source is an error."""
        if name in self.values:
            raise ConfigError(f"{origin} is set twice: it is {self.origins[name]} as well. Remove one of them.")
        self.values[name] = value
        self.origins[name] = origin

    def check_root(self) -> None:
        """The administrator's two keys come from the same source, or from none."""
        for one, other in (_ROOT, _ROOT[::-1]):
            if one in self.values and other not in self.values:
                raise ConfigError(f"{self.origins[one]} is set without {other}: set both, or neither.")


def load_settings(argv_values: Mapping[str, Any], environ: Mapping[str, str], conf: Path | None) -> Settings:
    """The settings in force.

    Args:
        argv_values: settings that the command line gives, by name.
        environ: the environment; names that do not begin with S3GATE_ and are no alias are left alone.
        conf: the TOML file; when None, the one that S3GATE_CONF names, if it does.

    Raises:
        ConfigError: for unknown names, values that break a rule, and files that cannot be read.
    """
    given = _Given()
    for name, value in argv_values.items():
        given.put(_setting(name, Settings.model_fields), value, flags_of(name)[0])
    sources = [_from_rust(environ), _from_file(conf or _conf_of(environ)), _from_environment(environ), given]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in sources:
        source.check_root()
        values |= source.values
        origins |= source.origins
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(_faults(error, origins))) from None


def _setting(name: str, known: Iterable[str], origin: str = "") -> str:
    """`name`, if it is known; else ConfigError with the nearest name that is."""
    names = list(known)
    if name in names:
        return name
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    raise ConfigError(f"{origin or name} is not a setting; the nearest one is {nearest[0]}.")


def _conf_of(environ: Mapping[str, str]) -> Path | None:
    name = environ.get(f"{ENV_PREFIX}CONF", "")
    return Path(name) if name else None


def _from_environment(environ: Mapping[str, str]) -> _Given:
    given = _Given()
    known = {f"{ENV_PREFIX}{name.upper()}": name for name in Settings.model_fields}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or variable == f"{ENV_PREFIX}CONF":
            continue
        name = known[_setting(variable, known, f"Environment variable {variable}")]
        value = environ[variable]
        if name not in _ROOT and value:
            given.put(name, _split(value) if name in _LISTS else value, variable)
    for pair in ROOT_VARIABLES:
        found = [variable for variable in pair if environ.get(variable)]
        if len(found) == 1:
            missing = pair[1] if found[0] == pair[0] else pair[0]
            raise ConfigError(
                f"{found[0]} is set without {missing}: set both to make them the administrator's keys, or neither."
            )
        if found:
            for name, variable in zip(_ROOT, pair, strict=True):
                given.put(name, environ[variable], variable)
            break
    return given


def _from_rust(environ: Mapping[str, str]) -> _Given:
    """The level that RUST_LOG asks for: it may be meant for other programs, so it counts less than all else."""
    given = _Given()
    levels = from_rust(environ.get("RUST_LOG", ""))
    if levels:
        given.put("log_level", levels, "RUST_LOG")
    return given


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _from_file(conf: Path | None) -> _Given:
    given = _Given()
    if conf is None:
        return given
    try:
        tables = tomli.loads(conf.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration file {conf}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise ConfigError(f"The configuration file {conf} is not TOML: {error}.") from error
    if not tables.keys().isdisjoint(_SECTIONS):
        tables = {name: value for name, value in tables.items() if not _is_of_others(name, value)}
    own = tables.pop("s3gate", {})
    others = {section: tables.pop(section) for section in _SECTIONS if section in tables}
    for section, table in {"s3gate": own, **others}.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{conf}: {section} is a section: write [{section}] on a line of its own.")
    for prefix, table in (("", tables), ("s3gate.", own)):
        for name, value in table.items():
            origin = f"{conf}: {prefix}{name}"
            given.put(_setting(name, [*Settings.model_fields, "s3gate", *_SECTIONS], origin), value, origin)
    for section, table in others.items():
        _from_foreign(given, section, table, str(conf))
    return given


def _is_of_others(name: str, value: object) -> bool:
    return name in _CLUSTER or (name not in ("s3gate", *_SECTIONS) and _is_table(value))


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and value != [] and all(map(_is_table, value)))


def _from_foreign(given: _Given, section: str, table: Mapping[str, Any], conf: str) -> None:
    """Take the settings of another gateway's section."""
    names = _SECTIONS[section]
    for theirs, value in table.items():
        origin = f"{conf}: {section}.{theirs}"
        given.put(names[_setting(theirs, names, origin)], value, origin)


def _faults(error: ValidationError, origins: Mapping[str, str]) -> Iterable[str]:
    """What is wrong, a line each: where the value was given, the rule, and the value unless it is secret."""
    for fault in error.errors():
        message = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            yield f"{message}."
            continue
        name = str(fault["loc"][0])
        got = "" if name in _SECRET else f" (got {fault['input']!r})"
        yield f"{origins.get(name, name)}: {message}{got}."
