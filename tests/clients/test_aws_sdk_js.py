"""The AWS SDK for JavaScript v3, with lib-storage and presigned URLs."""

from __future__ import annotations

import json
from pathlib import Path

from support.files import MIB, payload
from support.gateway import Gateway
from support.programs import Program, find_program

JS = Path(__file__).with_name("js")


def test_strings_streams_parts_and_presigned_urls(gateway: Gateway, bucket: str, tmp_path: Path):
    content = payload(17 * MIB)
    (tmp_path / "large.bin").write_bytes(content)
    assert (JS / "node_modules/.installed").is_file(), "the JavaScript packages are not installed: run `make clients`"
    job = Program([find_program("node"), JS / "job.js"], gateway.environ, cwd=tmp_path)

    said = json.loads(job("store", bucket))

    assert said == {
        "string": "héllo wörld",
        "metadata": {"colour": "blue"},
        "presigned": [200, 200, "by url"],
        "expired": 403,
        "pages": ["parts/large.bin", "presigned/by url", "stream/large.bin", "string.txt"],
        "prefixes": ["parts/", "presigned/", "stream/"],
        "refused": "PreconditionFailed",
    }
    stored = gateway.root / bucket
    assert (stored / "string.txt").read_text() == "héllo wörld"
    assert (stored / "stream/large.bin").read_bytes() == content
    assert (stored / "parts/large.bin").read_bytes() == content
    assert (stored / "presigned/by url").read_bytes() == b"by url"
    assert (tmp_path / "back.bin").read_bytes() == content

    assert json.loads(job("remove", bucket)) == {"errors": 0}
    assert not stored.exists()
