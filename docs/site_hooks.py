"""Lets the site show what lies beside docs/ in the repository, and keeps links as the forge has them.

A link is written as a path in the repository, relative to the page that it stands on, so that it works where the files
are looked at. On the site some of these files have another place, and those outside docs/ that a page links to are
taken along; here each link is led to where its file is. What is no file is a broken link there as well, which
`mkdocs build --strict` refuses.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parent.parent
# Where pages of the repository's top stand on the site; those of docs/ stand at the site's top.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
}
# Where other files that are linked to stand.
BESIDE = "repository/"
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?(?=\))")


def _target(source: str, link: re.Match[str]) -> str:
    """The path in the repository that a link on a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))


def _place(path: str) -> str | None:
    """Where a file of the repository stands on the site; None for what is no file."""
    if path.startswith("../") or not (REPOSITORY / path).is_file():
        return None
    return PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else BESIDE + path)


def _linked() -> Iterator[str]:
    """The files outside docs/ that pages link to."""
    for page in (*PAGES, *(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))):
        for link in _LINK.finditer((REPOSITORY / page).read_text()):
            target = _target(page, link)
            if (_place(target) or "").startswith(BESIDE):
                yield target


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies beside docs/."""
    for path in (*PAGES, *sorted(set(_linked()))):
        files.append(File.generated(config, _place(path) or "", abs_src_path=str(REPOSITORY / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Lead the links of a page from the repository's paths to the site's."""
    here = page.file.src_uri
    source = {place: path for path, place in PAGES.items()}.get(here, f"docs/{here}")

    def led(link: re.Match[str]) -> str:
        place = _place(_target(source, link))
        if place is None:
            return link[0]
        return posixpath.relpath(place, posixpath.dirname(here) or ".") + (link["anchor"] or "")

    return _LINK.sub(led, markdown)
