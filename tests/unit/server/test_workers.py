"""Real processes: a parent, its workers, and signals."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import tiny_gateway
from support.certificates import self_signed

PATIENCE = 30.0


def poll(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, for as long as a slow machine may take."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


class Tiny:
    """A running tiny gateway on a free port."""

    def __init__(self, *settings: str, environ: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, tiny_gateway.__file__, "listen=127.0.0.1:0", *settings],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
        self.port = 0

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        word, _, port = self.process.stdout.readline().partition(" ")
        assert word == "ready"
        self.port = int(port)

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"connection": "close"})
            with connection.getresponse() as answer:
                assert answer.status == 200
                return answer.read().decode()
        finally:
            connection.close()

    def workers(self, path: str = "/pid") -> set[str]:
        """What the workers answer: connections are shared out by chance, so many are made."""
        return {self.get(path) for _ in range(30)}

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def finish(self) -> tuple[int, str]:
        """The exit status and everything on stderr."""
        _, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log


@pytest.fixture
def start() -> Iterator[Callable[..., Tiny]]:
    started: list[Tiny] = []

    def new(*settings: str, environ: dict[str, str] | None = None, ready: bool = True) -> Tiny:
        tiny = Tiny(*settings, environ=environ)
        started.append(tiny)
        if ready:
            tiny.wait_ready()
        return tiny

    yield new
    for tiny in started:
        try:
            os.killpg(tiny.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        tiny.process.communicate()


def in_background(tiny: Tiny, path: str) -> tuple[threading.Thread, list[str]]:
    """Send a request from a thread; its answer comes into the list."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(tiny.get(path)))
    thread.start()
    return thread, answers


def is_gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_requests_are_shared_by_all_workers_and_sigterm_ends_them_with_status_0(start):
    tiny = start("workers=2")
    pids = tiny.workers()
    assert len(pids) == 2
    assert str(tiny.process.pid) not in pids
    tiny.signal(signal.SIGTERM)
    status, log = tiny.finish()
    assert status == 0
    assert "Traceback" not in log
    assert all(is_gone(pid) for pid in pids)


def test_a_worker_that_is_killed_is_replaced_and_no_connection_is_refused(start):
    tiny = start("workers=2")
    before = tiny.workers()
    victim = min(before)
    os.kill(int(victim), signal.SIGKILL)
    answers = tiny.workers()  # each of these is answered, also those that had come to the socket of the victim
    poll(lambda: len(tiny.workers() - before) == 1)
    assert victim not in tiny.workers()
    tiny.signal(signal.SIGTERM)
    status, log = tiny.finish()
    assert status == 0
    assert answers
    assert f"process {victim}) was ended by SIGKILL" in log


def test_connections_that_wait_for_a_worker_that_died_are_taken_by_the_next_one(start):
    tiny = start("workers=1")
    (pid,) = tiny.workers()
    os.kill(int(pid), signal.SIGSTOP)
    thread, answers = in_background(tiny, "/pid")
    poll(lambda: connections_to(tiny.port))
    os.kill(int(pid), signal.SIGKILL)
    thread.join(PATIENCE)
    assert answers
    assert answers[0] != pid


