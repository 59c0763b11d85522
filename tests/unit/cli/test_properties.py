"""Properties as they are written on the command line."""

from __future__ import annotations

import pytest

from s3gate.cli.errors import CommandError
from s3gate.cli.properties import PROPERTIES, parse_assignments, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("7B", 7),
        ("10GiB", 10 << 30),
        ("10 GB", 10**10),
        ("1.5TiB", 3 << 39),
        ("500kB", 500_000),
        ("2KiB", 2048),
        ("1PB", 10**15),
    ],
)
def test_a_size_has_a_unit_or_none(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "GiB", "1G", "1 XB", "1,5GB", "1e9", "\u0661", "999999999999PiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a size is"):
        parse_size(text)


def test_several_properties_stand_in_one_text_or_in_several() -> None:
    together = parse_assignments(["checksum.type=md5, quota.objects=1", "versioning=enabled"])
    assert together == {"checksum.type": "md5", "quota.objects": "1", "versioning": "enabled"}


@pytest.mark.parametrize(("value", "state"), [("true", "enabled"), ("false", "suspended")])
def test_the_name_that_aistore_has_for_versioning_is_understood(value: str, state: str) -> None:
    assert parse_assignments([f"versioning.enabled={value}"]) == {"versioning": state}


@pytest.mark.parametrize("text", ["", "checksum.type", "checksum=md5", "versioning.enabled=maybe", "md5,"])
def test_what_is_no_property_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_assignments([text])
    assert all(name in str(caught.value) for name in PROPERTIES)


def test_a_property_is_given_once() -> None:
    with pytest.raises(CommandError, match="twice"):
        parse_assignments(["versioning=enabled", "versioning.enabled=true"])
