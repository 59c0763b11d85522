"""Runs the steps of a Dockerfile without a Docker engine, in a directory that stands for the image's root."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Image", "Instruction", "instructions"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its keyword in capitals, its text on one line, and the number of its stage, from 0."""

    keyword: str
    text: str
    stage: int

    @property
    def words(self) -> list[str]:
        """The text of an exec form (a JSON array, behind options if there are any), else its shell words."""
        start = self.text.find("[")
        words: list[str] = json.loads(self.text[start:]) if start >= 0 else shlex.split(self.text)
        return words


def instructions(path: Path) -> list[Instruction]:
    """The instructions of a Dockerfile in their order."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    found: list[Instruction] = []
    stage = -1
    for line in lines:
        keyword, _, rest = line.partition(" ")
        stage += keyword.upper() == "FROM"
        found.append(Instruction(keyword.upper(), re.sub(r"\s+", " ", rest), stage))
    return found


@dataclass(frozen=True, slots=True)
class Image:
    """`root` stands for the image's root directory: `places`, paths within the image, are found beneath it.

    A path of the image is replaced wherever a step names it. All stages share the root, so that copying from one stage
    to a later one keeps a path as it is.
    """

    root: Path
    places: Sequence[str]

    def translate(self, text: str) -> str:
        """`text` with each place led beneath the root."""
        pattern = "|".join(re.escape(place) for place in self.places)
        return re.sub(rf"(?<![\w.-])({pattern})(?![\w.-])", lambda found: f"{self.root}{found[1]}", text)

    def build(self, steps: Sequence[Instruction], context: Path, environ: Mapping[str, str]) -> None:
        """Take WORKDIR, COPY and RUN of the steps as Docker would; CalledProcessError when a command fails."""
        directory = self.root
        for step in steps:
            if step.keyword == "WORKDIR":
                directory = Path(self.translate(step.text))
                directory.mkdir(parents=True, exist_ok=True)
            elif step.keyword == "COPY":
                self._copy(step.words, context, directory)
            elif step.keyword == "RUN":
                command = ["/bin/sh", "-c", self.translate(step.text)]
                subprocess.run(command, cwd=directory, env=dict(environ), check=True, capture_output=True, timeout=600)

    def environ(self, steps: Sequence[Instruction]) -> dict[str, str]:
        """The variables that the ENV steps set, translated; $PATH is the system's."""
        text = " ".join(step.text for step in steps if step.keyword == "ENV").replace("$PATH", "/usr/bin:/bin")
        return dict(_pairs(self.translate(text)))

    def _copy(self, words: Sequence[str], context: Path, directory: Path) -> None:
        *sources, target = words
        for source in sources:
            place = directory / target
            if (context / source).is_dir():
                shutil.copytree(context / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(context / source, place / source if target.endswith("/") else place)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for word in shlex.split(text):
        name, _, value = word.partition("=")
        yield name, value
