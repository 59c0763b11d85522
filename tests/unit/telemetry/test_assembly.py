"""What settings of telemetry make, and what is said when they cannot be."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from s3gate.telemetry import assembly
from s3gate.telemetry.assembly import TelemetryError, TelemetryOptions
from s3gate.telemetry.exposition import no_usage
from s3gate.telemetry.telemetry import Telemetry
from support.telemetry import Samples, served

OFF = TelemetryOptions()


def test_by_default_nothing_is_told():
    telemetry = assembly.make_telemetry(OFF, None, no_usage, str)
    assert assembly.make_board(OFF, ["GetObject"], 2) is None
    assert (telemetry.counters, telemetry.page) == (None, None)
    telemetry.begin()
    telemetry.end(served())


def test_every_sink_gets_every_request(tmp_path: Path):
    access, audit = tmp_path / "access", tmp_path / "audit"
    options = TelemetryOptions(metrics=True, access_log=str(access), audit_log=str(audit))
    counters = assembly.make_counters(assembly.make_board(options, ["GetObject"], 1), 0)
    telemetry = assembly.make_telemetry(options, counters, no_usage, str)

    async def run() -> None:
        await telemetry.start()
        for status, code in ((200, ""), (403, "AccessDenied"), (404, "NoSuchKey")):
            telemetry.begin()
            telemetry.end(served(status=status, error_code=code))
        access.rename(tmp_path / "moved")
        telemetry.reopen()
        telemetry.begin()
        telemetry.end(served(status=204))
        await telemetry.stop()

    asyncio.run(run())
    assert [json.loads(line)["status"] for line in (tmp_path / "moved").read_text().splitlines()] == [200, 403, 404]
    assert json.loads(access.read_text())["status"] == 204
    assert json.loads(audit.read_text())["code"] == "AccessDenied"
    assert telemetry.page is not None
    assert Samples(telemetry.page.render("")[0].decode()).total("requests_total") == 4


def test_a_sink_that_fails_fails_no_request(caplog: pytest.LogCaptureFixture):
    class Broken:
        def take(self, served: object) -> None:
            raise ZeroDivisionError

        async def start(self) -> None: ...

        async def stop(self) -> None: ...

        def reopen(self) -> None: ...

    Telemetry(sinks=[Broken()]).end(served())
    assert "0123456789ABCDEF is missing" in caplog.text


def test_a_log_that_cannot_be_written_is_told_before_the_start(tmp_path: Path):
    for name in ("access_log", "audit_log"):
        path = tmp_path / "missing" / "log"
        with pytest.raises(TelemetryError, match=f"{name}: cannot write to .*missing/log: No such file"):
            assembly.check(TelemetryOptions(**{name: str(path)}))


def test_traces_without_the_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch):
    assembly.check(TelemetryOptions(traces="http://127.0.0.1:4318"))
    monkeypatch.delitem(sys.modules, "s3gate.telemetry.traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TelemetryError, match=r"pip install 's3gate\[otel\]'"):
        assembly.check(TelemetryOptions(traces="http://127.0.0.1:4318"))


def test_nothing_of_opentelemetry_is_imported_where_no_traces_are_wanted():
    program = (
        "import sys, s3gate.cli.main, s3gate.bootstrap\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
