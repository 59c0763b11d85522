"""Names in pieces are the same sorted set that a list of them would be."""

from __future__ import annotations

import random
import sys
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.storage.filesystem import sorted_names
from s3gate.storage.filesystem.sorted_names import NameSorter, Position, SortedNames

NAMES = st.text(st.sampled_from("ab/é\0\U0001f600\uffff"), max_size=3).map(str.encode)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(sorted_names, "_PIECE", 3)
    monkeypatch.setattr(sorted_names, "_STRETCH", 5)


@settings(deadline=None)
@given(st.sets(NAMES, max_size=40))
def test_names_are_held_once_and_in_order(names):
    held = SortedNames.of(names)
    assert list(held) == sorted(names)
    assert len(held) == len(names)
    assert all(name in held for name in names)
    assert b"not there" not in held


@settings(deadline=None)
@given(st.sets(NAMES, max_size=40), st.lists(st.tuples(st.sets(NAMES), st.sets(NAMES)), max_size=4))
def test_a_change_adds_and_removes_and_leaves_the_names_before_as_they_were(names, changes):
    held, expected = SortedNames.of(names), set(names)
    for added, removed in changes:
        before = sorted(expected)
        changed = held.changed(added - removed, removed)
        assert list(held) == before
        held, expected = changed, (expected | (added - removed)) - removed
        assert list(held) == sorted(expected)
        assert len(held) == len(expected)


@settings(deadline=None)
@given(st.sets(NAMES, max_size=40), NAMES, st.lists(st.tuples(st.integers(1, 5), st.none() | NAMES), max_size=8))
def test_a_position_gives_the_names_from_any_point_on_and_moves_forward_only(names, lower, steps):
    ordered = sorted(names)
    position, at = Position(SortedNames.of(names), lower), bisect_left(ordered, lower)
    for limit, target in steps:
        if target is not None:
            position.move_to(target)
            at = max(at, bisect_left(ordered, target))
        taken = position.take(limit)
        assert taken == ordered[at : at + len(taken)]
        assert len(taken) <= limit
        assert taken or at == len(ordered)
        if len(taken) > 1:
            position.back(1)
            taken = taken[:-1]
        at += len(taken)


@settings(deadline=None)
@given(st.lists(st.lists(NAMES.map(bytes.decode), max_size=20), max_size=5))
def test_runs_of_names_in_any_order_are_merged(runs):
    sorter = NameSorter()
    for run in runs:
        sorter.add(list(run))
    assert list(sorter.names()) == sorted({name.encode() for run in runs for name in run})


def test_names_that_are_no_utf8_are_left_out():
    sorter = NameSorter()
    sorter.add(["b", "\udcff", "a\udc80", "é"])
    assert list(sorter.names()) == [b"b", "é".encode()]


def test_many_names_take_little_more_memory_than_they_are_long(monkeypatch):
    monkeypatch.undo()
    names = [f"{number:024}".encode() for number in range(50_000)]
    random.Random(1).shuffle(names)
    held = SortedNames.of(names)
    assert held.size < 26 * len(names)
    assert held.size < sum(map(sys.getsizeof, names)) / 2
    assert held.changed([b"x"], names[:1000]).size < held.size
