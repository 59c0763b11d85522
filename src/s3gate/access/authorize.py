"""May they: the decision whether a caller may do an action, from values alone."""

from __future__ import annotations

from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT, Caller

__all__ = ["OPEN", "acting", "authorize", "is_read"]

# Whom the anonymous caller acts as when the gateway asks for no credentials.
OPEN = Caller(ROOT, policy="admin")

_READS = ("s3:Get", "s3:List", "s3:Head", "s3:Select")
_LIST_BUCKETS = "s3:ListAllMyBuckets"


def is_read(action: str) -> bool:
    """Whether an action (as `s3:GetObject`) changes nothing. What is not known to be a read counts as a write."""
    return action.startswith(_READS)


def acting(caller: Caller, *, open_access: bool) -> Caller:
    """Who acts in a request of `caller`: with `open_access` the anonymous caller is the administrator."""
    return OPEN if open_access and caller.anonymous else caller


def authorize(caller: Caller, action: str, bucket: Bucket | None, key: str = "", *, read_only: bool = False) -> None:
    """Raise AccessDenied unless `caller` may do `action`; `bucket` is None where no bucket is concerned yet.

    `read_only` denies every write to everyone. The anonymous caller may nothing. `admin` may everything; the other
    policies hold inside the buckets of the caller's own account: `readonly` for reads, `writeonly` for writes,
    `readwrite` for both. Every caller with credentials may list the buckets of its account.
    """
    del key  # a policy of today says nothing about single keys
    reads = is_read(action)
    if caller.anonymous or (read_only and not reads):
        raise S3Error("AccessDenied")
    if caller.policy == "admin" or action == _LIST_BUCKETS:
        return
    allowed = caller.policy == "readwrite" or caller.policy == ("readonly" if reads else "writeonly")
    if not allowed or (bucket is not None and bucket.owner.id != caller.owner.id):
        raise S3Error("AccessDenied")
