"""Log messages on stderr: `LEVEL time logger message`."""

from __future__ import annotations

import logging
import sys
import time

__all__ = ["TRACE", "configure_logging"]

# Below DEBUG, as uvicorn has it too.
TRACE = 5


def configure_logging(level: str) -> None:
    """Log messages of `level` (error, warning, info, debug, trace) and above on stderr, times in UTC."""
    logging.addLevelName(TRACE, "TRACE")
    formatter = logging.Formatter("%(levelname)s %(asctime)s.%(msecs)03dZ %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # uvicorn tells of its own starts and stops at INFO; at TRACE it logs every header, signatures included.
    logging.getLogger("uvicorn").setLevel(logging.WARNING if root.level > logging.DEBUG else logging.DEBUG)
    logging.getLogger("asyncio").setLevel(max(root.level, logging.INFO))
