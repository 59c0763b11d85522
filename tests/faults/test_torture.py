"""Operations by chance, of several processes, while they are killed: nothing that was acknowledged is lost or torn."""

from __future__ import annotations

import secrets
import subprocess
from itertools import product
from pathlib import Path

import pytest

from support.torture import LOCKS, METADATA, MINUTES, PROCESSES, SEED, torture

# How many processes, where the records are, by which locks they keep one another out ("": by chance).
SETUPS = [(PROCESSES, *modes) for modes in product(METADATA, LOCKS)] if MINUTES else [(2, "", ""), (6, "", "")]
SECONDS = 60 * MINUTES / len(SETUPS) if MINUTES else 7.0  # of each


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize(("processes", "metadata", "locks"), SETUPS)
def test_killed_processes_lose_nothing_that_was_acknowledged(
    processes: int, metadata: str, locks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = SEED or secrets.randbits(32)
    root, journals = tmp_path / "root", tmp_path / "journals"
    root.mkdir()
    journals.mkdir()
    outcome = torture(root, journals, seed=seed, seconds=SECONDS, processes=processes, metadata=metadata, locks=locks)
    with capsys.disabled():
        if MINUTES:
            print(f"\nseed {seed}, {metadata}, {locks} locks: {outcome}")
    assert outcome.kills > 0
    assert outcome.counts["checked states of keys"] > 0
    assert outcome.counts["acknowledged increments"] > 0
    subprocess.run(["rm", "-rf", root], check=True)
