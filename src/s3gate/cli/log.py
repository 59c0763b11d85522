"""Log messages on stderr: `LEVEL time logger message`."""

from __future__ import annotations

import importlib.util
import logging
import sys
import time

from s3gate.core.log_levels import parse_levels

__all__ = ["TRACE", "configure_logging"]

# Below DEBUG, as uvicorn has it too.
TRACE = 5


_log = logging.getLogger(__name__)

# The modules that were given a level of their own.
_named: list[str] = []


def configure_logging(levels: str) -> None:
    """Log on stderr what is severe enough, see `parse_levels`. A later call takes the place of this one."""
    chosen = parse_levels(levels)
    logging.addLevelName(TRACE, "TRACE")
    formatter = logging.Formatter("%(levelname)s %(asctime)s.%(msecs)03dZ %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(chosen.root.upper())
    while _named:
        logging.getLogger(_named.pop()).setLevel(logging.NOTSET)
    # uvicorn tells of its own starts and stops at INFO, and of each request that is no HTTP at WARNING, by which
    # anybody could fill a log; at TRACE it logs every header, signatures included.
    logging.getLogger("uvicorn").setLevel(logging.ERROR if root.level > logging.DEBUG else logging.DEBUG)
    logging.getLogger("asyncio").setLevel(max(root.level, logging.INFO))
    for name, level in chosen.modules.items():
        logger = logging.getLogger(name)
        logger.setLevel(level.upper())
        if name.partition(".")[0] == "uvicorn":
            logger.setLevel(max(logger.level, logging.DEBUG))  # for the same reason
        _named.append(name)
        if name.startswith("s3gate.") and not _is_module(name):
            _log.warning("log_level: there is no module %s, which nothing is logged of", name)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package it would be in
        return False
