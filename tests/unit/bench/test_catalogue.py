"""Loads by name, sizes, and where peers are said to be."""

from __future__ import annotations

import pytest

from bench.loads.catalogue import DEFAULT_LOADS, Counts, load_named
from bench.options import peer_paths
from bench.sizes import parse_size, size_name

COUNTS = Counts(listed=1_000_000, listed_by_put=20_000, deleted=2000)


@pytest.mark.parametrize("name", DEFAULT_LOADS)
def test_a_usual_load_keeps_its_name(name: str) -> None:
    assert load_named(name, COUNTS).name == name


@pytest.mark.parametrize("name", ["get", "get-1KB", "head-1GiBs", "range-1MiB", "deletes", ""])
def test_a_name_that_is_no_load_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no load"):
        load_named(name, COUNTS)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("put-1KiB", "PUT 1 KiB, 16 connections"),
        ("get-1536B", "GET 1536 B, 32 connections"),
        ("get-256MiB", "GET 256 MiB, 1 connection"),
        ("put-256MiB", "PUT 256 MiB, 1 connection"),
        ("get-1GiB", "GET 1 GiB, 1 connection"),
        ("range-1MiB-of-1GiB", "GET 1 MiB of 1 GiB, 32 connections"),
    ],
)
def test_a_title_says_size_and_concurrency(name: str, title: str) -> None:
    assert load_named(name, COUNTS).title == title


@pytest.mark.parametrize("size", [1, 1023, 1 << 10, 3 << 19, 1 << 30, 5 << 40])
def test_a_size_is_read_as_it_is_written(size: int) -> None:
    assert parse_size(size_name(size).replace(" ", "")) == size


def test_peers_are_where_they_are_said_to_be() -> None:
    assert peer_paths("versitygw=/opt/v minio=/opt/m") == {"versitygw": "/opt/v", "minio": "/opt/m"}


@pytest.mark.parametrize("text", ["versity=/opt/v", "versitygw", "versitygw="])
def test_a_peer_that_is_not_known_or_nowhere_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=PATH"):
        peer_paths(text)
