"""Pages of the documentation as programs: what a reader would type, in order, on a machine of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.programs import REPOSITORY, VENVS, find_program

__all__ = ["Block", "Walk", "blocks", "differs"]

RUN = ("sh", "console", "python")
MARKS = ("background", "fails", "shown")
_SECONDS = 240
_PORTS_UP_SECONDS = 60
_FENCE = re.compile(
    r"(?:^[ ]*<!-- test: (?P<mark>\w+)[^\n]*-->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)(?P<options>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_ERE_SPECIAL = re.compile(r"[][.*^$+?(){}|\\]")

# A shell that is told about each step: where its output goes, and that it has begun.
_PRELUDE = r"""
set -eu
walk_step() { exec >"$OUT/$1" 2>&1; echo "$1" >"$OUT/at"; }
walk_ports() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" {print $2}' | sort -u; }
# The program that was started last serves when there is a listening port that was not there before.
walk_await_port() {
    for _ in $(seq @PORTS_UP_TENTHS@); do
        [ "$(walk_ports)" = "$1" ] || return 0
        kill -0 $! || { echo "the program in the background has ended"; return 1; }
        sleep 0.1
    done
    echo "the program in the background listens on no port"
    return 1
}
# PASTED becomes the first text shown so far that fits the pattern.
walk_paste() {
    for _ in $(seq 100); do
        PASTED=$(cat "$OUT"/[0-9]* | grep --only-matching --max-count 1 --extended-regexp -e "$1") && return 0
        sleep 0.1
    done
    echo "nothing that was shown fits $1"
    return 1
}
"""

# What is shut off is shut off by the kernel: ports, processes, and two directories of the machine.
_ALONE = r"""
ip link set lo up
mount --bind "$OUT/../srv" /srv
mount --bind "$OUT/../mnt" /mnt
exec bash "$OUT/../walk.sh" </dev/null
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: its line on the page, what its opening line says, the mark above it, and its text."""

    line: int
    language: str
    title: str
    mark: str
    text: str


@dataclass(frozen=True)
class _Step:
    line: int
    script: str
    expected: str = ""


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in Markdown; AssertionError for a mark that is not known or stands alone."""
    found = [
        Block(
            line=page[: match.start("indent")].count("\n") + 1,
            language=match["language"],
            title="".join(_TITLE.findall(match["options"])),
            mark=match["mark"] or "",
            text=textwrap.dedent(match["text"]),
        )
        for match in _FENCE.finditer(page)
    ]
    wrong = [block for block in found if block.mark not in ("", *MARKS)]
    assert not wrong, f"marks are {', '.join(MARKS)}: {wrong}"
    assert page.count("<!-- test:") == sum(bool(block.mark) for block in found), "a mark without a block right below"
    return found


