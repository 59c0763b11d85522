"""Looking at the current object before a write, so that a write that is to fail is refused before its body is sent."""

from __future__ import annotations

from s3gate.core.conditions import WriteCondition
from s3gate.core.errors import S3Error
from s3gate.core.values import ObjectRecord
from s3gate.operations.call import Call

__all__ = ["check_early", "current_record"]


async def current_record(call: Call, key: str) -> ObjectRecord | None:
    """The record at `key` at this moment, or None."""
    try:
        return await call.storage.stat_object(call.here, key)
    except S3Error as error:
        if error.code != "NoSuchKey":
            raise
        return None


async def check_early(call: Call, key: str, condition: WriteCondition) -> None:
    """Refuse a write whose condition does not hold now, before its body is sent; not asked for NO_CONDITION.

    The decision that counts is the store's, under the lock of the key.
    """
    condition.check(await current_record(call, key))
