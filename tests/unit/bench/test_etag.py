"""What one upload is compared with, and the table of it."""

from __future__ import annotations

import hashlib
import random

import pytest

from bench.etag import Bound, Group, Options, _markdown, _md5, bounds
from bench.measure import Sample
from bench.replay import FILLER_SIZE, Outcome

MD5, XXH3 = "s3gate, MD5", "s3gate, XXH3"
SIZE = 256 << 20


def sample(gigabytes_a_second: float, cpu: float = 0.5, foreign: float = 0.0) -> Sample:
    seconds = SIZE / (gigabytes_a_second * 1e9)
    return Sample(Outcome(1, SIZE, 0, seconds, 0, 0), cpu * SIZE / 1e9, 0.0, foreign)


@pytest.mark.parametrize(
    ("digest", "write", "limit"),
    [(0.8, 2.0, Bound("MD5 alone", 0.75)), (0.8, 0.6, Bound("plain write", 1.0))],
)
def test_an_upload_with_md5_is_bound_by_the_slower_of_md5_and_the_write(
    digest: float, write: float, limit: Bound
) -> None:
    rates = {MD5: 0.6, XXH3: 0.6, "MD5 alone": digest, "plain write": write}
    found = bounds(rates)[MD5]
    assert found.name == limit.name
    assert found.part == pytest.approx(limit.part)


def test_an_upload_without_md5_is_bound_by_the_write_however_slow_md5_is() -> None:
    rates = {MD5: 0.6, XXH3: 1.5, "MD5 alone": 0.8, "plain write": 2.0}
    assert bounds(rates)[XXH3] == Bound("plain write", 0.75)


def test_the_table_has_medians_of_quiet_rounds_and_the_part_of_the_bound_and_marks_what_others_disturbed() -> None:
    samples = {
        MD5: [sample(0.5), sample(0.6), sample(0.7), sample(0.1, foreign=1.0)],
        XXH3: [sample(1.0, foreign=1.0)],
        "MD5 alone": [sample(0.8)],
        "plain write": [sample(2.0, cpu=0.25)],
    }
    text = _markdown(Options([SIZE], ["none"], 3, 2, 0.0, None), "a disk", [Group(SIZE, "none", samples)])
    assert "| 256 MiB | none | s3gate, MD5 | 0.60 | 0.50 to 0.70 | 0.50 | 0.75 | MD5 alone |" in text
    assert "| 256 MiB | none | s3gate, XXH3 | 1.00* | 1.00 to 1.00 | 0.50 | 0.50* | plain write |" in text
    assert "| 256 MiB | none | plain write | 2.00 | 2.00 to 2.00 | 0.25 | - | - |" in text


@pytest.mark.parametrize("size", [FILLER_SIZE, 2 * FILLER_SIZE, 2 * FILLER_SIZE + 5])
def test_the_bytes_are_those_that_are_uploaded(size: int) -> None:
    filler = random.Random(1).randbytes(FILLER_SIZE)
    assert _md5(filler, size) == hashlib.md5((filler * 3)[:size], usedforsecurity=False).hexdigest()
