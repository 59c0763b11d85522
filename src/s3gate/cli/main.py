"""The `s3gate` command: finds the noun that is asked for and turns errors into messages and exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from s3gate import __version__
from s3gate.cli import bucket, config, credential, daemon, doctor, fsck, run, serve, status, version
from s3gate.cli.errors import CommandError
from s3gate.cli.standard_streams import fill_in
from s3gate.config import ConfigError
from s3gate.identity.credentials_file import CredentialsFileError
from s3gate.server.sockets import ListenError
from s3gate.storage.backend import StartError

__all__ = ["main"]

_NOUNS = (serve, daemon, status, run, bucket, credential, config, fsck, doctor, version)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="s3gate", description="Turns a directory into an S3 service.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"s3gate {__version__}")
    nouns = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for noun in _NOUNS:
        noun.add_parser(nouns)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status: 0 done, 1 it could not be done, 2 it was asked wrongly."""
    fill_in()
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return 2
    except (CommandError, CredentialsFileError, ListenError, StartError) as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 1
    return status
