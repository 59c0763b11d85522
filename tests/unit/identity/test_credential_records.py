from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.core.clock import SECOND
from s3gate.core.values import Owner
from s3gate.identity.credential_records import RecordError, format_record, parse_record, read_entries
from s3gate.identity.model import POLICIES, ROOT, Credential

CURVINE = (
    b'{"access_key": "AKIAEXAMPLEKEY123", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", '
    b'"created_at": 1640995200, "enabled": true, "description": "Production access key"}\n'
)
WHOLE = {"access_key": "key", "secret_key": "long-enough"}


def test_a_line_that_curvine_wrote_is_read():
    (entry,) = read_entries(CURVINE)
    assert entry.credential == Credential(
        "AKIAEXAMPLEKEY123",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        created_ns=1640995200 * SECOND,
        description="Production access key",
    )
    assert entry.credential.owner == ROOT
    assert entry.credential.policy == "readwrite"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1640995200, 1640995200),
        (1640995200.5, 1640995200.5),
        ("2022-01-01T00:00:00Z", 1640995200),
        ("2022-01-01T01:00:00+01:00", 1640995200),
        ("2022-01-01T00:00:00", 1640995200),
        (None, 0),
    ],
)
def test_the_time_is_unix_seconds_or_rfc_3339(value, seconds):
    assert parse_record({**WHOLE, "created_at": value}).created_ns == int(seconds * SECOND)


def test_a_user_id_makes_an_owner_of_its_own():
    assert parse_record({**WHOLE, "user_id": "u1"}).owner == Owner("u1", "u1")
    assert parse_record({**WHOLE, "user_id": "u1", "display_name": "Una"}).owner == Owner("u1", "Una")
    assert parse_record({**WHOLE, "display_name": "Una"}).owner == ROOT


@pytest.mark.parametrize(
    "change",
    [
        {"access_key": None},
        {"access_key": 5},
        {"access_key": "a/b"},
        {"secret_key": None},
        {"secret_key": "short"},
        {"enabled": "yes"},
        {"enabled": 1},
        {"policy": "root"},
        {"created_at": "yesterday"},
        {"created_at": True},
        {"created_at": 1e400},
        {"created_at": []},
        {"description": 5},
        {"description": "x" * 257},
        {"user_id": "a\nb"},
        {"email": {}},
    ],
)
def test_a_record_that_breaks_a_rule_is_refused(change):
    with pytest.raises(RecordError):
        parse_record({**WHOLE, **change})


@pytest.mark.parametrize(
    "line",
    [b"x", b"[]", b'"SECRETIVE"', b'{"access_key": "key", "secret_key": "SECRETIVE"', b"{" * 100_000, b"[" * 100_000,
     b'{"a": ' + b"9" * 5000 + b"}", b'{"access_key": "key", "secret_key": "SECRETIVE\xff"}',
     b'{"access_key": "key", "secret_key": "SECRETIVE\\ud800"}'],
)  # fmt: skip
def test_a_broken_line_is_told_by_number_without_its_content_and_the_others_stay(line):
    first, broken, last = read_entries(CURVINE + line + b"\n\n" + CURVINE)
    assert (first.number, broken.number, last.number) == (1, 2, 4)
    assert first.credential == last.credential is not None
    assert broken.credential is None
    assert broken.fault
    assert "SECRETIVE" not in broken.fault


def test_byte_order_marks_and_dos_line_ends_do_no_harm():
    (entry,) = read_entries(b"\xef\xbb\xbf" + CURVINE.rstrip(b"\n") + b"\r\n")
    assert entry.credential is not None


TEXT = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=40)


@given(
    st.builds(
        Credential,
        access_key=st.from_regex(r"[A-Za-z0-9._@+-]{3,128}", fullmatch=True),
        secret_key=st.text(st.characters(categories=("L", "N", "P", "S")), min_size=8, max_size=100),
        created_ns=st.integers(0, 2**33).map(lambda seconds: seconds * SECOND),
        enabled=st.booleans(),
        description=TEXT,
        owner=st.just(ROOT) | st.builds(Owner, id=TEXT.filter(bool), display_name=TEXT.filter(bool)),
        email=TEXT,
        policy=st.sampled_from(POLICIES),
    )
)
def test_a_credential_written_and_read_is_the_same(credential):
    (entry,) = read_entries(json.dumps(format_record(credential)).encode())
    assert entry.credential == credential
