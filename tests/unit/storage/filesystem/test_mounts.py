"""What a directory is mounted from."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from s3gate import bootstrap
from s3gate.settings import Settings
from s3gate.storage.filesystem import capabilities
from s3gate.storage.filesystem.capabilities import FINE, LIMIT, examine
from s3gate.storage.filesystem.mounts import Mount, mount_at

DEFAULTS = "rw,relatime,rw,vers=4.2,rsize=1048576,namlen=255,hard,proto=tcp,timeo=600,sec=sys,local_lock=none"
NO_TIMES = "acregmin=0,acregmax=0,acdirmin=0,acdirmax=0"


def nfs(options: str, kind: str = "nfs4") -> Mount:
    return Mount(kind, "server:/export", "/mnt", options)


@pytest.mark.parametrize(
    ("mount", "remembers"),
    [
        (nfs(DEFAULTS), True),
        (nfs(f"{DEFAULTS},lookupcache=none"), True),
        (nfs(f"{DEFAULTS},{NO_TIMES}"), True),
        (nfs(f"{DEFAULTS},{NO_TIMES},lookupcache=pos"), True),
        (nfs(f"{DEFAULTS},{NO_TIMES},lookupcache=none"), False),
        (nfs(f"{DEFAULTS},noac,lookupcache=none", kind="nfs"), False),
        (Mount("ext4", "/dev/sda1", "/", "rw"), False),
        (Mount("ceph", "mon:/", "/mnt", "rw"), False),
    ],
)
def test_nfs_remembers_names_unless_it_is_told_not_to(mount: Mount, remembers: bool) -> None:
    assert mount.remembers_names is remembers


def test_the_innermost_mount_of_a_directory_counts(tmp_path: Path) -> None:
    number = os.stat(tmp_path).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    info = tmp_path / "mountinfo"
    info.write_text(
        f"20 1 {device} / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        f"21 20 {device} /x {tmp_path} rw,nosuid - nfs4 server:/x rw,vers=4.2\n"
        f"22 20 {device} /y /elsewhere rw - ext4 /dev/other rw\n"
    )
    assert mount_at(str(tmp_path), str(info)) == Mount("nfs4", "server:/x", str(tmp_path), "rw,nosuid,rw,vers=4.2")


def test_what_is_not_listed_is_not_guessed(tmp_path: Path) -> None:
    info = tmp_path / "mountinfo"
    info.write_text("20 1 999:999 / / rw - ext4 /dev/root rw\n")
    assert mount_at(str(tmp_path), str(info)) is None


def test_the_doctor_tells_and_a_gateway_warns_of_a_mount_that_remembers_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def levels() -> dict[str, str]:
        return {each.name: each.level for each in examine(str(tmp_path))}

    settings = Settings(data_dir=str(tmp_path / "data"))
    with caplog.at_level(logging.WARNING):
        bootstrap.prepare(settings)
    assert not caplog.records
    assert levels()["names made by other machines"] == FINE
    for module in (capabilities, bootstrap):
        monkeypatch.setattr(module, "mount_at", lambda directory: nfs(DEFAULTS))
    with caplog.at_level(logging.WARNING):
        bootstrap.prepare(settings)
    assert "actimeo=0,lookupcache=none" in caplog.text
    assert levels()["names made by other machines"] == LIMIT
