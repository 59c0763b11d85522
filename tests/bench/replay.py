"""The client of the measurements: replay.c, compiled with cc, and the scripts it is given."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.signing import Request, Signer

__all__ = ["FILLER_SIZE", "MissingProgram", "Outcome", "Replay", "Unfit"]

FILLER_SIZE = 1 << 20

_SOURCE = Path(__file__).with_name("replay.c")
_RUN_SECONDS = 300


class MissingProgram(Exception):
    """A program that measuring needs is not installed; the message says which, and how to get it."""


class Unfit(Exception):
    """A server cannot take a load; the message says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a replay: the requests that succeeded, the bytes of their bodies and heads, and the time.

    `p50` and `p99` are microseconds from a request's first byte to its answer's last.
    """

    requests: int
    sent: int
    received: int
    seconds: float
    p50: int
    p99: int


@dataclass(frozen=True, slots=True)
class Replay:
    """The compiled client and its files, in `place`; a transfer that stands still for `patience` seconds fails."""

    place: Path
    patience: int

    @classmethod
    def build(cls, place: Path, patience: int) -> Replay:
        """Compile it; MissingProgram where there is no compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            raise MissingProgram("cc is not installed: apt-get install gcc libc6-dev (or your system's C compiler)")
        subprocess.run([compiler, "-O2", "-Wall", "-o", str(place / "replay"), str(_SOURCE)], check=True)
        (place / "filler").write_bytes(random.Random(1).randbytes(FILLER_SIZE))
        return cls(place, patience)

    @property
    def filler(self) -> bytes:
        """The bytes that fill large bodies, again and again from their start."""
        return (self.place / "filler").read_bytes()

    def script(self, requests: Iterable[Request], port: int) -> Path:
        """Sign the requests for a server and write them down; the next script takes the place of this one."""
        signer = Signer(f"127.0.0.1:{port}", datetime.now(UTC))
        path = self.place / f"script-{port}"
        with path.open("wb") as file:
            for request in requests:
                head = signer.head(request) + request.body
                file.write(b"%d %d\n" % (len(head), request.filler))
                file.write(head)
        return path

    def run(self, script: Path, port: int, *, connections: int, seconds: float = 0) -> Outcome:
        """Replay a script: once, or over and over for some seconds. Unfit unless every answer was a success."""
        return self._run([str(port), str(connections), str(seconds), str(self.patience), str(script)])

    def run_for_etags(self, script: Path, port: int, *, connections: int) -> tuple[Outcome, list[str]]:
        """Replay a script once; the ETags of the answers, in its order."""
        etags = script.with_suffix(".etags")
        outcome = self._run([str(port), str(connections), "0", str(self.patience), str(script)], str(etags))
        return outcome, etags.read_text().splitlines()

    def _run(self, arguments: list[str], *last: str) -> Outcome:
        command = [str(self.place / "replay"), *arguments, str(self.place / "filler"), *last]
        done = subprocess.run(command, capture_output=True, check=False, timeout=_RUN_SECONDS)
        errors = " ".join(done.stderr.decode(errors="replace").split())
        if done.returncode:
            raise Unfit(errors or f"the client ended with status {done.returncode}")
        found = json.loads(done.stdout)
        failed = found.pop("failed")
        if failed:
            raise Unfit(f"{failed} of {failed + found['requests']} requests failed; the first: {errors}")
        return Outcome(**found)
