"""The command beside a gateway: how both end."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from s3gate.sidecar import command
from s3gate.sidecar.command import GatewayLostError, run_beside, signals_held
from support.forks import fork, in_child

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def run(*argv: str, gateway_ends_after: float = 60) -> tuple[str, int]:
    """Run a command in a process of its own, beside something that has a gateway's process."""

    def work() -> tuple[str, int]:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and the command would inherit that
        with signals_held() as mask:
            gateway: Any = SimpleNamespace(pid=fork(lambda: time.sleep(gateway_ends_after)))
            try:
                status = run_beside(gateway, argv, dict(os.environ), mask=mask)
            except GatewayLostError as error:
                return str(error), -1
            os.kill(gateway.pid, signal.SIGKILL)
            return "ended", status

    status, result = in_child(work)
    assert status == 0
    assert result is not None
    return result


def test_a_command_that_takes_no_notice_of_the_lost_gateway_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PATIENCE_SECS", 0.2)
    told, _ = run(sys.executable, "-c", STUBBORN, gateway_ends_after=0.3)
    assert told == "The gateway ended before the command did (status 0)"


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 9", 9), ("kill -HUP $$", 128 + signal.SIGHUP)])
def test_the_status_is_that_of_a_shell(script: str, status: int) -> None:
    assert run("sh", "-c", script) == ("ended", status)


def test_a_signal_that_came_before_the_command_ends_it_before_it_begins() -> None:
    def with_signal() -> tuple[int, bool]:
        gateway: Any = SimpleNamespace(pid=-1)
        with signals_held() as mask:
            os.kill(os.getpid(), signal.SIGTERM)
            return run_beside(gateway, ["no-such-program"], {}, mask=mask), True

    assert in_child(with_signal) == (0, (128 + signal.SIGTERM, True))


def test_signals_are_as_they_were_when_all_is_over() -> None:
    def masks() -> tuple[set[int], set[int]]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
        return {*before}, {*signal.pthread_sigmask(signal.SIG_BLOCK, ())}

    status, found = in_child(masks)
    assert status == 0
    assert found is not None
    assert found[0] == found[1]


@pytest.mark.parametrize(("field", "bits"), [("SigBlk", 0xFFFFFFFF), ("SigIgn", 0x1001000)])
def test_the_command_blocks_nothing_and_ignores_nothing_that_only_this_program_does(field: str, bits: int) -> None:
    """Python ignores SIGPIPE and SIGXFSZ; what is watched is blocked."""
    script = f"test $((0x$(sed -n 's/^{field}:[[:space:]]*//p' /proc/self/status) & {bits})) -eq 0"
    assert run("sh", "-c", script) == ("ended", 0)
