"""s3fs, the fsspec file system that pandas and dask use."""

from __future__ import annotations

import json
from pathlib import Path

from support.files import MIB, digests, payload
from support.gateway import Gateway
from support.programs import VENVS, Program, find_program


def test_files_are_stored_read_moved_and_removed(gateway: Gateway, bucket: str, tree: Path, tmp_path: Path):
    content = payload(12 * MIB)
    (tmp_path / "large.bin").write_bytes(content)
    python = find_program("python", VENVS / "s3fs/bin")
    job = Program([python, Path(__file__).with_name("programs") / "s3fs_job.py"], gateway.environ, cwd=tmp_path)
    files = digests(tree)

    said = json.loads(job("store", bucket, tree, tmp_path / "back"))

    expected = {f"{bucket}/tree/{name}" for name in files if name != "one-byte"}
    expected |= {f"{bucket}/large.bin", f"{bucket}/copies/large.bin", f"{bucket}/moved"}
    assert said["found"] == sorted(expected)
    assert said["listed"] == [f"{bucket}/{name}" for name in ("copies", "large.bin", "moved", "tree")]
    assert said["globbed"] == sorted(f"{bucket}/tree/{name}" for name in files if name.startswith("docs/"))
    assert said["size"] == len(content)
    assert bytes.fromhex(said["middle"]) == content[7_000_000:7_001_000]
    assert bytes.fromhex(said["tail"]) == content[-1000:]
    assert said["colour"] == "blue"
    assert said["refused"]
    assert (gateway.root / bucket / "large.bin").read_bytes() == content
    assert (gateway.root / bucket / "copies/large.bin").read_bytes() == content
    assert (gateway.root / bucket / "moved").read_bytes() == (tree / "one-byte").read_bytes()
    assert digests(tmp_path / "back") == files

    assert json.loads(job("remove", bucket)) == {"exists": False}
    assert not (gateway.root / bucket).exists()
