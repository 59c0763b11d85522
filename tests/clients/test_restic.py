"""restic, whose uploads sign every chunk."""

from __future__ import annotations

from pathlib import Path

from support.files import MIB, digests, payload
from support.gateway import Gateway
from support.programs import Program, find_program


def test_backup_check_restore_and_prune(gateway: Gateway, bucket: str, tree: Path, tmp_path: Path):
    settings = {
        "RESTIC_REPOSITORY": f"s3:{gateway.endpoint}/{bucket}/backups",
        "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    restic = Program([find_program("restic")], {**gateway.environ, **settings}, cwd=tree)
    (tree / "large.bin").write_bytes(payload(25 * MIB))
    before = digests(tree)

    restic("init")
    restic("backup", ".")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", tmp_path / "restored")
    assert digests(tmp_path / "restored") == before

    (tree / "large.bin").write_bytes(payload(MIB, seed=2))
    restic("backup", ".")
    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", tmp_path / "after")
    assert digests(tmp_path / "after") == digests(tree)
    assert restic("snapshots", "--compact").decode().count("\n1 snapshots") == 1
    assert list((gateway.root / bucket / "backups/locks").glob("[0-9a-f]*")) == []
