"""Points in time and the forms S3 writes them in. Times are nanoseconds since 1970 unless a name says otherwise."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = ["SECOND", "amz_date", "http_date", "iso_date", "now_ns", "parse_amz_date", "parse_http_date"]

SECOND = 1_000_000_000
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

now_ns = time.time_ns


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"
    )


def http_date(ns: int) -> str:
    """RFC 9110's IMF-fixdate, as in Last-Modified: `Sat, 21 Nov 2026 08:00:00 GMT`."""
    return _http_date(ns // SECOND)


@lru_cache(maxsize=4096)
def _iso_date(seconds: int) -> str:
    t = time.gmtime(seconds)
    return f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.000Z"


def iso_date(ns: int) -> str:
    """The form of S3's XML documents, whole seconds as AWS gives: `2026-11-21T08:00:00.000Z`.

    A fraction is cut, never rounded, so that a listing and the Last-Modified of a HEAD name the same second.
    """
    return _iso_date(ns // SECOND)


def amz_date(ns: int) -> str:
    """The form of x-amz-date: `20261121T080000Z`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(ns // SECOND))


def parse_amz_date(text: str) -> int | None:
    """`20261121T080000Z` as nanoseconds, or None when the text has another form."""
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * SECOND


def parse_http_date(text: str) -> int | None:
    """An HTTP date (any of RFC 9110's three forms, or ISO 8601 as some clients send), or None."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp()) * SECOND
    except (OverflowError, ValueError):
        return None
