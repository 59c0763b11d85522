"""A directory whose locks do not hold is not served by several workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3gate.storage.backend import StartError
from s3gate.storage.filesystem import locks, probe


def test_a_filesystem_with_locks_passes_and_keeps_nothing(tmp_path: Path) -> None:
    probe.require_process_locks(str(tmp_path))

    assert list((tmp_path / ".s3gate" / "locks").iterdir()) == []


def test_a_filesystem_without_locks_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_try_lock", lambda fd, offset: True)

    with pytest.raises(StartError, match="--workers 1"):
        probe.require_process_locks(str(tmp_path))
