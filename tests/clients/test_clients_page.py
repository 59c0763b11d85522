"""The examples of docs/clients.md, run as they stand but for address, keys and the bucket's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.files import MIB, make_tree, payload
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.programs import REPOSITORY, VENVS, Program, find_program
from support.walks import Block, blocks

BUCKET_IS_MADE_FIRST = "The bucket has to be there."
READS_NO_FILE_BACK = ("Delta Lake",)
NOT_RUN_HERE = ("docker-registry", "Spark", "TensorFlow")
PAGE = (REPOSITORY / "docs/clients.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PREPARATION = SECTIONS.pop("What each client has to know")


def _examples(section: str) -> list[Block]:
    return [block for block in blocks(section) if block.mark != "shown"]


def _command(language: str, title: str, directory: Path) -> list[str | Path]:
    if language == "sh":
        return [find_program("bash"), "-euo", "pipefail"]
    if language == "js":
        modules = Path(__file__).with_name("js") / "node_modules"
        (directory / "node_modules").symlink_to(modules)
        return [find_program("node"), "--input-type=module", "-"]
    environment = "s3fs" if title.startswith("s3fs") else "libraries"
    return [find_program("python", VENVS / environment / "bin"), "-"]


def test_each_section_has_an_example():
    assert len(SECTIONS) >= 14
    assert [title for title, section in SECTIONS.items() if not _examples(section)] == list(NOT_RUN_HERE)
    assert all(blocks(SECTIONS[title]) for title in NOT_RUN_HERE)


@pytest.mark.parametrize("title", [title for title in SECTIONS if title not in NOT_RUN_HERE])
def test_the_example_works(gateway: Gateway, bucket: str, tmp_path: Path, title: str):
    content = payload(10 * MIB)
    (tmp_path / "large.bin").write_bytes(content)
    make_tree(tmp_path / "photos")
    section = SECTIONS[title]
    if BUCKET_IS_MADE_FIRST in section:
        gateway.boto3().create_bucket(Bucket=bucket)
    path = f"{VENVS}/programs/bin:{VENVS}/bin:{gateway.environ['PATH']}"

    for example in _examples(section):
        preparation = blocks(PREPARATION)[0].text if example.language == "sh" else ""
        text = preparation + example.text
        for written, real in (
            ("localhost:9900", gateway.address),
            ("my-access-key", ACCESS_KEY),
            ("my-secret-key", SECRET_KEY),
            ("my-bucket", bucket),
        ):
            text = text.replace(written, real)
        command = _command(example.language, title, tmp_path)
        Program(command, {**gateway.environ, "PATH": path}, cwd=tmp_path)(stdin=text.encode())

    if title not in READS_NO_FILE_BACK:
        assert (tmp_path / "back.bin").read_bytes() == content
