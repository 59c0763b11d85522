"""`s3gate credential`: add, generate, list, enable, disable, remove and count access keys."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from s3gate.cli.errors import CommandError
from s3gate.cli.flags import add_conf_flag, add_setting_flags, given_settings
from s3gate.cli.table import print_table
from s3gate.core.clock import SECOND, iso_date, now_ns
from s3gate.core.values import Owner
from s3gate.identity.credential_records import Entry
from s3gate.identity.credentials_file import CredentialsFile, generate
from s3gate.identity.keys import new_token
from s3gate.identity.model import POLICIES, ROOT, Credential

__all__ = ["add_parser"]

_HIDDEN = "********"
_COLUMNS = ("ACCESS KEY", "SECRET KEY", "STATE", "POLICY", "CREATED", "USER", "DESCRIPTION")
Action = Callable[[argparse.Namespace, CredentialsFile], int]


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "credential",
        help="manage access keys",
        description="Manages the access keys in the credentials file. A running gateway takes changes over by itself.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(name: str, text: str, action: Action) -> argparse.ArgumentParser:
        parser = verbs.add_parser(name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False)
        add_conf_flag(parser)
        add_setting_flags(parser, ["credentials_path", "enable_distributed_auth"])
        parser.add_argument(
            "--data-dir",
            default=argparse.SUPPRESS,
            metavar="DIR",
            help="the directory that is served, where --enable-distributed-auth keeps the file (default: ./data)",
        )
        parser.set_defaults(run=lambda arguments: action(arguments, _file(arguments)))
        return parser

    add = verb("add", "add an access key that you bring", _add)
    key = add.add_mutually_exclusive_group(required=True)
    key.add_argument("--access-key", metavar="AK", help="3 to 128 characters")
    key.add_argument("--token", metavar="T", help="access key and secret key in one, 8 to 128 characters")
    add.add_argument("--secret-key", metavar="SK", help="at least 8 characters; belongs to --access-key")
    _add_record_flags(add)
    making = verb("generate", "make a random access key and show it", _generate)
    making.add_argument("--token", action="store_true", help="make a token, which is access key and secret key alike")
    _add_record_flags(making)
    listing = verb("list", "list the access keys", _list)
    listing.add_argument("--show-secrets", action="store_true", help="show the secret keys as well")
    for name, text, action in (
        ("enable", "let an access key in again", _enable),
        ("disable", "keep an access key, but refuse it", _disable),
        ("remove", "take an access key out of the file", _remove),
    ):
        verb(name, text, action).add_argument("access_key", metavar="KEY")
    verb("stats", "show the state of the credentials file", _stats)


def _add_record_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--description", default="", metavar="TEXT", help="what the key is for")
    parser.add_argument(
        "--user-id", default="", metavar="ID", help="user that owns what the key makes (default: all share one)"
    )
    parser.add_argument("--display-name", default="", metavar="NAME", help="name of that user (default: its id)")
    parser.add_argument("--email", default="", metavar="ADDRESS", help="address of that user")
    parser.add_argument(
        "--policy", default="readwrite", choices=POLICIES, help="what the key may do (default: readwrite)"
    )


def _file(arguments: argparse.Namespace) -> CredentialsFile:
    return CredentialsFile(given_settings(arguments).credentials_file)


def _described(arguments: argparse.Namespace, access_key: str = "", secret_key: str = "") -> Credential:
    if arguments.display_name and not arguments.user_id:
        raise CommandError("--display-name needs --user-id: give both, or neither.")
    owner = Owner(arguments.user_id, arguments.display_name or arguments.user_id) if arguments.user_id else ROOT
    return Credential(
        access_key=access_key,
        secret_key=secret_key,
        created_ns=now_ns(),
        description=arguments.description,
        owner=owner,
        email=arguments.email,
        policy=arguments.policy,
    )


def _add(arguments: argparse.Namespace, file: CredentialsFile) -> int:
    if (arguments.access_key is None) != (arguments.secret_key is None):
        raise CommandError("Give --access-key and --secret-key, or --token, which is both in one.")
    made = _described(arguments, arguments.access_key or arguments.token, arguments.secret_key or arguments.token)
    file.add(made)
    print(f"Added {made.shown_key} to {file.path}.")
    return 0


def _generate(arguments: argparse.Namespace, file: CredentialsFile) -> int:
    if arguments.token:
        token = new_token()
        file.add(_described(arguments, token, token))
        print(f"Token: {token}\nIt is access key and secret key alike. Added to {file.path}.")
        return 0
    made = generate(_described(arguments))
    file.add(made)
    print(f"Access key: {made.access_key}\nSecret key: {made.secret_key}\nAdded to {file.path}.")
    return 0


def _enable(arguments: argparse.Namespace, file: CredentialsFile) -> int:
    print(f"Enabled {file.set_enabled(arguments.access_key, True)}.")
    return 0


def _disable(arguments: argparse.Namespace, file: CredentialsFile) -> int:
    print(f"Disabled {file.set_enabled(arguments.access_key, False)}.")
    return 0


def _remove(arguments: argparse.Namespace, file: CredentialsFile) -> int:
    print(f"Removed {file.remove(arguments.access_key)} from {file.path}.")
    return 0


def _list(arguments: argparse.Namespace, file: CredentialsFile) -> int:
    snapshot = file.read()
    entries = () if snapshot is None else snapshot.entries
    rows = [_row(credential, arguments.show_secrets) for credential in _in_force(entries)]
    if not rows:
        print(f"No access keys in {file.path}: s3gate credential generate makes one.")
    else:
        print_table(_COLUMNS, rows)
    _print_faults(file, entries)
    return 0


def _row(credential: Credential, show_secrets: bool) -> tuple[str, ...]:
    return (
        credential.access_key if show_secrets else credential.shown_key,
        credential.secret_key if show_secrets else _HIDDEN,
        "enabled" if credential.enabled else "disabled",
        credential.policy,
        _day(credential.created_ns),
        credential.owner.display_name,
        credential.description,
    )


def _stats(_: argparse.Namespace, file: CredentialsFile) -> int:
    snapshot = file.read()
    print(f"Credentials file: {file.path}")
    if snapshot is None:
        print("State:            not there yet; s3gate credential generate makes it")
        return 0
    known = _in_force(snapshot.entries)
    enabled = sum(credential.enabled for credential in known)
    policies = Counter(credential.policy for credential in known)
    broken = sum(entry.credential is None for entry in snapshot.entries)
    print(f"Last change:      {iso_date(snapshot.modified_ns)}")
    print(f"Size and mode:    {snapshot.size} bytes, {snapshot.mode:04o}")
    print(f"Access keys:      {len(known)} ({enabled} enabled, {len(known) - enabled} disabled)")
    print(f"Policies:         {', '.join(f'{name} {count}' for name, count in sorted(policies.items())) or 'none'}")
    print(f"Replaced lines:   {len(snapshot.entries) - broken - len(known)}")
    print(f"Broken lines:     {broken}")
    _print_faults(file, snapshot.entries)
    return 0


def _in_force(entries: Iterable[Entry]) -> Sequence[Credential]:
    """The credentials of a file, the last line of each access key."""
    return list({entry.credential.access_key: entry.credential for entry in entries if entry.credential}.values())


def _day(created_ns: int) -> str:
    return iso_date(created_ns)[: len("2026-11-21")] if created_ns >= SECOND else "unknown"


def _print_faults(file: CredentialsFile, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.credential is None:
            print(f"s3gate: {file.path} line {entry.number} is skipped: {entry.fault}", file=sys.stderr)
