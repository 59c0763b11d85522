"""What the service manager is told, and when: the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3gate.server.notify import ServiceManager
from support.gateway import Gateway


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's socket, and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@s3gate-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(60)
        yield name, listener


def told(listener: socket.socket) -> str:
    return listener.recv(4096).decode()


def test_words_are_those_of_the_protocol(manager, monkeypatch):
    name, listener = manager
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    one = ServiceManager.of_environment()
    one.ready()
    assert told(listener) == "READY=1"
    one.stopping()
    assert told(listener) == "STOPPING=1"
    one.reloading()
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told(listener))


def test_where_nobody_waits_nothing_is_told(monkeypatch, caplog):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager.of_environment().ready()
    assert caplog.text == ""


def test_a_manager_that_cannot_be_reached_stops_nobody(tmp_path, caplog):
    ServiceManager(str(tmp_path / "none")).ready()
    assert "cannot be told" in caplog.text


def test_a_gateway_tells_that_it_serves_reloads_and_stops(manager, tmp_path):
    name, listener = manager
    with Gateway(tmp_path / "served", environ={"NOTIFY_SOCKET": name}) as gateway:
        assert told(listener) == "READY=1"
        with socket.create_connection(("127.0.0.1", gateway.port)):
            pass
        os.kill(gateway.pid, signal.SIGHUP)
        assert told(listener).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert told(listener) == "READY=1"
        gateway.stop()
        assert told(listener) == "STOPPING=1"


def test_what_cannot_start_never_says_that_it_serves(manager, tmp_path):
    name, listener = manager
    (tmp_path / "file").write_text("")
    with pytest.raises(AssertionError), Gateway(tmp_path / "file", environ={"NOTIFY_SOCKET": name}):
        pass
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        told(listener)
