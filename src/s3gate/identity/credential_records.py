"""Credentials as lines of JSON, the form that the credentials file has.

One object a line: access_key, secret_key, created_at (Unix seconds; RFC 3339 is read too), enabled, description, and
optionally user_id, display_name, email and policy. Other fields are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from s3gate.core.clock import SECOND
from s3gate.core.values import Owner
from s3gate.identity.keys import access_key_fault, secret_key_fault
from s3gate.identity.model import POLICIES, ROOT, Credential

__all__ = ["Entry", "RecordError", "format_record", "parse_record", "read_entries"]

_MAX_TEXT = 256


class RecordError(ValueError):
    """A line that is not a credential; the message says why and never holds a secret."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that is not blank: `number` counts from 1, and exactly one of `credential` and `fault` is set."""

    number: int
    line: str
    fields: Mapping[str, Any]
    credential: Credential | None
    fault: str = ""


def read_entries(data: bytes) -> list[Entry]:
    """All lines of a credentials file but the blank ones, in order; a line that is broken has its fault."""
    entries = []
    # Lines end at line feeds alone: str.splitlines would also end them at characters that JSON allows in text.
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r")
        fields: Mapping[str, Any] = {}
        try:
            fields = _fields(line)
            entries.append(Entry(number, line, fields, parse_record(fields)))
        except RecordError as error:
            entries.append(Entry(number, line, fields, None, str(error)))
    return entries


def _fields(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):
        raise RecordError("not JSON: nested too deeply, or a number of too many digits") from None
    if not isinstance(fields, dict):
        raise RecordError("not a JSON object")
    return fields


def parse_record(fields: Mapping[str, Any]) -> Credential:
    """The credential that a record describes, else RecordError."""
    access_key, secret_key = _text(fields, "access_key"), _text(fields, "secret_key")
    fault = access_key_fault(access_key) or secret_key_fault(secret_key)
    if fault is not None:
        raise RecordError(fault)
    enabled = fields.get("enabled", True)
    if not isinstance(enabled, bool):
        raise RecordError("enabled is neither true nor false")
    policy = _text(fields, "policy") or "readwrite"
    if policy not in POLICIES:
        raise RecordError(f"policy is none of {', '.join(POLICIES)}")
    return Credential(
        access_key=access_key,
        secret_key=secret_key,
        created_ns=_created_ns(fields.get("created_at")),
        enabled=enabled,
        description=_text(fields, "description"),
        owner=_owner(fields),
        email=_text(fields, "email"),
        policy=policy,  # type: ignore[arg-type]  # a member of POLICIES is a Policy
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RecordError(f"{name} is not text")
    if len(value) > _MAX_TEXT or not value.isprintable():
        raise RecordError(f"{name} has more than {_MAX_TEXT} characters, or some that cannot be printed")
    return value


def _owner(fields: Mapping[str, Any]) -> Owner:
    user_id = _text(fields, "user_id")
    return Owner(user_id, _text(fields, "display_name") or user_id) if user_id else ROOT


def _created_ns(value: object) -> int:
    """Unix seconds or RFC 3339 as nanoseconds, 0 when a record does not say."""
    if value is None:
        return 0
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value * SECOND)
    except (ValueError, OverflowError):
        pass  # as any other value
    raise RecordError("created_at is neither Unix seconds nor RFC 3339")


def format_record(credential: Credential) -> dict[str, Any]:
    """The fields of a credential's record, in the file's order, without those that say nothing."""
    fields: dict[str, Any] = {
        "access_key": credential.access_key,
        "secret_key": credential.secret_key,
        "created_at": credential.created_ns // SECOND,
        "enabled": credential.enabled,
        "description": credential.description,
    }
    if credential.owner != ROOT:
        fields["user_id"] = credential.owner.id
        fields["display_name"] = credential.owner.display_name
    if credential.email:
        fields["email"] = credential.email
    if credential.policy != "readwrite":
        fields["policy"] = credential.policy
    return fields
