"""Operations by chance, of several processes, while they are killed: nothing that was acknowledged is lost or torn."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from support.torture import MINUTES, PROCESSES, SEED, torture

SECONDS = 7.0  # of each in an ordinary test run


@pytest.mark.timeout(60 * MINUTES + 120)
@pytest.mark.parametrize("processes", [PROCESSES] if MINUTES else [2, 6])
def test_killed_processes_lose_nothing_that_was_acknowledged(
    processes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = SEED or secrets.randbits(32)
    root, journals = tmp_path / "root", tmp_path / "journals"
    root.mkdir()
    journals.mkdir()
    outcome = torture(root, journals, seed=seed, seconds=60 * MINUTES or SECONDS, processes=processes)
    with capsys.disabled():
        if MINUTES:
            print(f"\nseed {seed}: {outcome}")
    assert outcome.kills > 0
    assert outcome.counts["checked states of keys"] > 0
    assert outcome.counts["acknowledged increments"] > 0
    subprocess.run(["rm", "-rf", root], check=True)
