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


def test_a_module_can_have_a_level_of_its_own_until_the_next_configuration(capsys):
    configure_logging("error,s3gate.server=debug")
    logging.getLogger("s3gate.server.workers").debug("x")
    logging.getLogger("s3gate.auth").warning("x")
    assert len(capsys.readouterr().err.splitlines()) == 1
    configure_logging("error")
    logging.getLogger("s3gate.server.workers").debug("x")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["s3gate.sever", "s3gate.no.such"])
def test_a_level_of_a_module_that_is_not_there_is_told(name, capsys):
    configure_logging(f"info,{name}=debug")
    assert f"there is no module {name}" in capsys.readouterr().err


@pytest.mark.parametrize("levels", ["trace", "info,uvicorn=trace", "info,uvicorn.error=trace"])
def test_headers_are_never_logged_by_the_server_below(levels):
    configure_logging(levels)
    assert logging.getLogger("uvicorn.error").getEffectiveLevel() > TRACE