def connections_to(port: int) -> bool:
    """Whether a client is connected to the port, by the kernel's table (state 01 is ESTABLISHED)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished_after_the_signal_while_new_ones_are_refused(start, tmp_path, number):
    tiny = start("workers=2")
    gate = tmp_path / "gate"
    thread, answers = in_background(tiny, f"/wait?{gate}")
    poll(Path(f"{gate}.seen").exists)
    tiny.signal(number)
    poll(lambda: refused(tiny.port))
    assert tiny.process.poll() is None
    assert answers == []
    gate.touch()
    thread.join(PATIENCE)
    assert len(answers) == 1
    assert tiny.finish()[0] == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_ctrl_c_that_reaches_every_process_of_the_terminal_lets_requests_finish(start, tmp_path):
    tiny = start("workers=2")
    gate = tmp_path / "gate"
    thread, answers = in_background(tiny, f"/wait?{gate}")
    poll(Path(f"{gate}.seen").exists)
    os.killpg(tiny.process.pid, signal.SIGINT)
    poll(lambda: refused(tiny.port))
    gate.touch()
    thread.join(PATIENCE)
    assert len(answers) == 1
    assert tiny.finish()[0] == 0


def fails(tiny: Tiny, path: str) -> tuple[threading.Thread, list[BaseException]]:
    """Send a request from a thread whose connection is expected to break."""
    errors: list[BaseException] = []

    def get() -> None:
        try:
            tiny.get(path)
        except (OSError, http.client.HTTPException, AssertionError) as error:
            errors.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    return thread, errors


def test_a_second_interrupt_ends_all_at_once(start, tmp_path):
    tiny = start("workers=2")
    thread, errors = fails(tiny, f"/wait?{tmp_path / 'never'}")
    poll((tmp_path / "never.seen").exists)
    tiny.signal(signal.SIGINT)
    poll(lambda: refused(tiny.port))
    tiny.signal(signal.SIGINT)
    assert tiny.finish()[0] == 1
    thread.join(PATIENCE)
    assert errors


def test_a_hangup_while_it_stops_changes_nothing_any_more(start, tmp_path):
    tiny = start("workers=1")
    gate = tmp_path / "gate"
    thread, answers = in_background(tiny, f"/wait?{gate}")
    poll(Path(f"{gate}.seen").exists)
    tiny.signal(signal.SIGTERM)
    poll(lambda: refused(tiny.port))
    tiny.signal(signal.SIGHUP)
    gate.touch()
    thread.join(PATIENCE)
    status, log = tiny.finish()
    assert (status, len(answers)) == (0, 1)
    assert "reloading" not in log


def test_a_request_that_outlives_the_grace_time_is_cut(start, tmp_path):
    tiny = start("workers=1", "grace_secs=1")
    thread, errors = fails(tiny, f"/wait?{tmp_path / 'never'}")
    poll((tmp_path / "never.seen").exists)
    tiny.signal(signal.SIGTERM)
    assert tiny.finish()[0] == 0
    thread.join(PATIENCE)
    assert errors


def test_a_worker_that_does_not_react_is_killed_in_the_end(start):
    tiny = start("workers=1", "grace_secs=0")
    (pid,) = tiny.workers()
    os.kill(int(pid), signal.SIGSTOP)
    tiny.signal(signal.SIGTERM)
    status, log = tiny.finish()
    assert status == 0
    assert "are killed" in log
    assert is_gone(pid)


def test_sighup_reloads_every_worker_and_cuts_nothing(start, tmp_path):
    tiny = start("workers=2")
    gate = tmp_path / "gate"
    thread, answers = in_background(tiny, f"/wait?{gate}")
    poll(Path(f"{gate}.seen").exists)
    pids = tiny.workers()
    assert tiny.workers("/reloads") == {"0"}
    tiny.signal(signal.SIGHUP)
    poll(lambda: tiny.workers("/reloads") == {"1"})
    gate.touch()
    thread.join(PATIENCE)
    assert len(answers) == 1
    assert tiny.workers() == pids


def test_a_worker_that_cannot_start_is_given_up_after_five_times(start):
    tiny = start("workers=1", environ={"TINY_FAULT": "start"}, ready=False)
    status, log = tiny.finish()
    assert status == 1
    assert log.count("the application cannot start") == 5
    assert "giving up" in log


def test_workers_end_when_their_parent_is_gone(start):
    tiny = start("workers=2")
    pids = tiny.workers()
    tiny.signal(signal.SIGKILL)
    tiny.process.wait()
    poll(lambda: all(is_gone(pid) for pid in pids))


def test_a_signal_during_the_start_is_not_lost(start):
    tiny = start("workers=2", ready=False)
    poll(lambda: Path(f"/proc/{tiny.process.pid}/task/{tiny.process.pid}/children").read_text())
    tiny.signal(signal.SIGTERM)
    status, log = tiny.finish()
    assert status == 0
    assert "Traceback" not in log


def test_workers_speak_https_with_a_certificate(start, tmp_path):
    cert, key = self_signed(tmp_path)
    tiny = start("workers=1", f"tls_cert={cert}", f"tls_key={key}")
    context = ssl.create_default_context(cafile=cert)
    connection = http.client.HTTPSConnection("127.0.0.1", tiny.port, timeout=PATIENCE, context=context)
    connection.request("GET", "/pid")
    with connection.getresponse() as answer:
        assert answer.status == 200
    connection.close()


def test_requests_that_were_sent_before_the_stop_are_answered_even_if_nobody_had_read_them(start):
    tiny = start("workers=1")
    (pid,) = tiny.workers()
    idle = http.client.HTTPConnection("127.0.0.1", tiny.port, timeout=PATIENCE)
    idle.request("GET", "/pid")
    with idle.getresponse() as answer:
        assert answer.read().decode() == pid
    os.kill(int(pid), signal.SIGSTOP)
    idle.request("GET", "/pid")  # on a connection that the worker takes for idle
    fresh = [http.client.HTTPConnection("127.0.0.1", tiny.port, timeout=PATIENCE) for _ in range(5)]
    for connection in fresh:  # on connections that the worker has not accepted
        connection.request("GET", "/pid")
    tiny.signal(signal.SIGTERM)
    os.kill(int(pid), signal.SIGCONT)
    for connection in [idle, *fresh]:
        with connection.getresponse() as answer:
            assert answer.read().decode() == pid
        connection.close()
    status, log = tiny.finish()
    assert status == 0
    assert "Traceback" not in log


def test_a_client_that_keeps_its_connection_is_told_to_leave_when_the_gateway_stops(start, tmp_path):
    tiny = start("workers=1")
    gate = tmp_path / "gate"
    thread, answers = in_background(tiny, f"/wait?{gate}")
    poll(Path(f"{gate}.seen").exists)
    kept = http.client.HTTPConnection("127.0.0.1", tiny.port, timeout=PATIENCE)
    kept.request("GET", f"/wait?{gate}-2")
    poll(Path(f"{gate}-2.seen").exists)
    tiny.signal(signal.SIGTERM)
    poll(lambda: refused(tiny.port))
    gate.touch()
    Path(f"{gate}-2").touch()
    with kept.getresponse() as answer:
        assert answer.headers["connection"] == "close"
    kept.close()
    thread.join(PATIENCE)
    assert len(answers) == 1
    assert tiny.finish()[0] == 0
