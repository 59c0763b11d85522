"""`s3gate serve`: one command from nothing to a working endpoint."""

from __future__ import annotations

import argparse
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from s3gate import bootstrap
from s3gate.cli.background import write_to
from s3gate.cli.errors import CommandError
from s3gate.cli.flags import add_conf_flag, add_setting_flags, given_settings
from s3gate.cli.log import configure_logging
from s3gate.config import ConfigError, Settings
from s3gate.identity.credentials_file import CredentialsFile
from s3gate.identity.model import Credential
from s3gate.server import sockets, supervisor
from s3gate.server.banner import banner
from s3gate.server.protocol_choice import protocol_class
from s3gate.server.rate_limits import Table
from s3gate.server.reloading import Reloader, ReloadError

__all__ = ["Log", "Opened", "add_parser", "reloader_for"]

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
    gateway = Opened.by(settings)
    log = Log(settings.log_file, (2,))
    log.open()
    return gateway.run(lambda: print(gateway.banner, flush=True), reloader_for(arguments, log))


@dataclass(frozen=True, slots=True)
class Log:
    """Where messages go: to the file `path` by these descriptors, or if it is None where they lead already."""

    path: str | None
    descriptors: tuple[int, ...]

    def open(self) -> None:
        """Begin to write there; called again, to the file that has the name now. Raises CommandError."""
        if self.path is None:
            return
        try:
            write_to(self.path, *self.descriptors)
        except OSError as error:
            raise CommandError(
                f"Cannot write to the log file {self.path}: {error.strerror or error}. Name another one by --log-file."
            ) from error


def reloader_for(arguments: argparse.Namespace, log: Log) -> Reloader:
    """What a gateway does on SIGHUP that was started with these arguments."""

    def read() -> Settings:
        try:
            return given_settings(arguments)
        except ConfigError as error:
            raise ReloadError(str(error)) from error

    def apply(settings: Settings) -> None:
        configure_logging(settings.log_level)
        try:
            log.open()
        except CommandError as error:
            _log.error("%s", error)

    return Reloader(read, apply)


@dataclass(frozen=True, slots=True)
class Opened:
    """A gateway that listens and is about to serve. `ports` are those of its TCP addresses."""

    settings: Settings
    listeners: Sequence[Sequence[socket.socket]]
    ports: Sequence[int]
    banner: str

    @classmethod
    def by(cls, settings: Settings) -> Opened:
        """Try out everything that is set, and listen. Raises ListenError, StartError, CredentialsFileError."""
        configure_logging(settings.log_level)
        sockets.check_certificate(settings.tls_cert, settings.tls_key)
        listeners = sockets.bind_all(settings.addresses, settings.worker_count)
        try:
            bootstrap.prepare(settings)
            made = _first_credential(settings)
        except BaseException:
            sockets.remove_unix(settings.addresses)
            raise
        ports = [each.getsockname()[1] for each in listeners[0] if each.family != socket.AF_UNIX]
        return cls(settings, listeners, ports, banner(settings, ports=ports, made=made))

    def run(self, announce: Callable[[], None], reloader: Reloader) -> int:
        """Serve until a signal ends it; gives the exit status. See supervisor.run."""
        settings = self.settings
        protocol = protocol_class(
            zero_copy=settings.zero_copy,
            pieces=settings.overlap_uploads,
            whole=settings.join_answers,
            step_bytes=settings.chunk_bytes,
        )
        try:
            board = bootstrap.make_board(settings, len(self.listeners))
            make_app = partial(bootstrap.make_app, board=board, rates=Table())
        except BaseException:
            sockets.remove_unix(settings.addresses)
            raise
        return supervisor.run(
            settings,
            self.listeners,
            make_app=make_app,
            protocol=protocol,
            announce=announce,
            reloader=reloader,
        )


def _first_credential(settings: Settings) -> Credential | None:
    """On the first run with nothing configured: make a credential, so that there is one and nobody can guess it."""
    if settings.no_auth or settings.fixed_credentials:
        return None
    file = CredentialsFile(settings.credentials_file)
    made = None
    if not (settings.enable_distributed_auth and settings.read_only):
        made = file.add_first(Credential("", "", description="made at the first start", policy="admin"))
    snapshot = file.read()
    if snapshot is None or not any(entry.credential and entry.credential.enabled for entry in snapshot.entries):
        _log.warning("%s has no access key that is enabled: only anonymous requests can be made", file.path)
    return made
