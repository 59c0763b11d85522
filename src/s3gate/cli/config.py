"""`s3gate config`: the settings in force, the reference page, and a TOML file to start from."""

from __future__ import annotations

import argparse
import json
import textwrap

from pydantic import SecretStr

from s3gate.cli.flags import add_conf_flag, add_setting_flags, given_settings, type_of
from s3gate.config import ENV_PREFIX, Settings
from s3gate.setting_hints import flags_of, is_live, may_repeat

__all__ = ["add_parser", "render_reference", "render_template"]

_TYPES = {"flag": "true or false", "number": "whole number", "list": "list of texts"}


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser("config", help="show settings and their meaning", allow_abbrev=False)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = verbs.add_parser("show", help="check and show the settings in force, as TOML", allow_abbrev=False)
    add_conf_flag(show)
    add_setting_flags(show)
    show.set_defaults(run=_show)
    verbs.add_parser("reference", help="show every setting, as Markdown").set_defaults(run=_reference)
    verbs.add_parser("template", help="show a TOML file with every setting").set_defaults(run=_template)


def _show(arguments: argparse.Namespace) -> int:
    settings = given_settings(arguments)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        print(f"# {name} is not set" if value is None else f"{name} = {_toml(value)}")
    return 0


def _reference(_: argparse.Namespace) -> int:
    print(render_reference(), end="")
    return 0


def _template(_: argparse.Namespace) -> int:
    print(render_template(), end="")
    return 0


def render_reference() -> str:
    """Every setting as a section of Markdown: meaning, type, default, and its three names."""
    parts = []
    for name, field in Settings.model_fields.items():
        kind = type_of(name)
        form = _TYPES.get(kind) or ("one of " + ", ".join(f"`{x}`" for x in kind.split("|")) if "|" in kind else kind)
        flag, off = flags_of(name)
        default = "none" if field.default in (None, "", ()) else f"`{_toml(field.default)}`"
        parts.append(
            f"### {name}\n\n{field.description}\n\n"
            f"Type: {form}. Default: {default}.\n\n"
            f"Command line: `{flag}`{f' (`{off}` undoes it)' if off else ''}"
            f"{' (may be repeated)' if kind == 'list' or may_repeat(name) else ''}. "
            f"Environment: `{ENV_PREFIX}{name.upper()}`{' (separated by commas)' if kind == 'list' else ''}. "
            f"TOML: `{name}`.{' A change is taken over on SIGHUP.' if is_live(name) else ''}\n"
        )
    return "\n".join(parts)


def render_template() -> str:
    """A TOML file that has every setting with its meaning and default, commented out."""
    parts = [
        "# Settings of s3gate, each with its default. Take the '#' before a name away to change it.\n"
        "# The command line and the environment (S3GATE_<NAME>) win over this file.\n"
        "# Use it by: s3gate serve --conf s3gate.toml\n\n[s3gate]\n"
    ]
    for name, field in Settings.model_fields.items():
        kind = type_of(name)
        choices = f" One of {', '.join(kind.split('|'))}." if "|" in kind else ""
        example = '"..."  # not set by default' if field.default is None else _toml(field.default)
        text = f"{field.description}{choices}".replace("`", "")
        lines = "\n".join(f"# {line}" for line in textwrap.wrap(text, 110))
        parts.append(f"{lines}\n#{name} = {example}\n")
    return "\n".join(parts)


def _toml(value: object) -> str:
    """A value as TOML writes it (JSON's strings are TOML's basic strings); secrets are masked."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SecretStr):
        return '"********"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
