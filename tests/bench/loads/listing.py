"""Pages of 1,000 out of a bucket with many keys: directories of 1,000 empty files each."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.loads.load import Load, Target
from bench.replay import Outcome, Unfit
from bench.signing import Request

__all__ = ["Pages"]

_BUCKET = "listed"
_PAGE = 1000
_DIRECTORY = 1000
_PLACES = 16


@dataclass(frozen=True)
class Pages(Load):
    """The first page of a bucket, pages in its midst, or the first page of the prefixes up to a delimiter.

    Servers that list plain files have `keys` of them; the others get `puts`, by PutObject.
    """

    name: str
    kind: Literal["first", "next", "delimiter"]
    keys: int
    puts: int
    s3 = True

    @property
    def title(self) -> str:
        what = {"first": "first page", "next": "a page behind a key", "delimiter": "first page by delimiter"}
        return f"LIST {_PAGE:,} of {self.keys:,}, {what[self.kind]}, 1 connection"

    def prepare(self, target: Target) -> str:
        program = target.server.program
        keys = self.keys if program.plain else min(self.keys, self.puts)
        bucket = target.server.place.data / _BUCKET
        marker = target.server.place.home / _BUCKET
        if not marker.exists():
            target.server.make_bucket(_BUCKET)
            if program.plain:
                _make_files(bucket, keys)
            else:
                target.fill(Request("PUT", f"/{_BUCKET}/{_name(number)}") for number in range(keys))
            marker.touch()
        for request in self._requests(keys)[:2]:
            self._check(target.expect(request).body, keys)
        return "" if keys == self.keys else f"of {keys:,} keys"

    def begin(self, target: Target) -> Callable[[], Outcome]:
        keys = self.keys if target.server.program.plain else min(self.keys, self.puts)
        return target.replay(self._requests(keys), connections=1, seconds=target.seconds)

    def _requests(self, keys: int) -> list[Request]:
        path, page = f"/{_BUCKET}", f"list-type=2&max-keys={_PAGE}"
        if self.kind == "first":
            return [Request("GET", path, page)]
        if self.kind == "delimiter":
            return [Request("GET", path, f"delimiter=%2F&{page}")]
        last = max(keys - _PAGE - 1, 0)
        behind = (_name(last * place // _PLACES).replace("/", "%2F") for place in range(1, _PLACES + 1))
        return [Request("GET", path, f"{page}&start-after={key}") for key in behind]

    def _check(self, body: bytes, keys: int) -> None:
        tag, expected = b"<Key>", min(_PAGE, keys)
        if self.kind == "delimiter":
            tag, expected = b"<CommonPrefixes>", min(_PAGE, -(-keys // _DIRECTORY))
        if body.count(tag) != expected:
            raise Unfit(f"the page has {body.count(tag)} entries in place of {expected}")


def _name(number: int) -> str:
    return f"{number // _DIRECTORY:06}/{number % _DIRECTORY:06}"


def _make_files(bucket: Path, keys: int) -> None:
    def make_directory(start: int) -> None:
        directory = bucket / _name(start).partition("/")[0]
        directory.mkdir()
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in range(min(_DIRECTORY, keys - start)):
                os.close(os.open(f"{number:06}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=descriptor))
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make_directory, range(0, keys, _DIRECTORY)))
