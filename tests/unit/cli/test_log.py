from __future__ import annotations

import logging
import re

import pytest

from s3gate.cli.log import TRACE, configure_logging


@pytest.fixture(autouse=True)
def restore():
    root = logging.getLogger()
    kept = root.handlers, root.level
    yield
    root.handlers, root.level = kept
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_message_has_level_time_logger_and_text_on_stderr(capsys):
    configure_logging("info")
    logging.getLogger("s3gate.test").warning("hello %s", "there")
    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"WARNING \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z s3gate\.test hello there\n", error)


@pytest.mark.parametrize(("level", "count"), [("error", 1), ("warning", 2), ("info", 3), ("debug", 4), ("trace", 5)])
def test_a_level_lets_the_more_severe_ones_through(level, count, capsys):
    configure_logging(level)
    for number in (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, TRACE):
        logging.getLogger("s3gate.test").log(number, "x")
    assert len(capsys.readouterr().err.splitlines()) == count


def test_headers_are_never_logged_by_the_server_below():
    configure_logging("trace")
    assert logging.getLogger("uvicorn.error").getEffectiveLevel() > TRACE
