"""Keys and paths: total, reversible, free of collisions."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from s3gate.storage.filesystem.paths import CONTROL, HISTORIES, MAX_NAME, decode, directory_of, key_of, place

_PIECES = [
    "a",
    "b",
    "-",
    ".",
    "/",
    "/",
    "0",
    "%",
    "25",
    ".s3gate",
    "=",
    "+",
    "#",
    "é",
    "\0",
    "!",
    "..",
    "\\",
    "lost+found",
]
keys = (
    st.one_of(
        st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map("".join),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
        st.builds(
            lambda c, n, end: c * n + end,
            st.sampled_from("éx%\0-"),
            st.integers(110, 520),
            st.sampled_from(["", "/z", ".."]),
        ),
    )
    .map(str.encode)
    .filter(lambda key: len(key) <= 1024)
)


def logical(path: bytes) -> bytes:
    """The key that a path stands for, by decoding each of its names."""
    key = b""
    *directories, last = path.split(b"/")
    for name in directories:
        entry = decode(name)
        assert entry is not None, name
        assert not entry.shadow
        key += entry.component + (b"" if entry.continuation else b"/")
    entry = decode(last)
    assert entry is not None, last
    return key + entry.component


@given(keys)
@example(b"/" * 1024)
@example(b"\0" * 1024)
@example(b"x" * 1024)
@example(b".s3gate")
@example(b".s3gate%")
@example(b".s3gate=a/b")
def test_the_path_of_a_key_says_which_key_it_is(key: bytes) -> None:
    where = place(key)

    assert logical(where.path) == key
    assert logical(where.shadow_path) == key


@given(keys)
def test_every_name_fits_a_filesystem_and_none_is_the_control_directory(key: bytes) -> None:
    where = place(key)

    for name in [*where.path.split(b"/"), where.shadow]:
        assert 0 < len(name) <= 255
        assert name not in (b".", b"..", CONTROL)
        assert b"\0" not in name


@given(keys, keys)
def test_two_keys_never_share_a_path(one: bytes, other: bytes) -> None:
    names = {place(one).path, place(one).shadow_path}

    assert one == other or names.isdisjoint({place(other).path, place(other).shadow_path})


@given(keys, keys)
def test_the_directory_of_a_prefix_holds_the_keys_below_it(prefix: bytes, rest: bytes) -> None:
    where = place(prefix + b"/" + rest)

    assert (where.path + b"/").startswith(directory_of(prefix + b"/") + b"/")


@given(st.binary(min_size=1, max_size=260).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_a_name_that_decodes_is_the_name_its_component_gets(name: bytes) -> None:
    entry = decode(name)

    if entry is not None and not entry.continuation:
        where = place(entry.component)
        assert name.split(b"/")[-1] == (where.shadow if entry.shadow else where.name)
        assert len(name) <= 255


def test_an_ordinary_key_is_its_own_path() -> None:
    assert place(b"photos/2026/cat & dog.jpg").path == b"photos/2026/cat & dog.jpg"


def test_a_component_of_the_greatest_plain_length_stays_plain() -> None:
    assert place(b"x" * MAX_NAME).path == b"x" * MAX_NAME


@given(keys)
def test_a_path_leads_back_to_its_key_whichever_of_the_three_it_is(key: bytes) -> None:
    where = place(key)
    for path in (where.path, where.shadow_path, where.history.removeprefix(HISTORIES + b"/")):
        assert key_of(path) == key


@given(
    st.lists(
        st.sampled_from([b"a", b".s3gate%", b".s3gate+a", b".s3gate=a", b".s3gate!a", b"\xff", b"n" * 250]), min_size=1
    )
)
def test_a_path_that_no_key_has_leads_to_none(names: list[bytes]) -> None:
    path = b"/".join(names)
    key = key_of(path)
    if key is not None:
        where = place(key)
        assert path in (where.path, where.shadow_path, where.history.removeprefix(HISTORIES + b"/"))
