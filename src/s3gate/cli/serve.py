"""`s3gate serve`: one command from nothing to a working endpoint."""

from __future__ import annotations

import argparse
import logging

from s3gate import bootstrap
from s3gate.cli.flags import add_conf_flag, add_setting_flags, given_settings
from s3gate.cli.log import configure_logging
from s3gate.config import Settings
from s3gate.identity.credentials_file import CredentialsFile
from s3gate.identity.model import Credential
from s3gate.server import sockets, supervisor
from s3gate.server.banner import banner
from s3gate.server.protocol import protocol_class

__all__ = ["add_parser"]

_log = logging.getLogger(__name__)


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "serve",
        help="serve a directory",
        description="Serves a directory as S3. Every setting is also S3GATE_<NAME> in the environment, and in TOML.",
        allow_abbrev=False,
    )
    add_conf_flag(parser)
    add_setting_flags(parser)
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    settings = given_settings(arguments)
    configure_logging(settings.log_level)
    sockets.check_certificate(settings.tls_cert, settings.tls_key)
    listeners = sockets.bind(settings.address, settings.worker_count)
    bootstrap.prepare(settings)
    made = _first_credential(settings)
    text = banner(settings, port=listeners[0].getsockname()[1], made=made)

    def announce() -> None:
        print(text, flush=True)

    protocol = protocol_class(
        zero_copy=settings.zero_copy, pieces=settings.overlap_uploads, whole=settings.join_answers
    )
    return supervisor.run(settings, listeners, make_app=bootstrap.make_app, protocol=protocol, announce=announce)


def _first_credential(settings: Settings) -> Credential | None:
    """On the first run with nothing configured: make a credential, so that there is one and nobody can guess it."""
    if settings.no_auth or settings.fixed_credentials:
        return None
    file = CredentialsFile(settings.credentials_path)
    made = file.add_first(Credential("", "", description="made at the first start", policy="admin"))
    snapshot = file.read()
    if snapshot is None or not any(entry.credential and entry.credential.enabled for entry in snapshot.entries):
        _log.warning("%s has no access key that is enabled: only anonymous requests can be made", file.path)
    return made
