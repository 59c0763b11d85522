"""The tables of the documents hold what the gateway does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from s3gate.core.errors import CODES
from s3gate.operations import ROUTES
from s3gate.operations.registry import Level, Operation

DOCS = Path(__file__).parent.parent / "docs"
PATHS = {Level.SERVICE: "/", Level.BUCKET: "/BUCKET", Level.OBJECT: "/BUCKET/KEY"}
REMEDY = "docs/{} does not have the rows that the gateway has; they are:\n{}"


def rows(page: str, section: str) -> list[list[str]]:
    """The cells of the table below a heading, without the head of the table."""
    text = (DOCS / page).read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def request(op: Operation) -> str:
    """What a request of an operation looks like, in a word."""
    queries = sorted(op.subresources) + [f"{name}=…" for name in sorted(op.selectors) if not name.startswith("x-amz-")]
    headers = [name for name in sorted(op.selectors) if name.startswith("x-amz-")]
    line = f"{op.method} {PATHS[op.level]}{'?' if queries else ''}{'&'.join(queries)}"
    return " + ".join(f"`{each}`" for each in (line, *headers))


def permission(op: Operation) -> str:
    """The action that an operation takes, with a version and without."""
    actions = [op.action, *([op.version_action] if op.version_action else [])]
    return ", ".join(f"`{action}`" for action in actions)


def expected(*, implemented: bool) -> list[list[str]]:
    found = sorted((op for op in ROUTES.operations if op.implemented is implemented), key=lambda op: op.name)
    return [[op.name, request(op), *([permission(op)] if implemented else [])] for op in found]


@pytest.mark.parametrize(("section", "implemented"), [("Implemented", True), ("Not implemented", False)])
def test_every_operation_is_documented_as_what_it_is(section: str, implemented: bool) -> None:
    wanted = expected(implemented=implemented)
    told = [row[: len(wanted[0])] for row in rows("operations.md", section)]
    assert told == wanted, REMEDY.format("operations.md", "\n".join(f"| {' | '.join(row)} |" for row in wanted))


def test_every_operation_that_is_there_has_a_word_said_of_it() -> None:
    assert [row[0] for row in rows("operations.md", "Implemented") if not row[3]] == []


def test_every_error_code_is_documented_with_its_status_and_message() -> None:
    wanted = [[f"`{code}`", str(status), message] for code, (status, message) in sorted(CODES.items())]
    table = "\n".join(f"| {' | '.join(row)} |" for row in wanted)
    assert rows("errors.md", "Codes") == wanted, REMEDY.format("errors.md", table)
