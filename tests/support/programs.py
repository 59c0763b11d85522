"""Running client programs: where `make clients` put them, and one way to call them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["REPOSITORY", "VENVS", "Program", "find_program"]

REPOSITORY = Path(__file__).resolve().parents[2]
VENVS = REPOSITORY / ".venvs"


def find_program(name: str, directory: Path | str | None = None) -> str:
    """The path of a program: from `directory`, or several as PATH has them, else from PATH. None there is a failure."""
    found = shutil.which(name, path=str(directory) if directory else None)
    assert found, f"{name} is not installed in {directory or 'PATH'}: run `make clients`"
    return found


class Program:
    """A program with arguments and an environment that stay the same from call to call."""

    def __init__(self, command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path | None = None) -> None:
        self.command = [str(part) for part in command]
        self.environ = dict(environ)
        self.cwd = cwd

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        """Run to the end and give its standard output; AssertionError with all it said unless the status is 0."""
        done = self.outcome(*arguments, stdin=stdin)
        assert done.returncode == 0, _failure(done)
        return done.stdout

    def outcome(self, *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run to the end, whatever the status is."""
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env=self.environ,
            cwd=self.cwd,
            timeout=240,
            check=False,
        )


def _failure(done: subprocess.CompletedProcess[bytes]) -> str:
    output = done.stdout[-4000:].decode(errors="replace")
    errors = done.stderr[-4000:].decode(errors="replace")
    return f"{' '.join(done.args)}\nstatus {done.returncode}\n{output}\n{errors}"
