"""README, quickstart and the pages "coming from …", walked from top to bottom as a reader would, each block of them.

A page is one test: those of PAGES, and every docs/coming-from-*.md as soon as it is there. To walk one
while you write it: `pytest tests/clients/test_docs.py -k coming-from-curvine` (after `make clients` has run once).

What stands on the page is run as it stands, with no address, port or key replaced. That works because each page has a
network of its own, where every port is free and nothing but the loopback can be reached, processes of its own, all of
which end with it, and directories of its own: it begins in a copy of the checkout (tracked and new files; `.venv` and
`make run` work, no package is fetched), with an empty home, /srv and /mnt. The programs of `make clients` are on PATH:
s3gate, aws, s3cmd, s5cmd, mc, rclone, python with boto3, curl. All blocks share one shell with `set -eu`: variables and
`cd` hold from block to block, the first command that fails ends the walk.

What is done with a block is said by how its fence opens:

  ```sh                        its commands are run
  ```console                   the lines behind `$ ` (and `> `, and behind a backslash) are run; what stands below a
                               command is what it prints, on stdout and stderr together, and is compared; a command
                               with nothing below it may print anything
  ```python                    run with the Python of the client libraries
  ```toml title="user.toml"    any language: not run, but written to the file of that name (relative, ~/, /srv/)
  ```text, ```json, ```toml    any other language: shown only

and by a mark in a comment on the line right above the fence, with a word of explanation if you like:

  <!-- test: background -->                it goes on running; the walk goes on when it listens on a new port
  <!-- test: fails -->                     the block (in a console block: each command) ends with a status that is not 0
  <!-- test: shown, it needs a cluster --> it is not run; say why

… (the character U+2026) is for what is different each time. In expected output it stands for any part of a line, and on
a line of its own for any lines. In a command the whole line is what the reader would paste: the walk takes the
first text that fits of all that any program has shown so far, each … being a word (`export AWS_ACCESS_KEY_ID=… …`).

Inside lists indent by 4 spaces, which both the site and the forge understand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.programs import REPOSITORY
from support.walks import Walk, blocks, differs

DOCS = REPOSITORY / "docs"
PAGES = [
    REPOSITORY / "README.md",
    DOCS / "quickstart.md",
    DOCS / "scaling.md",
    *sorted(DOCS.glob("coming-from-*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_says_works(page: Path, tmp_path: Path):
    Walk(page, tmp_path).run()


def walk(text: str, place: Path) -> None:
    page = place / "page.md"
    page.write_text(text)
    Walk(page, place).run()


def test_a_walk_shares_one_shell_and_writes_the_files_that_are_shown(tmp_path: Path):
    walk(
        """
```ini title="conf/a b.ini"
[one]
```
1. In a list:

    ```sh
    name=conf; cd $name
    ```
```console
$ cat "a b.ini" \\
    /dev/null
[one]
$ pwd
/…/checkout/conf
$ seq 9
1
…
9
```
<!-- test: fails, there is none -->
```sh
cat nothing
```
<!-- test: shown, it would stop the machine -->
```sh
exit 1
```
```text
neither is this run
```
""",
        tmp_path,
    )


def test_a_walk_waits_for_what_runs_beside_it_and_pastes_what_was_shown(tmp_path: Path):
    walk(
        """
<!-- test: background -->
```console
$ echo "  export PORT=80 WORD=a.b"; exec python -m http.server --bind 127.0.0.1 80
  export PORT=…
```
```sh
export PORT=… WORD=…
curl --fail --silent http://127.0.0.1:$PORT/LICENSE | cmp - LICENSE
test $WORD = a.b
```
""",
        tmp_path,
    )


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nfalse\ntrue\n```",
        "```sh\necho $UNSET\n```",
        "```console\n$ echo one\ntwo\n```",
        "```console\n$ echo one; echo two\none\n```",
        "```python\nraise SystemExit(3)\n```",
        "<!-- test: fails -->\n```sh\nfalse\ntrue\n```",
        "<!-- test: background -->\n```sh\nsleep 0.1\n```",
        "```sh\ncurl --silent http://192.0.2.1/\n```",
    ],
)
def test_a_walk_tells_what_goes_wrong(tmp_path: Path, text: str):
    with pytest.raises(AssertionError, match=r"page\.md:\d+: "):
        walk(text, tmp_path)


@pytest.mark.parametrize("text", ["<!-- test: skip -->\n```sh\ntrue\n```\n", "<!-- test: fails -->\n\n```sh\n```\n"])
def test_a_mark_that_means_nothing_is_an_error(text: str):
    with pytest.raises(AssertionError, match="mark"):
        blocks(text)


@pytest.mark.parametrize(
    ("expected", "shown", "same"),
    [
        ("a…c", "abc", True),
        ("a…c", "abcd", False),
        ("a…c", "a\nc", False),
        ("a\n…\nc", "a\nc", True),
        ("a\n…\nc", "a\nb\nb\nc", True),
        ("a\n…", "a", True),
        ("a", "a\nb", False),
        ("a (b)", "a (b)  ", True),
    ],
)
def test_the_ellipsis_stands_for_a_part_of_a_line_or_for_lines(expected: str, shown: str, same: bool):
    assert differs(expected, shown) is not same