def differs(expected: str, shown: str) -> bool:
    """Whether an output is another than the page shows. … stands for anything in a line, and alone for any lines."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        pattern += r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + "\n"
    lines = "".join(f"{line.rstrip()}\n" for line in shown.strip("\n").splitlines())
    return re.fullmatch(pattern, lines) is None


def _pasting(code: str) -> str:
    """The code with each line that has a … in it taken from what was shown before."""
    lines = []
    for line in code.splitlines():
        if "…" in line:
            parts = re.sub(r"\s+#.*", "", line).strip().split("…")
            pattern = "[^[:space:]]+".join(_ERE_SPECIAL.sub(r"\\\g<0>", part) for part in parts)
            lines.append(f'walk_paste {shlex.quote(pattern)}; eval "$PASTED"')
        else:
            lines.append(line)
    return "\n".join(lines)


def _commands(block: Block) -> Iterator[_Step]:
    """The commands of a console block, each with the output that is shown below it."""
    for number, part in enumerate(re.split(r"^\$ ", block.text, flags=re.MULTILINE)):
        if number == 0:
            assert not part.strip(), f"line {block.line}: a console block begins with a command behind '$ '"
            continue
        lines = part.splitlines()
        end = 1
        while end < len(lines) and (lines[end - 1].endswith("\\") or lines[end].startswith("> ")):
            end += 1
        code = "\n".join(line.removeprefix("> ") for line in lines[:end])
        expected = "\n".join(lines[end:]).strip("\n")
        if expected and block.mark == "background":
            expected += "\n…"  # it goes on to write
        yield _Step(block.line, _marked(_pasting(code), block.mark), expected)


def _marked(code: str, mark: str) -> str:
    if mark == "background":
        return f'WALK_PORTS=$(walk_ports)\n{{\n{code}\n}} &\nwalk_await_port "$WALK_PORTS"'
    if mark == "fails":
        return f"if (\nset -e\n{code}\n); then echo 'this was to fail'; exit 1; fi"
    return code


def _steps(block: Block) -> list[_Step]:
    assert block.title or block.mark or block.language, f"line {block.line}: a block without a language"
    if block.mark == "shown":
        return []
    if block.title:
        path = shlex.quote(block.title.removeprefix("~/"))
        path = f"~/{path}" if block.title.startswith("~/") else path
        here = "END-OF-THE-FILE-THAT-THE-PAGE-SHOWS"
        return [_Step(block.line, f"mkdir -p $(dirname {path})\ncat >{path} <<'{here}'\n{block.text}{here}")]
    if block.language == "console":
        return list(_commands(block))
    if block.language == "python":
        return [_Step(block.line, _marked(f"python - <<'END-OF-PYTHON'\n{block.text}END-OF-PYTHON", block.mark))]
    if block.language == "sh":
        return [_Step(block.line, _marked(_pasting(block.text), block.mark))]
    assert not block.mark, f"line {block.line}: only {', '.join(RUN)} are run"
    return []


class Walk:
    """A page and a place to walk it in: a checkout, a home, programs, and a network without a way out."""

    def __init__(self, page: Path, place: Path) -> None:
        self.page = page
        self.place = place
        self.steps = [step for block in blocks(page.read_text()) for step in _steps(block)]

    def run(self) -> None:
        """Do what the page says; AssertionError with the page's line and all that was shown where it goes wrong."""
        self._lay_out()
        out = self.place / "out"
        done = subprocess.run(
            [find_program("unshare"), *self._shut_off(), "bash", "-euc", _ALONE],
            env=self._environ(out),
            cwd=self.place / "checkout",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        at = int((out / "at").read_text()) if (out / "at").exists() else 0
        assert done.returncode == 0, self._told(at, f"status {done.returncode} {done.stderr.decode()}")
        for number, step in enumerate(self.steps, 1):
            if step.expected:
                shown = (out / str(number)).read_text(errors="replace")
                assert not differs(step.expected, shown), self._told(number, f"not shown was:\n{step.expected}")

    def _lay_out(self) -> None:
        checkout = self.place / "checkout"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.check_output(listed, cwd=REPOSITORY, text=True).split("\0"):
            source = REPOSITORY / name
            if source.is_file():
                (checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, checkout / name)
        # `make run` finds its environment there, and needs no package index.
        (checkout / ".venv/bin").mkdir(parents=True)
        (checkout / ".venv/bin/s3gate").symlink_to(VENVS / "libraries/bin/s3gate")
        (checkout / ".venv/.run").touch()
        for name in ("home", "srv", "mnt", "out"):
            (self.place / name).mkdir()
        prelude = _PRELUDE.replace("@PORTS_UP_TENTHS@", str(10 * _PORTS_UP_SECONDS))
        script = "".join(f"\nwalk_step {number}\n{step.script}\n" for number, step in enumerate(self.steps, 1))
        (self.place / "walk.sh").write_text(prelude + script)

    def _shut_off(self) -> Sequence[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return [*user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

    def _environ(self, out: Path) -> dict[str, str]:
        programs = [VENVS / "libraries/bin", VENVS / "programs/bin", VENVS / "bin"]
        return {
            "PATH": ":".join([*map(str, programs), os.environ["PATH"], "/usr/sbin", "/sbin"]),
            "HOME": str(self.place / "home"),
            "OUT": str(out),
            "LANG": "C.UTF-8",
            "USER": "reader",
            "PYTHONUNBUFFERED": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def _told(self, at: int, what: str) -> str:
        told = [f"{self.page}:{self.steps[at - 1].line if at else 0}: {what}"]
        for number in sorted((int(path.name) for path in (self.place / "out").glob("[0-9]*")), key=lambda n: n != at):
            text = (self.place / "out" / str(number)).read_text(errors="replace")
            if text:
                told.append(f"--- line {self.steps[number - 1].line} showed:\n{text[-3000:]}")
        return "\n".join(told)
