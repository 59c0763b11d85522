"""`s3gate version`: which s3gate this is, on which Python."""

from __future__ import annotations

import argparse
import platform

from s3gate import __version__

__all__ = ["add_parser"]


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser("version", help="show the version", allow_abbrev=False)
    parser.set_defaults(run=_version)


def _version(_: argparse.Namespace) -> int:
    print(f"s3gate {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")
    return 0
